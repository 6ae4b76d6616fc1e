"""Verdicts as text, Markdown for a pull request, or JSON. Draws what `compare` found, no statistics.

JSON of `compare --json`, version 1: `base`, `cand` (as typed), `paired` (both of one run), `command`, `machines` (one
line each: baseline, candidate), `method` (the notes), `differences` (what differs and was let pass): `what`, `base`,
`cand`; `verdicts`: one object per pair of keys and metric: `case`, `base`, `cand` (key names), `metric` (wall, device,
kernels, bubble), `word`, `ratio` {`median`, `lo`, `hi`, `n`} of baseline / candidate or null, `reason` or null,
`before`, `after` (medians: ns per call, of kernels their number; null where there is none); `gates`: `metric`,
`percent`, `held` (holds, fails, undecided), `base` and `cand` of each bound asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rope_prof.analysis.comparison.compare import Difference, Gate, Held, Side, Verdict
from rope_prof.units import MISSING, duration, ratio, significant
from rope_prof.views.report.markdown import code, md
from rope_prof.views.terminal.run import machine_line
from rope_prof.views.terminal.trace import shown

if TYPE_CHECKING:
    import polars as pl

JSON_VERSION = 1
HEAD = (
    "case",
    "baseline",
    "candidate",
    "metric",
    "verdict",
    "before",
    "after",
    "baseline / candidate",
    "95 % interval",
)
_RIGHT = {5, 6, 7, 8}
Checked = tuple[Gate, Verdict, Held]
_HELD = {"fails": "FAILS", "undecided": "warning, undecided", "holds": "holds"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All that is drawn. `typed`: both sides as they were; `command` can be typed again."""

    typed: tuple[str, str]
    base: Side
    cand: Side
    paired: bool
    command: str
    verdicts: Sequence[Verdict]
    checked: Sequence[Checked] = ()
    differences: Sequence[Difference] = ()


def compare_json(found: Comparison) -> str:
    """The JSON document that this module describes."""
    document = {
        "schema_version": JSON_VERSION,
        "base": found.typed[0],
        "cand": found.typed[1],
        "paired": found.paired,
        "command": found.command,
        "machines": [machine_line(side.run.machine) for side in (found.base, found.cand)],
        "method": method(found),
        "differences": [asdict(one) for one in found.differences],
        "verdicts": [asdict(verdict) | {"case": verdict.case.name} for verdict in found.verdicts],
        "gates": [asdict(gate) | {"held": held, "base": v.base, "cand": v.cand} for gate, v, held in found.checked],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """All that the Markdown says, still plain: what is cleaned of private words before it is written."""

    gates: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    reasons: tuple[str, ...]
    method: tuple[str, ...]
    command: str


def texts(found: Comparison) -> Texts:
    """The texts of that comparison; `rows` holds one for each of `HEAD`."""
    return Texts(
        gates=tuple(gates(found)),
        rows=tuple(map(cells, found.verdicts)),
        reasons=tuple(reasons(found)),
        method=tuple(method(found)),
        command=found.command,
    )


def compare_markdown(said: Texts, notice: str = "") -> str:
    """What the bounds said, the table, open verdicts with their reasons, and how it was measured, folded.

    `notice` is one more line of the folded part: what was removed from the texts.
    """
    rule = tuple("---:" if column in _RIGHT else "---" for column in range(len(HEAD)))
    rows = [map(md, HEAD), rule, *(map(_markdown_cell, range(len(HEAD)), row) for row in said.rows)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    how = [*map(md, said.method), f"Command: {code(said.command)}", *([md(notice)] if notice else [])]
    folded = f"<details>\n<summary>How this was measured</summary>\n\n{_list(how)}\n\n</details>"
    lead, notes = (_list(map(md, lines)) for lines in (said.gates, said.reasons))
    return "\n\n".join(part for part in (lead, table, notes, folded) if part)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def compare_text(found: Comparison) -> str:
    """Columns apart by two blanks, and the notes."""
    rows = [HEAD, *([shown(cell) for cell in cells(verdict)] for verdict in found.verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *map(shown, [*gates(found), *reasons(found), *method(found)])])


def table(found: Comparison) -> pl.DataFrame:
    """The same table as a frame of texts, a column for each of `HEAD`."""
    import polars as pl

    return pl.DataFrame(map(cells, found.verdicts), schema=dict.fromkeys(HEAD, pl.String), orient="row")


def verdict_frame(found: Comparison) -> pl.DataFrame:
    """The verdicts for other programs: times in ns per call, ratio = baseline / candidate with its interval."""
    import polars as pl

    return pl.DataFrame(
        [
            (v.case.name, v.base, v.cand, v.metric, v.word, v.before, v.after)
            + ((v.ratio.median, v.ratio.lo, v.ratio.hi, v.ratio.n) if v.ratio else (None,) * 4)
            + (v.reason,)
            for v in found.verdicts
        ],
        schema={
            **dict.fromkeys(("case", "base", "cand", "metric", "verdict"), pl.String),
            **dict.fromkeys(("before", "after", "ratio", "ratio_lo", "ratio_hi"), pl.Float64),
            "rounds": pl.Int64,
            "reason": pl.String,
        },
        orient="row",
    )


def tally(found: Comparison) -> list[tuple[str, list[tuple[str, int]]]]:
    """(metric, how many verdicts of each word) in the order of the table."""
    counted: dict[str, dict[str, int]] = {}
    for v in found.verdicts:
        words = counted.setdefault(v.metric, {})
        words[v.word] = words.get(v.word, 0) + 1
    return [(metric, list(words.items())) for metric, words in counted.items()]


def gates(found: Comparison) -> list[str]:
    """What each bound said."""
    return [
        f"{_HELD[held]}: {g.metric}>{g.percent:g}% for {short(v.cand)} ({v.case.name})" for g, v, held in found.checked
    ]


def reasons(found: Comparison) -> list[str]:
    """Why a verdict is open; one line for all verdicts of one reason."""
    lines: dict[tuple[str, str], list[str]] = {}
    for v in found.verdicts:
        if v.reason:
            named = f"{short(v.cand)}, {v.metric} ({v.case.name})"
            lines.setdefault((v.word, v.reason), []).append(named)
    return [f"{word}, {reason}: {_few(named)}" for (word, reason), named in lines.items()]


def _few(names: Sequence[str], most: int = 4) -> str:
    left = len(names) - most
    return "; ".join(names[:most]) + (f"; and {left} more" if left > 0 else "")


def method(found: Comparison) -> list[str]:
    """What the figures mean, where and how they were measured, and what is not in the interval."""
    pairing = (
        "Both sides were measured in the same rounds, in an order shuffled in each; the ratio is the median of the "
        "rounds' own ratios, its 95 % interval by order statistics."
        if found.paired
        else "Two runs: the ratio is that of the medians, its 95 % interval the ends of both sides' own at 97.5 %; it "
        "does not hold how far the machine differs from one run to the next."
    )
    return [
        "Over 1 the candidate is faster; SAME: the whole interval within 2 % of 1; FASTER and SLOWER: all of it on one "
        "side of 1. Per call; kernels and bubble (wall less the busy time of the capture) come from the traces.",
        pairing,
        f"Rounds: {_rounds(found.verdicts)}; L2 state: {_states(found)}.",
        *_machines(found),
        *(f"Compared although they differ in {one}." for one in found.differences),
        *_throttled(found),
    ]


def _rounds(verdicts: Sequence[Verdict]) -> str:
    counts = sorted({v.ratio.n for v in verdicts if v.ratio and v.metric != "kernels"})
    return MISSING if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _states(found: Comparison) -> str:
    return ", ".join(dict.fromkeys(facts.key.l2 for side in (found.base, found.cand) for facts in side.keys))


def _machines(found: Comparison) -> list[str]:
    base, cand = (
        f"{machine_line(side.run.machine)}, recorded {side.run.created[:10]} by rope_prof {side.run.rope_prof}"
        for side in (found.base, found.cand)
    )
    return [f"Machine: {base}."] if base == cand else [f"Baseline on {base}.", f"Candidate on {cand}."]


def _throttled(found: Comparison) -> list[str]:
    """A line for each side with samples that were taken while the clock was held down."""
    lines = []
    for side, names in (
        (found.base, {v.base for v in found.verdicts}),
        (found.cand, {v.cand for v in found.verdicts}),
    ):
        mine = side.samples.filter(side.samples["key"].is_in(list(names)))
        held = int(mine["throttled"].sum() or 0)
        if held:
            lines.append(
                f"{side.label}: {held} of {mine.height} samples were taken while the GPU's clock was held down."
            )
    return lines


def cells(verdict: Verdict) -> tuple[str, ...]:
    """One line of the table, a text for each of `HEAD`."""
    found = verdict.ratio
    interval = MISSING
    if found is not None and found.lo is not None and found.hi is not None:
        exact = verdict.metric == "kernels"
        interval = "exact" if exact else f"[{significant(found.lo, 4)}, {significant(found.hi, 4)}]"
    return (
        verdict.case.name,
        short(verdict.base),
        short(verdict.cand),
        verdict.metric,
        verdict.word,
        value(verdict, verdict.before),
        value(verdict, verdict.after),
        ratio(found.median if found else None),
        interval,
    )


def value(verdict: Verdict, figure: float | None) -> str:
    """`20.4 µs`, or a count of kernels: one side's figure of that verdict."""
    if verdict.metric != "kernels":
        return duration(figure)
    return MISSING if figure is None else f"{figure:g}"


def _markdown_cell(column: int, cell: str) -> str:
    """The case and the keys are names from files: letter for letter."""
    return code(cell) if column < 3 else f"**{cell}**" if cell in {"FASTER", "SLOWER"} else md(cell)


def short(key_name: str) -> str:
    """`fused eager cold` of a key's name; a path may hold dots of its own, the case holds none."""
    parts = key_name.rsplit(".", 4)
    return " ".join(parts[:3])
