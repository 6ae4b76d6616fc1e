"""Verdicts as text, Markdown for a pull request, or JSON. Draws what `compare` found, no statistics.

JSON of `compare --json`, version 1: `base`, `cand` (as typed), `paired` (both of one run), `verdicts`: one object per
pair of keys and metric: `case`, `base`, `cand` (key names), `metric` (wall, device), `word`, `ratio` {`median`, `lo`,
`hi`, `n`} of baseline / candidate or null, `reason` or null; `gates`: `metric`, `percent`, `held` (holds, fails,
undecided), `base` and `cand` of each bound asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rope_prof.compare import Gate, Held, Verdict
from rope_prof.units import MISSING, ratio, significant

JSON_VERSION = 1
HEAD = ("case", "baseline", "candidate", "metric", "verdict", "baseline / candidate", "95 % interval")
Checked = tuple[Gate, Verdict, Held]


def compare_json(base: str, cand: str, verdicts: Sequence[Verdict], checked: Sequence[Checked], *, paired: bool) -> str:
    """The JSON document that this module describes."""
    document = {
        "schema_version": JSON_VERSION,
        "base": base,
        "cand": cand,
        "paired": paired,
        "verdicts": [asdict(verdict) | {"case": verdict.case.name} for verdict in verdicts],
        "gates": [asdict(gate) | {"held": held, "base": v.base, "cand": v.cand} for gate, v, held in checked],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def compare_markdown(verdicts: Sequence[Verdict], checked: Sequence[Checked], *, paired: bool) -> str:
    """A table and its notes."""
    rows = [HEAD, tuple("---" for _ in HEAD), *map(_cells, verdicts)]
    table = "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return "\n".join([table, "", *(f"- {line}" for line in notes(verdicts, checked, paired=paired))])


def compare_text(verdicts: Sequence[Verdict], checked: Sequence[Checked], *, paired: bool) -> str:
    """Columns apart by two blanks, and the notes."""
    rows = [HEAD, *map(_cells, verdicts)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, "", *notes(verdicts, checked, paired=paired)])


def notes(verdicts: Sequence[Verdict], checked: Sequence[Checked], *, paired: bool) -> list[str]:
    """What the figures mean, why a verdict is open, and what the bounds said."""
    lines = [
        "Over 1 the candidate is faster; SAME: the whole interval within 2 % of 1. "
        + (
            "Both sides were measured in the same rounds."
            if paired
            else "Two runs: the interval does not hold how far the machine differs from one run to the next."
        )
    ]
    lines += [f"{_short(v.cand)}, {v.metric}: {v.word}, {v.reason}" for v in verdicts if v.reason]
    words = {"fails": "FAILS", "undecided": "warning, undecided", "holds": "holds"}
    lines += [
        f"{words[held]}: {g.metric}>{g.percent:g}% for {_short(v.cand)} ({v.case.name})" for g, v, held in checked
    ]
    return lines


def _cells(verdict: Verdict) -> tuple[str, ...]:
    found = verdict.ratio
    interval = MISSING
    if found is not None and found.lo is not None and found.hi is not None:
        interval = f"[{significant(found.lo, 4)}, {significant(found.hi, 4)}]"
    return (
        verdict.case.name,
        _short(verdict.base),
        _short(verdict.cand),
        verdict.metric,
        verdict.word,
        ratio(found.median if found else None),
        interval,
    )


def _short(key_name: str) -> str:
    """`fused eager cold` of a key's name; a path may hold dots of its own, the case holds none."""
    path, mode, l2, *_ = key_name.rsplit(".", 4)
    return f"{path} {mode} {l2}"
