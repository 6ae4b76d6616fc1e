"""The page that lists a run's traces before one is opened in Perfetto: one self-contained HTML text, no script.

Every trace-bearing key of the run is a link, with its time drawn to the scale of its case: busy, then bubble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from html import escape
from itertools import groupby

from rope_prof.analysis.run.rows import Row
from rope_prof.model.run import Run
from rope_prof.units import MISSING, duration, ratio, size
from rope_prof.views.draw.palette import DARK, LIGHT, Palette
from rope_prof.views.words.labels import case_words
from rope_prof.views.words.machine import machine_line

_STYLE = """
:root { color-scheme: light dark; %(light)s }
@media (prefers-color-scheme: dark) { :root { %(dark)s } }
body { margin: 0 auto; padding: 2rem 1.5rem 3rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 2.2rem 0 .4rem; }
p { margin: .2rem 0; color: var(--muted); }
table { width: 100%%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { font-weight: 400; color: var(--muted); text-align: right; white-space: nowrap; }
td { text-align: right; white-space: nowrap; }
th, td { padding: .45rem 0 .45rem 1.2rem; border-bottom: 1px solid var(--rule); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.scale { width: 40%%; } td.scale div { display: flex; height: .9rem; }
a { color: var(--kernel); text-decoration: none; font-weight: 600; } a:hover { text-decoration: underline; }
.busy { background: var(--kernel); } .bubble { background: var(--bubble); } .distrusted { opacity: .45; }
.wrong { color: var(--warn); } .absent td { color: var(--muted); text-align: left; white-space: normal; }
i { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 .8em; }
"""


def index_page(
    run: Run,
    rows: Sequence[Row],
    links: Mapping[str, str],
    sizes: Mapping[str, int],
    together: Mapping[str, str] | None = None,
) -> str:
    """The page. `links` holds the address of each key's trace, `sizes` its bytes; a key without one says why.

    `together`: of each case (by name) the address of all its traces as one.
    """
    cases = groupby(rows, key=lambda row: row.case)
    sections = "".join(
        f"<h2>{escape(case_words(case))}{_together(case.name, together or {})}</h2>{_table(list(group), links, sizes)}"
        for case, group in cases
    )
    style = _STYLE % {"light": _colours(LIGHT), "dark": _colours(DARK)}
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.name)} · traces</title><style>{style}</style></head><body>"
        f"<h1>{escape(run.name)}</h1><p>{escape(machine_line(run.machine))} · {escape(run.created)}</p>"
        "<p>Each link opens that capture in the offline Perfetto UI. Bars: one call on the scale of its case, "
        '<i class="busy"></i>busy <i class="bubble"></i>bubble, from the unprofiled time where there is one; '
        "pale where only the profiler's time is known.</p>"
        f"{sections}</body></html>"
    )


def _together(case: str, links: Mapping[str, str]) -> str:
    if case not in links:
        return ""
    return (
        f' · <a href="{escape(links[case])}" target="_blank" rel="noopener">all paths on one timeline, call by call</a>'
    )


def _colours(palette: Palette) -> str:
    """The palette's colours as custom properties of the page."""
    values = ((field.name, getattr(palette, field.name)) for field in fields(palette))
    return " ".join(f"--{name}: {value};" for name, value in values if isinstance(value, str) and value.startswith("#"))


def _table(rows: Sequence[Row], links: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    longest = max((_whole_ns(row) for row in rows), default=0.0)
    titles = ("trace", "", *(title for title, _ in _CELLS), "size")
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(
        _line(row, links[row.key], sizes[row.key], longest) if row.key in links else _absent(row, len(titles))
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


_CELLS: tuple[tuple[str, Callable[[Row], str]], ...] = (
    ("kernels", lambda row: MISSING if row.kernels_per_call is None else f"{row.kernels_per_call:g}"),
    ("busy", lambda row: duration(row.busy_ns)),
    ("bubble", lambda row: duration(_bubble_ns(row))),
    ("wall", lambda row: duration(row.wall_ns.median) if row.wall_ns else MISSING),
    ("speedup", lambda row: ratio(row.speedup)),
)


def _bubble_ns(row: Row) -> float | None:
    """The corrected bubble; the raw one where the call was not timed unprofiled."""
    return row.bubble_raw_ns if row.bubble_corrected_ns is None else row.bubble_corrected_ns


def _whole_ns(row: Row) -> float:
    return (row.busy_ns or 0.0) + max(_bubble_ns(row) or 0.0, 0.0)


def _line(row: Row, link: str, count: int, longest: float) -> str:
    cells = "".join(f"<td>{escape(text(row))}</td>" for _, text in _CELLS)
    wrong = f' <span class="wrong">{escape(row.status)}</span>' if row.status != "measured" else ""
    return (
        f'<tr title="{escape(row.key)}"><td><a href="{escape(link)}" target="_blank" rel="noopener">'
        f'{escape(row.path)} {escape(row.mode)} {escape(row.l2)}</a>{wrong}</td><td class="scale">'
        f"{_bar(row, longest)}</td>{cells}<td>{size(count)}</td></tr>"
    )


def _bar(row: Row, longest: float) -> str:
    if not longest:
        return ""
    parts = (("busy", row.busy_ns or 0.0), ("bubble", max(_bubble_ns(row) or 0.0, 0.0)))
    pale = " distrusted" if row.bubble_corrected_ns is None else ""
    inner = "".join(f'<span class="{name}" style="width:{ns / longest:.2%}"></span>' for name, ns in parts)
    return f'<div class="bar{pale}">{inner}</div>'


def _absent(row: Row, columns: int) -> str:
    why = f"{row.status}: {row.reason}" if row.reason else row.status
    return (
        f'<tr class="absent" title="{escape(row.key)}"><td>{escape(row.path)} {escape(row.mode)} {escape(row.l2)}</td>'
        f'<td colspan="{columns - 1}">no trace · {escape(why)}</td></tr>'
    )
