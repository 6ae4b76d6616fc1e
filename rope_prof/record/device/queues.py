"""How far apart two launches start that both were in a GPU's queue: what a process is given by chance, once for all.

The default stream of a process lies on a channel of the card, and channels are of two kinds: on the slow one each
launch of a process takes about 130 ns longer as long as it lives, whatever is launched and wherever its buffers lie. Of
a chain of small kernels that is 4 to 11 % of the device's time, and none of it is the path's. So the recorder asks
(`worker.channels`).

One small kernel does not tell the kinds apart: on an H200 one that adds in place takes up to 7 % longer or less by the
place that it writes to, one that only waits has 4 % of its own. Of 19 processes the mean over such kernels lay within
1.4 % of the fast kind, within 2.3 % of the slow one, and 4.8 % from the one to the other.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import torch

from rope_prof.record.device.devices import CudaDevice, find_device

LAUNCHES = 200
SAMPLES = 3
#: Enough for the host to launch them meanwhile.
HOLD_NS = 2_500_000
#: Places that are written to, and how far apart they lie.
PLACES, STRIDE_BYTES = 8, 2 << 20


def launch_ns(name: str) -> float | None:
    """ns a launch, all of them queued ahead, in the mean over kernels of three kinds; None where nothing tells."""
    device = find_device(name)
    if not isinstance(device, CudaDevice):
        return None
    memory = torch.zeros(PLACES * STRIDE_BYTES, dtype=torch.uint8, device=device.torch_device)
    places = [memory[at : at + 32] for at in range(0, len(memory), STRIDE_BYTES)]

    def waits(cycles: int) -> Callable[[], object]:
        return lambda: torch.cuda._sleep(cycles)

    def adds(place: torch.Tensor) -> Callable[[], object]:
        return lambda: place.add_(1)

    kinds = [[waits(0)], [waits(1)], [adds(place) for place in places]]
    found = [[_between(device, launch) for launch in kind] for kind in kinds]
    known = [[ns for ns in kind if ns is not None] for kind in found]
    return fmean(map(fmean, known)) if all(known) else None


def _between(device: CudaDevice, launch: Callable[[], object]) -> float | None:
    """ns from one launch to the next, the least of a few samples; None where the host was too slow for all of them."""

    def launches() -> None:
        for _ in range(LAUNCHES):
            launch()

    taken = [device.held(launches, HOLD_NS) for _ in range(SAMPLES)]
    return min((ns / LAUNCHES for ns, held in taken if held), default=None)
