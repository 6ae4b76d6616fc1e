"""An opened run as a baseline to keep, and the words `baseline:NAME` as a run to compare with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from rope_prof.analysis.comparison.evidence import Known
from rope_prof.analysis.comparison.history import group, kept, known, known_with
from rope_prof.analysis.comparison.sides import NotComparableError, Side
from rope_prof.analysis.run.processes import middle_of
from rope_prof.analysis.run.series import PerRound, series
from rope_prof.errors import UsageError
from rope_prof.io.run.baselines import Baselines, checked_name
from rope_prof.io.run.folder import is_run, read_run
from rope_prof.io.run.history import kept_runs
from rope_prof.model.baseline import PREFIX, BaselineKey, KeptFigure, NamedRun
from rope_prof.model.history import machine_kind
from rope_prof.model.run import Run
from rope_prof.opened.comparison import folder_of, sides
from rope_prof.opened.run import OpenedRun


def baseline(name: str, opened: OpenedRun, note: str = "") -> NamedRun:
    """What is kept of that run under `name`. Errors: UsageError for a bad name, or a run that timed nothing."""
    run, found = opened.run, series(opened.samples, opened.run)
    keys: dict[str, BaselineKey] = {}
    spread: dict[str, dict[str, float]] = {}
    before = kept_runs(run.machine)
    for key in (facts.key for facts in run.keys if facts.status == "measured"):
        figures = {}
        for clock in ("wall", "device"):
            one = middle_of(found.get((key.name, clock), PerRound()))
            if one is not None:
                figures[clock] = KeptFigure(one.median, one.lo, one.hi, one.n)
            apart = known(before, key, clock)
            if apart is not None:
                spread.setdefault(group(key), {})[clock] = apart.factor
        if figures:
            keys[key.name] = BaselineKey(
                case=key.case.name, path=key.path, mode=key.mode, l2=key.l2, rank=key.rank, figures_ns=figures
            )
    if not keys:
        raise UsageError(f"run '{opened.path}' timed nothing; a baseline needs one measured key: record it again")
    return NamedRun(
        version=0,
        id="",
        name=checked_name(name),
        created=run.created,
        operation=run.operation.name,
        machine=machine_kind(run.machine),
        device=run.machine.device_name,
        commit=run.machine.commit,
        dirty=run.machine.dirty,
        keys=keys,
        spread=spread,
        kept=kept(run, opened.samples),
        note=note,
    )


def is_baseline(word: str) -> bool:
    """Whether that word of a command line names a baseline: `baseline:main`, or a path and mode of one.

    Where there is a run folder `baseline`, the word names that, as before there were names.
    """
    return word.startswith(PREFIX) and not is_run(Path(PREFIX.rstrip(":")))


def newest(store: Baselines, name: str, like: Run | None = None) -> NamedRun:
    """The newest recording under `name` that still has its run: of the operation and kind of machine of `like`.

    One of the same device with other versions is next; what differs the comparison says. Errors: those of
    `Baselines.all`; NotComparableError where none is of that operation and device.
    """
    found = [one for one in store.all(name) if one.files]
    if like is None:
        return found[-1]
    of_it = [one for one in found if one.operation == like.operation.name]
    kind = [one for one in of_it if one.machine == machine_kind(like.machine)]
    device = [one for one in of_it if one.device == like.machine.device_name]
    if not (kind or device):
        has = "; ".join(dict.fromkeys(f"{one.operation} on {one.device}" for one in found))
        raise NotComparableError(
            f"baseline {name!r} has no {like.operation.name} on {like.machine.device_name}; it has {has}: "
            f"baseline set {name} RUN keeps one"
        )
    return (kind or device)[-1]


def before(store: Baselines, one: NamedRun) -> Known:
    """What runs of the same code differed by on the machine of `one`: those kept here, those kept in the store under
    its name, and where they are too few what was known when it was kept.
    """
    stored = [each.kept for each in store.all(one.name) if each.machine == one.machine and each.kept is not None]
    return partial(known_with, stored, one.spread)


@contextmanager
def compared_sides(store: Baselines, base: str, cand: str) -> Iterator[tuple[tuple[Side, Side], bool, Known | None]]:
    """As `comparison.sides`, where either word may be `baseline:NAME[:PATH[/MODE]]`; and what is known of such runs.

    A baseline's files are there while the context lasts. Errors: those of `sides` and `newest`.
    """
    words = (base, cand)
    names = [_parts(word) if is_baseline(word) else None for word in words]
    other = next((word for word, name in zip(words, names, strict=True) if name is None), None)
    like = read_run(folder_of(other)).run if other is not None and is_run(folder_of(other)) else None
    picked = [None if name is None else newest(store, name[0], like) for name in names]
    with ExitStack() as held:
        folders = [None if one is None else held.enter_context(store.opened(one)) for one in picked]
        located = [
            word if name is None or folder is None else f"{folder}{name[1]}"
            for word, name, folder in zip(words, names, folders, strict=True)
        ]
        both, paired = sides(located[0], located[1])
        left, right = (replace(side, label=repr(word)) for side, word in zip(both, words, strict=True))
        one = next((each for each in picked if each is not None), None)
        same = machine_kind(left.run.machine) == machine_kind(right.run.machine)
        yield (left, right), paired, before(store, one) if one is not None and same and not paired else None


def _parts(word: str) -> tuple[str, str]:
    """(the name, the path and mode with their colon) of `baseline:main:fused/graph`."""
    name, colon, rest = word.removeprefix(PREFIX).partition(":")
    return checked_name(name), colon + rest
