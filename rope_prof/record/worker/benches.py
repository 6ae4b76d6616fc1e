"""The bench that a worker holds: `Setup.bench` names `torch_bench`. Loads torch."""

from __future__ import annotations

from rope_prof.kernels.mrope.paths import path
from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.device.devices import find_device
from rope_prof.record.device.machine import machine
from rope_prof.record.worker.messages import Setup

TORCH_BENCH = f"{__name__}:torch_bench"


class WorkerBench(TorchBench):
    """`TorchBench` that says what it runs on and finds paths by name, before any path's code is loaded."""

    def __init__(self, setup: Setup) -> None:
        device = find_device(setup.device)
        super().__init__(device, seed=setup.seed, calls=setup.calls)
        self.machine = machine(device)

    def find_path(self, name: str) -> object:
        """The path called `name`. Errors: LookupError in one sentence; what its code raises as it is loaded."""
        return path(name)


def torch_bench(setup: Setup) -> WorkerBench:
    """The bench of a real device."""
    return WorkerBench(setup)
