"""Verdicts as text, Markdown for a pull request, or JSON. Draws what `compare` found, no statistics.

JSON of `compare --json`, version 1: `base`, `cand` (as typed), `paired` (both of one run), `command`, `machines` (one
line each: baseline, candidate), `method` (the notes), `differences` (what differs and was let pass): `what`, `base`,
`cand`; `unlike`: what of the machines, versions, commits and clocks of two runs differs, the same three; `verdicts`:
one object per pair of keys and metric: `case`, `base`, `cand` (key names), `metric` (wall, device, kernels, bubble),
`word`, `ratio` {`median`, `lo`, `hi`, `n`} of baseline / candidate or null, `reason` or null, `before`, `after`
(medians: ns per call, of kernels their number; null where there is none); of two runs `within` (the ratio by their
rounds alone) and `between` {`factor`, `how`} (how far runs of the same code differ, which `ratio` holds); `p_value`
(how likely such a difference is of sides without any) and `chance` (it is no more than so many comparisons give);
`untimed` (a key that neither side's device can time); `families`: per metric `judged`, `differ`, `by_chance`, `kept`;
`gates`: `metric`, `percent`, `held` (holds, fails, undecided), `base` and `cand` of each bound asked for;
`allow_unknown`: whether bounds that are undecided pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import polars as pl

from rope_prof.analysis.comparison.compare import Verdict, families
from rope_prof.units import MISSING, ratio, significant
from rope_prof.views.words.comparison import Comparison, gates, method, reasons
from rope_prof.views.words.labels import short
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.markdown import code, md
from rope_prof.views.words.names import shown
from rope_prof.views.words.verdicts import value

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
        "unlike": [asdict(one) for one in found.unlike],
        "verdicts": [asdict(verdict) | {"case": verdict.case.name} for verdict in found.verdicts],
        "families": [asdict(one) for one in families(found.verdicts)],
        "allow_unknown": found.allow_unknown,
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
    return pl.DataFrame(map(cells, found.verdicts), schema=dict.fromkeys(HEAD, pl.String), orient="row")


def verdict_frame(found: Comparison) -> pl.DataFrame:
    """The verdicts for other programs: times in ns per call, ratio = baseline / candidate with its interval."""
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


def _markdown_cell(column: int, cell: str) -> str:
    """The case and the keys are names from files: letter for letter."""
    return code(cell) if column < 3 else f"**{cell}**" if cell in {"FASTER", "SLOWER"} else md(cell)
