"""How far apart two launches start that both were in a GPU's queue: what a process is given by chance, once for all.

The default stream of a process lies on a channel of the card, and channels differ: of 12 processes of one H200 some
took 135 ns a launch longer than others, some twice that, as long as they lived, whatever was launched. Of a chain of
small kernels that is 4 to 11 % of the device's time, and none of it is the path's. So the recorder asks (`crew`).
"""

from __future__ import annotations

import torch

from rope_prof.record.device.devices import CudaDevice, find_device

LAUNCHES = 200
SAMPLES = 12
#: Enough for the host to launch them meanwhile.
HOLD_NS = 2_500_000


def launch_ns(name: str) -> float | None:
    """ns a launch of the smallest kernels, all queued ahead: the least of a few samples; None where nothing tells."""
    device = find_device(name)
    if not isinstance(device, CudaDevice):
        return None
    x = torch.zeros(32, device=device.torch_device)

    def launches() -> None:
        for _ in range(LAUNCHES):
            x.add_(1.0)

    device.held(launches, HOLD_NS)
    taken = [device.held(launches, HOLD_NS) for _ in range(SAMPLES)]
    return min((ns / LAUNCHES for ns, held in taken if held), default=None)
