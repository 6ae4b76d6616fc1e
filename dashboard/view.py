"""What the viewer looks at (run, case, paths, modes, call, zoom, baseline), as the address has it. Draws nothing.

The address is the one home of the view: widgets show it, and only a widget's handler changes it. So a link is the
whole view, and moving between pages keeps it. Every page writes all of it, also what equals the default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from rope_prof.analysis.run.cases import main_case
from rope_prof.model.run import Key, KeyFacts, Run
from rope_prof.views.words.labels import side_label

MEDIAN = "median"
#: The baseline's value in the address where no difference is to be shown.
NO_BASELINE = "none"
#: The timeline's window in the address, `LO~HI` in µs (`units.zoom_text`), or FIT for all of it.
ZOOM = "zoom"
TRACE_ZOOM = "trace_zoom"  # the same for the page of any trace
PAIR_ZOOM = "pair_zoom"  # the same for two traces on one scale
STEP_ZOOM = "step_zoom"  # the same for the profiled steps of whole requests
FIT = "fit"
#: Words of the address that pages use, or Streamlit itself, and that runs do not refuse as an axis' name.
_WORDS = frozenset({
    "anyway", "base", "call", "case", "embed", "embed_options", "fleet", "kept", "layer", "memory", "metric", "of",
    "part", "phase", "ranks", "recording", "run", "step", "trace",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """One chosen value, and the sentence that says so where the address asked for something unknown."""

    value: str
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What of a case is looked at: all values exist in the run; `notes` tell what the address asked for in vain."""

    paths: tuple[str, ...]
    modes: tuple[str, ...]
    l2: tuple[str, ...]
    call: str
    base: str
    notes: tuple[str, ...] = ()

    def has(self, key: Key) -> bool:
        """Whether the key's path, mode and L2 state are all chosen."""
        return key.path in self.paths and key.mode in self.modes and key.l2 in self.l2

    @property
    def address(self) -> dict[str, str]:
        """What the address says of it."""
        return {
            "path": ",".join(self.paths),
            "mode": ",".join(self.modes),
            "l2": ",".join(self.l2),
            "call": self.call,
            "base": self.base,
        }


def settle(asked: Mapping[str, str], run: Run, case: str, bases: Sequence[str]) -> View:
    """The view of `case` that the address asks for, with the defaults for what it does not say or says wrongly."""
    keys = [facts.key for facts in keys_of(run, case)]
    paths, path_note = choose_many(asked.get("path"), _each(k.path for k in keys), "path")
    modes, mode_note = choose_many(asked.get("mode"), _each(k.mode for k in keys), "mode", default_modes(keys))
    l2, l2_note = choose_many(asked.get("l2"), _each(k.l2 for k in keys), "L2 state")
    calls = calls_of(run, case)
    call = choose(asked.get("call"), calls, "call", MEDIAN)
    base = choose(asked.get("base"), bases, "baseline", default_base(bases, run.operation.baseline))
    notes = (path_note, mode_note, l2_note, call.note, base.note)
    return View(paths=paths, modes=modes, l2=l2, call=call.value, base=base.value, notes=tuple(filter(None, notes)))


def choose(asked: str | None, options: Sequence[str], what: str, default: str) -> Choice:
    """`asked` where it is one of `options`; else `default`, with a note unless nothing was asked for."""
    if asked is None:
        return Choice(default)
    if asked in options:
        return Choice(asked)
    return Choice(default, f"no {what} '{asked}' here; showing '{default}'")


def choose_many(
    asked: str | None, options: Sequence[str], what: str, default: Sequence[str] = ()
) -> tuple[tuple[str, ...], str | None]:
    """Those of a comma-separated wish that exist, in the run's order; the default (all) where none does."""
    wanted = [name for name in (asked or "").split(",") if name]
    unknown = [name for name in wanted if name not in options]
    known = tuple(name for name in options if name in wanted) or tuple(default or options)
    note = f"no {what} '{', '.join(unknown)}' in this case; showing {', '.join(known)}" if unknown else None
    return known, note


def _each(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def default_modes(keys: Sequence[Key]) -> list[str]:
    """Eager alone where two paths or more have it; else every mode."""
    eager = [key for key in keys if key.mode == "eager"]
    return ["eager"] if len(eager) > 1 else _each(key.mode for key in keys)


def default_base(bases: Sequence[str], baseline: str) -> str:
    """The baseline run eagerly, of the shown run; none where there is none."""
    start = f"{baseline.replace(':', '@')}.eager."
    return next((name for name in bases if name.startswith(start)), NO_BASELINE)


def calls_of(run: Run, case: str) -> list[str]:
    """The median call, then every captured call of the case by its number."""
    most = max((facts.captured_calls or 0 for facts in keys_of(run, case)), default=0)
    return [MEDIAN, *map(str, range(most))]


def side(key: Key) -> str:
    """`fused.eager.cold`: what names a key within its case and rank, safe in an address."""
    return f"{key.path.replace(':', '@')}.{key.mode}.{key.l2}"


def bases(run: Run, case: str, others: Mapping[str, Run]) -> dict[str, tuple[str | None, KeyFacts]]:
    """What can be the baseline of `case`: value of the address -> (name of another run or None, its facts).

    The keys of the case in the shown run, then those of the very same case in the others, as `RUN~fused.eager.cold`.
    """
    mine = keys_of(run, case)
    found: dict[str, tuple[str | None, KeyFacts]] = {side(facts.key): (None, facts) for facts in mine}
    wanted = {facts.key.case for facts in mine}
    for name, other in others.items():
        for facts in other.keys:
            if facts.key.case in wanted and facts.key.rank == 0:
                found[f"{name}~{side(facts.key)}"] = (name, facts)
    return found


def base_label(value: str, found: Mapping[str, tuple[str | None, KeyFacts]]) -> str:
    """What the baseline chooser says of a value: `vs unfused · eager`, with the run where it is another one."""
    if value not in found:
        return "no baseline"
    name, facts = found[value]
    label = side_label(facts.key, [other.key for run, other in found.values() if run == name])
    return f"vs {label}" if name is None else f"vs {label} in {name}"


def cases(run: Run) -> list[str]:
    """The run's cases by name, in the order of their keys."""
    return list(dict.fromkeys(facts.key.case.name for facts in run.keys))


def default_case(run: Run) -> str:
    """The case with the most captured keys; of those the one nearest to the pull request's 973 tokens."""
    found = main_case(run)
    return found.name if found is not None else min(cases(run))


def keys_of(run: Run, case: str) -> list[KeyFacts]:
    """The facts of the case's keys on the first rank, in the run's order."""
    return [facts for facts in run.keys if facts.key.case.name == case and facts.key.rank == 0]


def captured(run: Run, case: str) -> list[KeyFacts]:
    """Those keys of the case that have a trace."""
    return [facts for facts in keys_of(run, case) if facts.trace is not None]


def axis_word(name: str) -> str:
    """By which word the address knows the axis `name`."""
    return f"axis_{name}" if name in _WORDS else name


def remember(params: MutableMapping[str, str], values: Mapping[str, str]) -> None:
    """Write the view into the address, also where it is the default, so that a link says all of it."""
    for name, value in values.items():
        if params.get(name) != value:
            params[name] = value


def call_label(value: str) -> str:
    """What the call chooser says of a value of the address."""
    return "median call" if value == MEDIAN else f"call #{value}"
