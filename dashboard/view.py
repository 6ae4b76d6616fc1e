"""What the viewer looks at (run, case, sides, call), read from and written to the address. No drawing, no files.

The address is the one home of the view: widgets show it, and only a widget's handler changes it. So a link is the
whole view, and moving between pages keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from rope_prof.model.run import Key, KeyFacts, Run

MEDIAN = "median"
BASELINE = ("unfused", "eager")
#: The timeline's window in the address, `LO~HI` in µs (`views.timeline_look.zoom_text`), or FIT for all of it.
ZOOM = "zoom"
TRACE_ZOOM = "trace_zoom"  # the same for the page of any trace
FIT = "fit"


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen value, and the sentence that says so where the address asked for something unknown."""

    value: str
    note: str | None = None


def choose(asked: str | None, options: Sequence[str], what: str, default: str) -> Choice:
    """`asked` where it is one of `options`; else `default`, with a note unless nothing was asked for."""
    if asked is None:
        return Choice(default)
    if asked in options:
        return Choice(asked)
    return Choice(default, f"no {what} '{asked}' here; showing '{default}'")


def choose_sides(
    asked: str | None, options: Sequence[str], default: Sequence[str]
) -> tuple[tuple[str, ...], str | None]:
    """The sides of a comma-separated wish that exist, in the run's order; the default where none does."""
    if asked is None:
        return tuple(default), None
    wanted = [name for name in asked.split(",") if name]
    unknown = [name for name in wanted if name not in options]
    known = tuple(name for name in options if name in wanted) or tuple(default)
    note = f"no recording of '{', '.join(unknown)}' in this case; showing {', '.join(known)}" if unknown else None
    return known, note


def side(key: Key) -> str:
    """`fused.eager.cold`: what names a key within its case and rank, safe in an address."""
    return f"{key.path.replace(':', '@')}.{key.mode}.{key.l2}"


def side_label(key: Key, keys: Sequence[Key]) -> str:
    """`fused · eager`, with the L2 state where the case has keys of both."""
    label = f"{key.path} · {key.mode}"
    return f"{label} · {key.l2}" if len({other.l2 for other in keys}) > 1 else label


def cases(run: Run) -> list[str]:
    """The run's cases by name, in the order of their keys."""
    return list(dict.fromkeys(facts.key.case.name for facts in run.keys))


def default_case(run: Run) -> str:
    """The case with the most captured keys; of those the one nearest to the pull request's 973 tokens."""

    def rank(name: str) -> tuple[int, int]:
        facts = keys_of(run, name)
        return -sum(f.trace is not None for f in facts), abs(facts[0].key.case.tokens - 973)

    return min(cases(run), key=rank)


def keys_of(run: Run, case: str) -> list[KeyFacts]:
    """The facts of the case's keys on the first rank, in the run's order."""
    return [facts for facts in run.keys if facts.key.case.name == case and facts.key.rank == 0]


def captured(run: Run, case: str) -> list[KeyFacts]:
    """Those keys of the case that have a trace."""
    return [facts for facts in keys_of(run, case) if facts.trace is not None]


def default_sides(facts: Sequence[KeyFacts]) -> list[str]:
    """The eager keys; all of them where fewer than two were captured eagerly."""
    eager = [side(f.key) for f in facts if f.key.mode == "eager"]
    return eager if len(eager) > 1 else [side(f.key) for f in facts]


def remember(params: MutableMapping[str, str], values: Mapping[str, str]) -> None:
    """Write the view into the address, also where it is the default, so that a link says all of it."""
    for name, value in values.items():
        if params.get(name) != value:
            params[name] = value


def call_label(value: str) -> str:
    """What the call chooser says of a value of the address."""
    return "median call" if value == MEDIAN else f"call {value}"
