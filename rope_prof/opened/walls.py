"""Wall times of a run against one side of a baseline, kept in the user's cache: bootstrap intervals are dear."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.sides import NotComparableError, Side
from rope_prof.io.kept import place
from rope_prof.io.layout import RUN_FILE, SAMPLES_FILE
from rope_prof.io.run.folder import RunFolder


def wall_verdicts(folder: RunFolder, base: RunFolder, side: tuple[str, str, str]) -> dict[str, Verdict]:
    """Key of `folder` -> its wall time against the baseline's `side` (path, mode, L2 state) in the same case.

    A key that has no partner, or is the baseline itself, is left out.
    """
    files = [one.path / name for one in (folder, base) for name in (RUN_FILE, SAMPLES_FILE)]
    kind = dict[str, Verdict]
    with place([kind, *side, folder.path == base.path], files).asked(kind) as kept:
        return kept.give(_found(folder, base, side)) if kept.value is None else kept.value


def _found(folder: RunFolder, base: RunFolder, side: tuple[str, str, str]) -> dict[str, Verdict]:
    own = folder.path == base.path
    theirs = [f for f in base.run.keys if (f.key.path, f.key.mode, f.key.l2) == side]
    left = replace(base.run, keys=tuple(theirs))
    found: dict[str, Verdict] = {}
    for pick in dict.fromkeys((f.key.path, f.key.mode) for f in folder.run.keys):
        mine = [f for f in folder.run.keys if (f.key.path, f.key.mode) == pick and f.key.l2 == side[2]]
        if not mine or (own and pick == side[:2]):
            continue
        sides = (
            Side(label="baseline", run=left, samples=base.samples, path=side[0], mode=side[1]),
            Side(
                label="run",
                run=replace(folder.run, keys=tuple(mine)),
                samples=folder.samples,
                path=pick[0],
                mode=pick[1],
            ),
        )
        with suppress(NotComparableError):  # no case of both
            pairs = compare(*sides, paired=own, anyway=True, metrics=("wall",))
            found |= {verdict.cand: verdict for verdict in pairs}
    return found
