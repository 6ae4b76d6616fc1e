"""A gate's answer as the comment of a pull request and as a job's summary: at most `LINES` lines, the worst first.

Markdown of GitHub. Everything a table has no room for is counted, so that nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rope_prof.analysis.comparison.gates import Held
from rope_prof.analysis.stats import Figure
from rope_prof.units import MISSING, percent
from rope_prof.views.exchange.judged import STATES, Judged, worst
from rope_prof.views.words.comparison import method
from rope_prof.views.words.labels import key_words, name_parts
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.markdown import code, md
from rope_prof.views.words.verdicts import value

#: A comment that is longer is not read.
LINES = 25
#: Rows of the table, of up to `LINES` with all that stands around them.
_ROWS = 10
_ERRORS = 3
_SIGNS: dict[Held, str] = {"fails": "❌", "undecided": "❔", "holds": "✅"}
_WORDS = {
    "fails": "a bound fails",
    "undecided": "a bound cannot be judged, which is no pass",
    "holds": "every bound holds",
    "allowed": "every bound that can be judged holds",
}
_HEAD = ("", "what", "path, mode", "metric", "base", "candidate", "change [95 %]", "bound")


def comment(found: Sequence[Judged], artifacts: str = "") -> str:
    """The comment. `artifacts`: a line of Markdown on where the run, the report and the traces are."""
    state = worst({one.state for one in found})
    rows = sorted(_rows(found), key=lambda row: STATES.index(row[0]))
    errors = list(_errors(found))
    words = _WORDS[state if state != "holds" or all(held == "holds" for held, _ in rows) else "allowed"]
    lines = [f"### {_SIGNS[state]} rope_prof: {words}", "", _summary(rows, found), ""]
    if rows:
        lines += [_line(_HEAD), _line(["---", "---", "---", "---", "---:", "---:", "---:", "---"])]
        lines += [_line(cells) for _, cells in rows[:_ROWS]]
        lines += [_more(len(rows) - _ROWS, "row")] if len(rows) > _ROWS else []
    if errors:
        lines += ["", *errors[:_ERRORS], *([_more(len(errors) - _ERRORS, "sentence")] if len(errors) > _ERRORS else [])]
    how = _how(found)
    lines += ["", f"<details><summary>How it was measured</summary> {md(how)}</details>"] if how else []
    lines += [artifacts] if artifacts else []
    return "\n".join(lines) + "\n"


def _summary(rows: Sequence[tuple[Held, Sequence[str]]], found: Sequence[Judged]) -> str:
    counts = [sum(broken.fails for one in found for broken in one.broken)]
    counts += [sum(held == state for held, _ in rows) for state in STATES]
    words = ("wrong or failed", "fail", "open", "hold")
    said = ", ".join(f"{count} {what}" for count, what in zip(counts, words, strict=True) if count)
    machines = dict.fromkeys(
        machine_line(one.comparison.cand.run.machine) for one in found if one.comparison is not None
    )
    waived = any(one.comparison is not None and one.comparison.allow_unknown for one in found)
    option = "" if waived or not counts[STATES.index("undecided") + 1] else " What is open passes by --allow-unknown."
    return md(f"{said or 'nothing was judged'}.{option} {'; '.join(machines)}".strip())


def _rows(found: Sequence[Judged]) -> Iterator[tuple[Held, Sequence[str]]]:
    for one in found:
        for gate, verdict, held in one.checked:
            path, mode, *_ = name_parts(verdict.cand)
            yield (
                held,
                (
                    _SIGNS[held],
                    md(f"{one.name}: {verdict.case.words}"),
                    md(f"{path} {mode}"),
                    md(verdict.metric),
                    md(value(verdict, verdict.before)),
                    md(value(verdict, verdict.after)),
                    md(_change(verdict.ratio)),
                    md(f"{gate.metric}>{gate.percent:g}%"),
                ),
            )


def _change(ratio: Figure | None) -> str:
    """`+10.1 % [+8.9, +11.3]`: how much more the candidate takes."""
    if ratio is None or not ratio.median:
        return MISSING
    ends = "" if not ratio.lo or not ratio.hi else f" [{100 / ratio.hi - 100:+.1f}, {100 / ratio.lo - 100:+.1f}]"
    grown = 1 / ratio.median - 1
    return f"{'+' if grown >= 0 else ''}{percent(grown, 1)}{ends}"


def _errors(found: Sequence[Judged]) -> Iterator[str]:
    for one in found:
        if one.error is not None:
            yield f"{_SIGNS[one.state]} {md(one.name)}: {code(' '.join(one.error.split()))}"
        for broken in one.broken:
            sign = _SIGNS["fails" if broken.fails else "undecided"]
            why = " ".join((broken.facts.reason or "").split())
            yield f"{sign} {md(f'{one.name}: {key_words(broken.facts.key)}')} is {broken.facts.status}: {code(why)}"


def _how(found: Sequence[Judged]) -> str:
    compared = [one.comparison for one in found if one.comparison is not None]
    if not compared:
        return ""
    commands = "; ".join(dict.fromkeys(one.command for one in compared[:3]))
    return f"{' '.join(method(compared[0]))} Again: {commands}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _more(count: int, noun: str) -> str:
    return f"… and {count} more {noun}{'' if count == 1 else 's'}: in the artifacts"
