"""The machine of a run in words: the one home of how it is named and which of its facts are told."""

from __future__ import annotations

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
        "rope_prof": run.rope_prof,
        "recorded": run.created,
    }
    return {name: str(value) for name, value in facts.items() if value is not None}
