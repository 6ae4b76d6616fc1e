"""What two runs were recorded with and have not alike: machine, versions, settings. Knows facts of runs, no times."""

from __future__ import annotations

from dataclasses import dataclass

from rope_prof.model.run import Run

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
}


@dataclass(frozen=True, slots=True)
class Unlike:
    """One fact that differs, as both runs have it; None where a run does not say."""

    what: str
    base: object
    cand: object


def unlike(base: Run, cand: Run) -> tuple[Unlike, ...]:
    """Every fact that differs: the machine, the versions, the settings, then seed and day."""
    facts = [
        *((name, *(getattr(run.machine, field) for run in (base, cand))) for field, name in MACHINE.items()),
        ("rope_prof", base.rope_prof, cand.rope_prof),
        *((f"setting {name}", base.settings.get(name), cand.settings.get(name)) for name in _settings(base, cand)),
        ("seed", base.seed, cand.seed),
        ("recorded", base.created, cand.created),
    ]
    return tuple(Unlike(*fact) for fact in facts if fact[1] != fact[2])


def _settings(base: Run, cand: Run) -> list[str]:
    return list(dict.fromkeys([*base.settings, *cand.settings]))
