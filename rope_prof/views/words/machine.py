"""The machine of a run in words: the one home of how it is named and which of its facts are told."""

from __future__ import annotations

import polars as pl

from rope_prof.analysis.run.conditions import channels_apart, conditions
from rope_prof.model.run import Machine, Run
from rope_prof.units import size


def machine_line(machine: Machine) -> str:
    """One line of what the run was recorded on."""
    parts = [machine.device_name, f"torch {machine.torch}", f"Triton {machine.triton or 'none'}"]
    if machine.cuda and machine.device == "cuda":
        parts.append(f"CUDA {machine.cuda}")
    if machine.l2_bytes:
        parts.append(f"L2 {size(machine.l2_bytes)}")
    return " · ".join(parts)


def machine_facts(run: Run) -> dict[str, str]:
    """What a run was recorded on, by what and when, as people read it; what the machine has not is left out."""
    found = run.machine
    facts = {
        "device": found.device_name,
        "multiprocessors": found.multiprocessors,
        "compute capability": found.capability,
        "memory": None if found.memory_bytes is None else size(found.memory_bytes),
        "L2": None if found.l2_bytes is None else size(found.l2_bytes),
        "driver": found.driver,
        "CUDA": found.cuda,
        "torch": found.torch,
        "Triton": found.triton,
        "Python": found.python,
        "host": f"{found.cpu_name}, {found.cpu_cores} cores, {found.platform}",
        "load": None if found.load is None else f"{found.load:g} over the minute before",
        "code": _code(found),
        "rope_prof": run.rope_prof,
        "recorded": run.created,
    }
    return {name: str(value) for name, value in facts.items() if value is not None}


def _code(machine: Machine) -> str | None:
    """The commit that was measured; None where the run does not say."""
    if machine.commit is None:
        return None
    return f"commit {machine.commit}{', with changes in no commit' if machine.dirty else ''}"


#: Column of the samples -> what it is called, its unit, how many of the column's one unit is.
_UNITS = {
    "sm_clock_mhz": ("SM", "MHz", 1),
    "memory_clock_mhz": ("memory", "MHz", 1),
    "temperature_c": ("temperature", "°C", 1),
    "power_mw": ("power", "W", 1000),
    "launch_ns": ("queued launches", "ns apart", 1),
}


def condition_words(samples: pl.DataFrame) -> str | None:
    """`SM 1,980 MHz [1,965, 1,980], ...`: middle [least, most] at the ends of the samples; None where nothing says."""
    said = []
    for column, values in conditions(samples).items():
        what, unit, each = _UNITS[column]
        least, middle, most = (f"{value / each:,.0f}" for value in values)
        said.append(f"{what} {middle} {unit}" + ("" if least == most else f" [{least}, {most}]"))
    apart = channels_apart(samples)
    if apart is not None:
        said.append(f"by {apart:.0%} from path to path, which is the card's doing: short kernels differ by as much")
    return ", ".join(said) or None


def ran_line(run: Run, samples: pl.DataFrame) -> str | None:
    """What a run says of its code, its host's load and its card while it was timed; None where it says none of them."""
    load = None if run.machine.load is None else f"load {run.machine.load:g} before"
    told = [one for one in (_code(run.machine), load, condition_words(samples)) if one is not None]
    return f"ran with {'; '.join(told)}" if told else None
