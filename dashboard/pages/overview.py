"""Did it help? One look: speedup, kernels, bubbles, accuracy, where it loses, where the saved time was, machine."""

from functools import partial

import streamlit as st

from rope_prof.dashboard import baseline, downloads, loading, shell, view
from rope_prof.views.blocks.model import Block, Bullets, Picture, Table, Words, charted, folded
from rope_prof.views.blocks.overview import NOTHING, Against, headline, lost_words, overview
from rope_prof.views.blocks.overview import cards as card_facts
from rope_prof.views.blocks.overview_tables import calls_picture, payoff_table, sides_table, table
from rope_prof.views.blocks.run import machine_table
from rope_prof.views.draw.waterfall import Waterfall, explanation, waterfall
from rope_prof.views.page.blocks import blocks, cards, hero, kicker, wrap
from rope_prof.views.words.losses import by_rule

seen = shell.seen()
run = seen.folder.run
with st.container(horizontal=True, vertical_alignment="center", key="rp-bar"):
    shell.side_chooser(view.keys_of(run, seen.case))
    giving = st.container(horizontal=True, horizontal_alignment="right")
with shell.guarded():
    rows = seen.opened.rows_of_case(seen.case)
    base = baseline.guarded_chosen(seen, rows)
    against = Against(label="no baseline", row=None, ratios={})
    if base is not None:
        ratios = {name: verdict.ratio for name, verdict in base.verdicts.items() if verdict.ratio is not None}
        against = Against(
            label=base.label, row=base.row, ratios=ratios, caveats=() if base.caveat is None else (base.caveat,)
        )
    keys = {facts.key.name: facts.key for facts in run.keys}
    said = loading.chain_verdicts(seen.folder, seen.case)
    found = overview(
        rows,
        seen.case,
        run.machine.device,
        against=against,
        wanted=lambda row: seen.view.has(keys[row.key]),
        headlines=seen.opened.headlines,
        pairs=by_rule(run, [verdict for one in said for verdict in one.values()]),
    )
shell.notes()
answer = headline(found)
lost = () if answer is None else (Words(text=lost_words(found), tone="bad" if found.own else ""),)
st.html(  # the answer leaves for the viewer before what it rests on is worked out
    wrap(
        seen.palette,
        kicker(f"{shell.PAGES['overview'].question} · {run.machine.device_name}"),
        hero(answer or NOTHING, *lost),
        cards(card_facts(found)),
    )
)


def fall() -> tuple[Waterfall | None, str]:
    """The waterfall from the baseline to the headline's side, and what must be said of it."""
    side = found.candidate
    if base is None or side is None or base.row.wall_ns is None or side.row.wall_ns is None:
        return None, "No waterfall: it needs a baseline and a measured path that can be held against it."
    if base.folder.path != seen.folder.path:
        return None, "No waterfall: its terms pair the rounds of one run, and the baseline is of another one."
    terms = seen.opened.decomposed(base.facts.key, keys[side.row.key])
    if terms is None:
        return None, f"Where the saved time was is not known: it takes captures of {base.label} and {side.label}."
    words = explanation(terms)
    floor = loading.floor_ns(seen.folder, side.row)
    if floor is None:
        words += " No floor: this run measured no pass over the same bytes."
    return Waterfall(
        before=base.label,
        before_ns=base.row.wall_ns.median,
        after=side.label,
        after_ns=side.row.wall_ns.median,
        terms=terms.terms,
        residual=terms.residual,
        floor_ns=floor,
        floor="floor, measured",
    ), words


with shell.guarded():
    terms, words = fall()
chart = None if terms is None else waterfall(terms)
fallen: list[Block] = [Words(text=words)]
if chart is not None:
    fallen = [
        charted(chart, "waterfall", title="Where the saved time was"),
        Bullets(items=(words,), title="What they rest on", folded=True),
    ]
calls = tuple(calls_picture(found))
if chart is None:  # the page shows one picture, if any
    fallen, calls = [*calls, *fallen], ()
more: tuple[Bullets | Table | Picture, ...] = (
    *calls,
    sides_table(found),
    *payoff_table(found),
    Bullets(items=found.losses, title="Where something is slower"),
    Bullets(items=found.doubts, title="Read with care"),
    machine_table(run, ("command", run.command), title="Machine and versions"),
)
st.html(wrap(seen.palette, blocks([*fallen, *map(folded, more)], seen.palette)))
with giving:
    downloads.offer(
        seen,
        "overview",
        drawing=None if chart is None else partial(getattr, chart, "drawing"),
        table=lambda: table(found),
        lines=found.doubts,
        traces=downloads.traces_of(seen, view.captured(run, seen.case)),
    )
