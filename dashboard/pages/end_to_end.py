"""Does the user feel it? Whole requests: time as its parts, prediction and outcome, agreement, a step to look into."""

from dataclasses import replace
from functools import partial

import streamlit as st
from rope_prof.dashboard.drawing import draw

from rope_prof.analysis.requests.requests import step_times
from rope_prof.dashboard import downloads, loading, request_steps, shell, timeline_component, view
from rope_prof.dashboard import requests as whole_requests
from rope_prof.errors import RopeProfError
from rope_prof.views.blocks import requests as report_requests
from rope_prof.views.blocks.model import Block, Bullets, Picture, Words
from rope_prof.views.draw.stack import stacked
from rope_prof.views.page.blocks import hero, kicker, wrap
from rope_prof.views.page.writer import heading
from rope_prof.views.timeline.picture import extent
from rope_prof.views.timeline.step import PART_TITLES, layer_drawing, step_caption
from rope_prof.views.timeline.window import Shown
from rope_prof.views.words.requests import agree, end_to_end_notes, headline, layer_lines, prediction_lines

seen = shell.seen()
with shell.guarded():
    found = whole_requests.whole(seen.folder)
if found is None:
    shell.notes()
    shell.title(
        f"Run {seen.name} has no whole requests. “python -m rope_prof model -o RUN” measures them into the run in RUN.",
    )
    other = whole_requests.shipped(loading.runs())
    if other is not None:
        there = st.query_params.to_dict() | {"run": other}
        st.page_link("end_to_end.py", label=shell.plain(f"Show the shipped run {other}"), query_params=there)
    st.stop()


facts, times, files = found.folder.facts, step_times(found.rows), found.traces
zoom = shell.zoom(view.STEP_ZOOM)
start = shell.look(view.STEP_ZOOM)
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    st.html(
        wrap(
            seen.palette,
            kicker(shell.PAGES["end_to_end"].question),
            hero(report_requests.request_headline(facts, found.rows)),
        )
    )
    giving = st.container(horizontal=True, horizontal_alignment="right", width="content")
noted = st.container()
pictures = list(report_requests.request_picture(found.rows, facts.request.decode_tokens))
noise = tuple(report_requests.noise_lines(found.noise))
measured: list[Block] = [
    Words(text=f"{headline(facts, found.rows)}."),
    *pictures,
    report_requests.times_table(found.rows),
    Bullets(items=noise),
]
agreement: list[Block] = list(report_requests.agreement_table(found.agreed))
agreed = Words(text=agree(found.agreed), tone="strong")
draw([*(replace(one, caption="") for one in pictures), Words(text=agreed.text)], seen.name, "measured")
with shell.fold("What was measured, and how it is held against stock"):
    draw([Words(text=one.caption) for one in pictures], seen.name, "how")
    draw(measured[:1], seen.name, "what")
with shell.fold("Each path and mode, and the noise"):
    draw([one for one in measured[1:] if one not in pictures], seen.name, "times")
with shell.fold("Do the outputs agree, in figures"):
    draw(agreement, seen.name, "agreement")

text: list[Block]
lost: list[str]
text, lost = [*measured, agreed, *agreement], []
try:
    with st.spinner("Reading the profiles"):
        profiled = found.profiles
except RopeProfError as error:
    lost.append(f"No parts of a step: {error}")
else:
    of_steps: list[Picture] = [
        *report_requests.prediction_picture(profiled.predicted),
        *report_requests.step_picture(profiled.steps, times),
    ]
    calls = layer_lines(whole_requests.per_layer(seen.folder))
    said = (*calls, *prediction_lines(profiled.predicted), *report_requests.share_lines(profiled.steps))
    below: list[Block] = [*of_steps, Bullets(items=said), *report_requests.steps_table(profiled.steps)]
    pictures, text, lost = [*pictures, *of_steps], [*text, *below], [*profiled.doubts]
    with shell.fold("Predicted and measured, and where a step's time goes"):
        draw(below, seen.name, "below")

drawings = [picture.drawing for picture in pictures]
if files:
    st.html(wrap(seen.palette, heading("A profiled step, from the whole to one rope call")))
    phase = request_steps.chosen_phase(files)
    profiles, unread = request_steps.opened(files, phase)
    look = request_steps.choosers(files, phase, profiles)
    drawn = request_steps.drawn(look, profiles, times)
    lost += [*unread, *drawn.lost]
    if drawn.sides:
        shown = Shown(
            id=look.id,
            sides=drawn.sides,
            fit=extent(drawn.panels),
            axis="from each one's first device event",
            source=f"{seen.name} · {phase}",
            whole=PART_TITLES[look.part],
            zoom=zoom,
            start=start,
        )
        timeline_component.timeline(shown, seen.palette, "end-to-end", look.show_call, zoom_name=view.STEP_ZOOM)
        with shell.fold("What the profiler stretches"):
            shell.caption(step_caption(drawn.panels, look.part, int(look.layer)))
        drawings += layer_drawing(drawn.panels, look.part, int(look.layer), phase)
else:
    lost.append("No profile of a step: none was recorded, or the files are gone. Run “model” again for a timeline.")
shell.caption(*lost, *end_to_end_notes(facts))
with noted:
    shell.notes()
with giving:
    downloads.offer(
        seen,
        "end_to_end",
        drawing=(lambda: stacked(drawings, seen.name)) if drawings else None,
        table=partial(report_requests.request_frame, found.rows),
        markdown=("Tables, Markdown", downloads.as_blocks(seen.name, text)),
        traces=[(f"{name} {of}", path) for (name, of), path in files.items()],
        stem=f"{seen.name.replace('/', '-')}-end_to_end",
    )
