"""The overview as HTML: headline, before and after, where it pays, what to doubt, machine. Every text is escaped.

Plain markup without script or picture, so that it paints at once and follows the viewer's ground by `currentColor`;
the colours of meanings come from the palette as inline custom properties.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from html import escape

from rope_prof.analysis.stats import Figure
from rope_prof.model.run import Machine, Run
from rope_prof.units import MISSING, duration, microseconds, percent, ratio, significant
from rope_prof.views.blocks import overview as facts
from rope_prof.views.blocks.model import Tone
from rope_prof.views.blocks.overview import Overview, OverviewSide, PayoffCell
from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.svg import MARGIN, Drawing, Marker, Rect, placed, svg_file
from rope_prof.views.words.difference import difference
from rope_prof.views.words.labels import case_words, counts
from rope_prof.views.words.machine import machine_facts
from rope_prof.views.words.names import shown
from rope_prof.views.words.trust import MARKED
from rope_prof.views.words.verdicts import SIGNS

_TONES: dict[Tone, str] = {"bad": " rp-warn", "doubt": " rp-doubt", "": ""}


def colours(palette: Palette) -> str:
    """The palette as custom properties for a `style` attribute."""
    names = ("kernel", "bubble", "launch", "copy", "warn", "unsure", "muted", "rule", "panel", "ink")
    return ";".join(f"--rp-{name}:{getattr(palette, name)}" for name in names)


def wrap(palette: Palette, *parts: str) -> str:
    """Those parts as one block that knows the palette."""
    return f'<div class="rp" style="{colours(palette)}">{"".join(parts)}</div>'


def case_line(view: Overview, machine: Machine) -> str:
    """The input and the machine in one quiet line."""
    words = (*case_words(view.case).split(" · "), machine.device_name)
    return f'<p class="rp-kicker">{" <i>·</i> ".join(escape(word) for word in words)}</p>'


def headline(view: Overview) -> str:
    """How much faster, in one number with its interval, and where it loses."""
    found = facts.headline(view)
    if found is None:
        return (
            '<div class="rp-hero"><h1>Nothing to compare</h1><p>No measured path is chosen that can be held against '
            "the baseline: choose a path and a mode above, or a baseline; record more with "
            "<code>python -m rope_prof record</code>.</p></div>"
        )
    lost = f"Slower {'; '.join(view.losses)}." if view.losses else "No measured token count is slower."
    return (
        f'<div class="rp-hero"><div class="rp-big{_TONES[found.tone]}">{escape(found.factor.removesuffix("x"))}'
        f"<span>×</span></div><div><h1>{escape(found.words)}</h1><p>{escape(found.detail)}</p>"
        f'<p class="{"rp-slower" if view.losses else ""}">{escape(lost)}</p></div></div>'
    )


def cards(view: Overview) -> str:
    """Kernels, bubble, busy time and accuracy, before -> after."""
    found = "".join(
        f'<div class="rp-card"><h3>{escape(card.title)}</h3>'
        f'<div class="rp-pair"><span>{escape(card.before)}</span><i>→</i><b>{escape(card.after)}</b></div>'
        f"<p>{escape(card.note)}</p></div>"
        for card in facts.cards(view)
    )
    return f'<div class="rp-cards">{found}</div>' if found else ""


def bars(view: Overview) -> str:
    """Where a call's time goes: busy and bubble of each side on one scale, unprofiled; raw bubble beside it."""
    longest = view.longest_ns
    if not longest:
        return ""
    base = view.baseline
    rows = "".join(_bar(side, longest, base) for side in view.sides if side.row.wall_ns)
    marked = f" {MARKED}" if any(side.denied for side in view.sides) else ""
    key = legend({"kernel": "device busy", "bubble": f"bubble, corrected for the profiler.{marked}"})
    head = (
        '<div class="rp-bar rp-barhead"><span></span><span></span><span>µs a call</span><span>to baseline</span>'
        "<span>bubble</span><span>raw, profiled</span><span>inflation</span></div>"
    )
    return f"<section><h2>Where a call’s time goes</h2>{key}{head}{rows}</section>"


def legend(meanings: Mapping[str, str]) -> str:
    """What the colours of those palette entries mean, in one line; needs `wrap` around it."""
    dots = (
        f'<span class="rp-dot" style="background:var(--rp-{name})"></span>{escape(text)}'
        for name, text in meanings.items()
    )
    return f'<p class="rp-key">{"".join(dots)}</p>'


def _bar(side: OverviewSide, longest: float, base: OverviewSide | None) -> str:
    row = side.row
    wall = _median(row.wall_ns) or 0.0
    busy = min(row.busy_ns or 0.0, wall)
    bubble = max(row.bubble_corrected_ns or 0.0, 0.0) if row.busy_ns is not None else 0.0
    trusted = "" if side.raw_trusted else " rp-unsure"
    apart = "" if base is None else "baseline" if base.row is row else difference(wall, _median(base.row.wall_ns))
    fact = f"{duration(wall)} a call: busy {duration(row.busy_ns)}, bubble {duration(row.bubble_corrected_ns)}"
    if side.denied:
        fact += f" corrected, {duration(row.bubble_by_replay_ns)} by graph replay"
    return (
        f'<div class="rp-bar" title="{escape(fact)}"><span class="rp-name">{escape(side.label)}</span>'
        f'<span class="rp-track"><span style="width:{100 * busy / longest:.3f}%;background:var(--rp-kernel)"></span>'
        f'<span style="width:{100 * bubble / longest:.3f}%;background:var(--rp-bubble)"></span></span>'
        f"<span><b>{escape(microseconds(wall))}</b></span><span>{escape(apart)}</span>"
        f"<span>{escape(side.marked(percent(side.bubble_share)))}</span>"
        f'<span class="rp-raw{trusted}">{escape(percent(side.raw_share))}</span>'
        f"<span>{escape(ratio(row.inflation))}</span></div>"
    )


def payoff(view: Overview) -> str:
    """Speedup over the baseline per side and swept value; where it loses is marked."""
    if not view.cells or view.baseline is None:
        return ""
    against = view.baseline.label
    head = "".join(
        f"<th{_here(count, view)}>{count:,}<small>{escape(_unit(count, view))}</small></th>" for count in view.swept
    )
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_cell(cell, view) for cell in found)}</tr>" for name, found in view.cells
    )
    return (
        "<section><h2>When it pays</h2>"
        f'<p class="rp-key">Speedup over {escape(against)}, wall time a call, with the 95 % interval of the ratio. '
        '<span class="rp-slower">▼ slower</span>, ≈ no difference for sure, ? too few rounds.</p>'
        f'<table class="rp-grid"><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></section>'
    )


def _unit(count: int, view: Overview) -> str:
    noun = view.case.operation.swept_axis.noun
    return noun if count == 1 and noun else counts(view.case.operation)


def _here(count: int, view: Overview) -> str:
    return ' class="rp-here"' if count == view.case.swept else ""


def _cell(cell: PayoffCell, view: Overview) -> str:
    here = " rp-here" if cell.swept == view.case.swept else ""
    row = cell.row
    if cell.word == "missing" or row is None or (cell.ratio is None and cell.word != "wrong"):
        why = "not recorded" if row is None else f"{row.status}: {row.reason or 'no figure'}"
        short = MISSING if row is None or row.status != "checked" else "checked"
        return f'<td class="rp-missing{here}" title="{escape(why)}">{escape(short)}</td>'
    interval = cell.ratio
    bounds = (
        f"{significant(interval.lo)} – {significant(interval.hi)}" if interval and interval.lo and interval.hi else ""
    )
    text = "wrong" if cell.word == "wrong" else f"{significant(interval.median if interval else 0)}×"
    small = f"<small>{escape(bounds) or '&nbsp;'}</small>"
    return f'<td class="rp-{cell.word.lower()}{here}"><b>{_sign(cell)}{escape(text)}</b>{small}</td>'


def _sign(cell: PayoffCell) -> str:
    """The mark of its verdict and a blank; nothing where it is faster."""
    sign = "✕" if cell.word == "wrong" else "" if cell.word == "missing" else SIGNS[cell.word]
    return f"{sign} " if sign else ""


def picture(svg: str, alt: str) -> str:
    """A drawing as an image inside the page: inline SVG is stripped by the page, an image of it is not."""
    data = b64encode(svg.encode("utf-8")).decode("ascii")
    return f'<img class="rp-picture" alt="{escape(alt, quote=True)}" src="data:image/svg+xml;base64,{data}">'


def hovered(drawing: Drawing, palette: Palette) -> str:
    """The drawing as an image, with the facts of each of its marks and boxes shown where the mouse is over it."""
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN
    spots = "".join(
        f'<i{_spot(shape, width, height)} title="{escape(shown(shape.title), quote=True)}"></i>'
        for shape in placed(drawing)
        if isinstance(shape, (Marker, Rect)) and shape.title
    )
    return f'<div class="rp-map">{picture(svg_file(drawing, palette), drawing.title)}{spots}</div>'


def _spot(shape: Marker | Rect, width: float, height: float) -> str:
    """Where the mouse finds it: around a mark, on the whole of a box."""
    left, top = 100 * (shape.x + MARGIN) / width, 100 * (shape.y + MARGIN) / height
    if isinstance(shape, Marker):
        return f' style="left:{left:.3f}%;top:{top:.3f}%"'
    sides = f"width:{100 * shape.width / width:.3f}%;height:{100 * shape.height / height:.3f}%"
    return f' class="rp-box" style="left:{left:.3f}%;top:{top:.3f}%;{sides}"'


def section(title: str, body: str, words: str) -> str:
    """A heading, what stands under it, and a sentence on how to read it; `body` is HTML."""
    return f'<section><h2>{escape(title)}</h2>{body}<p class="rp-key">{escape(words)}</p></section>'


def doubts(view: Overview) -> str:
    """What cannot be trusted, as sentences."""
    if not view.doubts:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in view.doubts)
    return f'<section><h2>Read with care</h2><ul class="rp-doubts">{items}</ul></section>'


def machine(run: Run) -> str:
    """Machine and versions, the command, when."""
    told = machine_facts(run) | {"command": run.command}
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in told.items())
    return f'<section><h2>Machine and versions</h2><dl class="rp-facts">{items}</dl></section>'


def _median(found: Figure | None) -> float | None:
    return found.median if found else None
