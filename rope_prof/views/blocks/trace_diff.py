"""Two stretches of traces as blocks: one sentence, a waterfall that closes, kernels, ranges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import polars as pl
from msgspec import to_builtins

from rope_prof.analysis.diff.diff import DiffTerm, TraceDiff
from rope_prof.analysis.diff.side import TraceSide
from rope_prof.units import MISSING, duration, ratio, significant
from rope_prof.views.blocks.model import Block, Bullets, Cell, Picture, Table, Words, charted
from rope_prof.views.draw.svg import Drawing
from rope_prof.views.draw.trace_diff import diff_chart
from rope_prof.views.words.differences import PARTS, ends_of, of_each, signed, term_words
from rope_prof.views.words.names import short_name

SCHEMA_VERSION: Final = 1
KERNELS_SHOWN: Final = 15
RANGES_SHOWN: Final = 12
#: Terms under this part of the larger side are not worth a word in the sentence.
_WORTH: Final = 0.005
_IN_SENTENCE: Final = 3
_ALIGNED: Final = "of each side, as profiled, on one scale"
ALIGNED_NOTE: Final = (
    "Zero is each side’s first GPU event, its end where its pale ground ends. Of neighbours too short to be told apart "
    "a box is as high as it is filled."
)


def diff_blocks(
    diff: TraceDiff, names: tuple[str, str] | None = None, aligned: Drawing | None = None
) -> tuple[Block, ...]:
    """All of it, the sentence first; `aligned`: one call of each side, drawn.

    `names` of the two files, where their paths are not what a user knows them by.
    """
    found: list[Block] = [Words(text=diff_sentence(diff), tone="strong"), Words(text=sure(diff))]
    if diff.doubts:
        found.append(Bullets(items=tuple(f"Read with care: {doubt}." for doubt in diff.doubts)))
    files = names or _files(diff)
    found.append(charted(diff_chart(diff, " → ".join(files)), "difference"))
    if aligned is not None:
        found.append(Picture(name="aligned", drawing=aligned, title=aligned_title(diff), caption=ALIGNED_NOTE))
    found += [_sides(diff, files), _waterfall(diff), _kernels(diff)]
    if diff.ranges:
        found.append(_ranges(diff))
    return tuple(found)


def aligned_title(diff: TraceDiff) -> str:
    """What heads the picture of both sides."""
    return f"{'All' if diff.whole else 'One call'} {_ALIGNED}"


def diff_sentence(diff: TraceDiff) -> str:
    """`51.0 ms a call instead of 61.9 ms (1.21x): 5.1 ms less idle waiting for the host's launch in rope; ...`."""
    before, after = float(diff.before_ns), float(diff.after_ns)
    of = "in all" if diff.cand.name is None else f"a call{_of(diff.cand.name)}"
    speed = f" ({ratio(before / after)})" if after > 0 else ""
    head = f"{duration(after)} {of} instead of {duration(before)}{speed}"
    worth = [term for term in diff.terms if abs(term.delta_ns) > _WORTH * max(before, after)]
    if not worth:
        return f"{head}: no part changed by more than half a percent."
    said = "; ".join(_said(term, diff) for term in worth[:_IN_SENTENCE])
    return f"{head}: {said}."


def _of(name: str) -> str:
    """` of layer#*`; nothing of our own captures, whose ranges are their calls."""
    return "" if name.startswith("call #") else f" of {name}"


def _said(term: DiffTerm, diff: TraceDiff) -> str:
    much = duration(abs(float(term.delta_ns)))
    if term.part == "overlap":
        return f"{much} {'less' if term.delta_ns > 0 else 'more'} {PARTS['overlap']}"
    word = "less" if term.delta_ns < 0 else "more"
    place = f" in {term.place}" if term.place else ""
    return f"{much} {word} {term_words(term)}{place}{_fused(diff) if term.part == 'kernels' else ''}"


def _fused(diff: TraceDiff) -> str:
    """`, 700 kernels a call became 28 in rope`, where that is the largest change of kernels."""
    first = next((row for row in diff.kernels if not row.copies), None)
    if first is None or first.change not in ("fused", "split"):
        return ""
    place = f" in {first.within}" if first.within else ""
    return f", {_count(first.count_before)} kernels{of_each(diff)} became {_count(first.count_after)}{place}"


def sure(diff: TraceDiff) -> str:
    """What the calls as samples say of the medians, and on which clock."""
    clock = "Times are of the profiled runs."
    if diff.lo is None or diff.hi is None or diff.ratio is None:
        return f"{diff.word}: too few calls for an interval. {clock}"
    interval = f"{ratio(diff.ratio)} [{significant(diff.lo)}, {significant(diff.hi)}]"
    return (
        f"{diff.word}: median call {interval} over {diff.base.calls} and {diff.cand.calls} calls. {clock} Calls of one "
        "recording do not tell how recordings differ."
    )


def _files(diff: TraceDiff) -> tuple[str, str]:
    before, after = (re.split(r"[/\\]", side.source)[-1] for side in (diff.base, diff.cand))
    return before, after


def _sides(diff: TraceDiff, files: tuple[str, str]) -> Table:
    sides = (("before", files[0], diff.base), ("after", files[1], diff.cand))
    return Table(
        head=(
            "side",
            "file",
            "range",
            "device",
            "calls",
            "in all" if diff.whole else "a call",
            "busy",
            "idle",
            "judged",
        ),
        rows=tuple(_side_row(*side) for side in sides),
        right=frozenset({4, 5, 6, 7}),
        title="Sides" if diff.whole else "Sides, a call",
    )


def _side_row(word: str, file: str, side: TraceSide) -> tuple[Cell, ...]:
    busy = side.busy_ns / side.calls
    span = side.span_ns / side.calls
    return (
        Cell(text=word),
        Cell(text=file, name=True),
        Cell(text=side.name or "whole device", name=side.name is not None),
        Cell(text=side.device_name or side.device, name=True),
        Cell(text=f"{side.calls:,}"),
        Cell(text=duration(span)),
        Cell(text=duration(busy)),
        Cell(text=duration(span - busy)),
        Cell(text=side.integrity.verdict),
    )


def _waterfall(diff: TraceDiff) -> Table:
    """From a call before to a call after; the column of changes adds up."""
    first, last = ends_of(diff)
    rows = [_edge(first, diff.before_ns)]
    rows += [
        (
            Cell(text=term_words(term)),
            Cell(text=duration(float(term.before_ns))),
            Cell(text=duration(float(term.after_ns))),
            _delta(term.delta_ns),
            Cell(text=term.place or "", name=term.place is not None),
        )
        for term in diff.terms
        if term.before_ns or term.after_ns
    ]
    rows.append(_edge(last, diff.after_ns))
    return Table(
        head=("part of it" if diff.whole else "part of a call", "before", "after", "change", "most of it in"),
        rows=tuple(rows),
        right=frozenset({1, 2, 3}),
        title="Where the difference is",
    )


def _edge(word: str, ns: Fraction) -> tuple[Cell, ...]:
    return (Cell(text=word, tone="strong"), Cell(text=""), Cell(text=""), Cell(text=duration(float(ns))), Cell(text=""))


def _delta(ns: Fraction) -> Cell:
    return Cell(text=signed(ns), tone="bad" if ns > 0 else "good" if ns else "")


def _kernels(diff: TraceDiff) -> Table:
    """Those that change at least a thousandth of a call, and what was fused, gone or new with them."""
    least = max(diff.before_ns, diff.after_ns) / 1000
    shown = [row for row in diff.kernels if abs(row.delta_ns) >= least][:KERNELS_SHOWN]
    rest = len(diff.kernels) - len(shown)
    title = "Kernels and copies, by what they change" + (
        f" ({rest:,} more change less: --json lists all)" if rest else ""
    )
    rows = tuple(
        (
            Cell(text="changed" if row.change == "same" else row.change),
            Cell(text=_names(row.before), name=True),
            Cell(text="" if row.before == row.after else _names(row.after), name=True),
            Cell(text=row.within or "", name=True),
            Cell(text=f"{_count(row.count_before)} → {_count(row.count_after)}"),
            Cell(text=f"{duration(float(row.ns_before))} → {duration(float(row.ns_after))}"),
            _delta(row.delta_ns),
        )
        for row in shown
    )
    times = "times" if diff.whole else "a call"
    head = ("what", "before", "after", "range", times, f"time{of_each(diff)}", "change")
    return Table(head=head, rows=rows, right=frozenset({4, 5, 6}), title=title)


def _names(names: Sequence[str]) -> str:
    """The kernels of a row in a line: the first, and how many others."""
    if not names:
        return MISSING
    distinct = list(dict.fromkeys(names))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return short_name(distinct[0]) + more


def _count(count: Fraction) -> str:
    return f"{int(count):,}" if count.denominator == 1 else significant(float(count))


def _ranges(diff: TraceDiff) -> Table:
    ranges = diff.ranges
    rows = tuple(
        (
            Cell(text=one.name, name=True),
            Cell(text=f"{_count(one.calls_before)} → {_count(one.calls_after)}"),
            Cell(text=f"{duration(float(one.busy_before_ns))} → {duration(float(one.busy_after_ns))}"),
            Cell(text=f"{duration(float(one.idle_before_ns))} → {duration(float(one.idle_after_ns))}"),
            _delta(one.delta_ns),
        )
        for one in ranges[:RANGES_SHOWN]
    )
    rest = len(ranges) - RANGES_SHOWN
    title = "Ranges, by what they change; nested ones are inclusive" + (f" ({rest:,} more)" if rest > 0 else "")
    head = ("range", *(f"{what}{of_each(diff)}" for what in ("times", "busy", "idle")), "change")
    return Table(head=head, rows=rows, right=frozenset({1, 2, 3, 4}), title=title)


def change_frame(diff: TraceDiff) -> pl.DataFrame:
    """Every kernel row as a table to download: ns and times a call."""
    rows = [
        {
            "what": row.change,
            "range": row.within,
            "before": " + ".join(row.before),
            "after": " + ".join(row.after),
            "times before": float(row.count_before),
            "times after": float(row.count_after),
            "ns before": float(row.ns_before),
            "ns after": float(row.ns_after),
            "change ns": float(row.delta_ns),
        }
        for row in diff.kernels
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def diff_json(diff: TraceDiff) -> dict[str, Any]:
    """The documented JSON: ns a call as numbers, and the exact sums that they come from."""
    return {
        "schema_version": SCHEMA_VERSION,
        "sentence": diff_sentence(diff),
        "verdict": diff.word,
        "ratio": diff.ratio,
        "interval": None if diff.lo is None else [diff.lo, diff.hi],
        "doubts": list(diff.doubts),
        "base": _side_json(diff.base),
        "candidate": _side_json(diff.cand),
        "terms": [
            {"part": term.part, "cause": term.cause, "place": term.place} | _pair(term.before_ns, term.after_ns)
            for term in diff.terms
        ],
        "kernels": [
            {
                "change": row.change,
                "copies": row.copies,
                "range": row.within,
                "before": list(row.before),
                "after": list(row.after),
                "count_before": float(row.count_before),
                "count_after": float(row.count_after),
            }
            | _pair(row.ns_before, row.ns_after)
            for row in diff.kernels
        ],
        "ranges": [to_builtins(one, enc_hook=float) | {"delta_ns": float(one.delta_ns)} for one in diff.ranges],
    }


def _pair(before: Fraction, after: Fraction) -> dict[str, float]:
    return {"before_ns": float(before), "after_ns": float(after), "delta_ns": float(after - before)}


def _side_json(side: TraceSide) -> dict[str, Any]:
    return {
        "source": side.source,
        "range": side.name,
        "device": side.device,
        "device_name": side.device_name,
        "integrity": side.integrity.verdict,
        "calls": side.calls,
        "span_ns": side.span_ns,
        "busy_ns": side.busy_ns,
        "kernel_ns": side.kernel_ns,
        "copy_ns": side.copy_ns,
        "overlap_ns": side.overlap_ns,
        "idle_by_cause_ns": side.idle_by_cause_ns,
    }
