"""What is kept of a recording for comparisons to come: medians, and of which code on what kind of machine. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Machine

#: Machines that have these alike are of one kind: what their runs differ by is known for all of them.
ALIKE = ("device", "device_name", "cpu_name", "cpu_cores", "driver", "cuda", "torch", "triton")


class KeptKey(Frozen, kw_only=True):
    """Median ns a call of one key by each clock; `group` says what its times are like: mode and L2 state."""

    group: str
    medians_ns: Mapping[str, float]


class KeptRun(Frozen, kw_only=True):
    """One recording: `code` is the same for the same code alone, `created` tells recordings apart."""

    created: str
    code: str
    keys: Mapping[str, KeptKey]


def machine_kind(machine: Machine) -> str:
    """`NVIDIA H200 / AMD EPYC 9654 / 16 / 570.1 / 13.0 / 2.11.0 / 3.6.0`, whatever is known of it."""
    return " / ".join(str(value) for name in ALIKE if (value := getattr(machine, name)) is not None)
