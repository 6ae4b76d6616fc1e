"""What two runs were recorded with and have not alike: machine, versions, settings. Knows facts of runs, no times."""

from __future__ import annotations

import polars as pl

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import ALIKE, Run

#: Field of the machine -> what people call it, in the order of a report.
MACHINE = {
    "device_name": "device",
    "capability": "compute capability",
    "multiprocessors": "multiprocessors",
    "memory_bytes": "device memory, bytes",
    "l2_bytes": "L2, bytes",
    "driver": "driver",
    "cuda": "CUDA",
    "torch": "torch",
    "triton": "Triton",
    "python": "Python",
    "platform": "platform",
    "cpu_name": "host CPU",
    "cpu_cores": "host cores",
    "host": "host",
    "commit": "commit",
    "dirty": "changes in no commit",
    "load": "host load",
}
#: Column of the samples -> what it tells of the GPU, and the share within which two runs' medians of it are alike.
STATES = {
    "sm_clock_mhz": ("SM clock, MHz", 0.01),
    "memory_clock_mhz": ("memory clock, MHz", 0.01),
    "launch_ns": ("queued launches, ns apart", ALIKE - 1),
}


class Unlike(Frozen):
    """One fact that differs, as both runs have it; None where a run does not say."""

    what: str
    base: object
    cand: object


def unlike(base: Run, cand: Run) -> tuple[Unlike, ...]:
    """Every fact that differs: the machine, the versions, the settings, then seed and day."""
    settings = dict.fromkeys([*base.settings, *cand.settings])
    facts = [
        *_machines(base, cand),
        *((f"setting {name}", base.settings.get(name), cand.settings.get(name)) for name in settings),
        ("seed", base.seed, cand.seed),
        ("recorded", base.created, cand.created),
    ]
    return tuple(Unlike(*fact) for fact in facts if fact[1] != fact[2])


def unlike_machines(base: Run, cand: Run) -> tuple[Unlike, ...]:
    """What of the machine, its versions and the code that was measured differs."""
    facts = (Unlike(*fact) for fact in _machines(base, cand) if fact[1] != fact[2])
    return tuple(one for one in facts if one.what != MACHINE["load"])  # no two are alike


def unsaid(base: Run, cand: Run) -> tuple[str, ...]:
    """What neither run says of the code, the host and its load: whether they differ in it, nobody knows."""
    both = (base.machine, cand.machine)
    return tuple(MACHINE[field] for field in ("commit", "host", "load") if not any(getattr(m, field) for m in both))


def unlike_states(ours: pl.DataFrame, theirs: pl.DataFrame) -> tuple[Unlike, ...]:
    """Clocks of the GPU, and channels, whose medians over all samples differ; none where a run does not say."""
    found = []
    for column, (name, within) in STATES.items():
        medians = [s[column].median() if column in s.columns else None for s in (ours, theirs)]
        known = [value for value in medians if isinstance(value, int | float)]
        if len(known) == 2 and abs(known[0] - known[1]) > within * max(known):
            found.append(Unlike(name, *map(round, known)))
    return tuple(found)


def _machines(base: Run, cand: Run) -> list[tuple[str, object, object]]:
    facts: list[tuple[str, object, object]] = [
        (name, getattr(base.machine, field, None), getattr(cand.machine, field, None))
        for field, name in MACHINE.items()
    ]
    return [*facts, ("rope_prof", base.rope_prof, cand.rope_prof)]
