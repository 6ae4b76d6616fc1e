"""The machine of a run in words: the one home of how it is named and which of its facts are told."""

from __future__ import annotations

from rope_prof.model.run import Machine
from rope_prof.units import size


def machine_line(machine: Machine) -> str:
    """One line of what the run was recorded on."""
    parts = [machine.device_name, f"torch {machine.torch}", f"Triton {machine.triton or 'none'}"]
    if machine.cuda and machine.device == "cuda":
        parts.append(f"CUDA {machine.cuda}")
    if machine.l2_bytes:
        parts.append(f"L2 {size(machine.l2_bytes)}")
    return " · ".join(parts)
