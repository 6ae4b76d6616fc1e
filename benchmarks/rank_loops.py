"""Two small jobs of several ranks, profiled on all of them, with one rank made late on purpose by a known time.

    torchrun --nproc-per-node 2 benchmarks/rank_loops.py --folder /tmp/loops --late-rank 1

`training`: data-parallel (DistributedDataParallel in several buckets, whose all-reduces run under the backward pass),
one synchronisation a step; the late rank's host spends `--late-host-us` more in the range `load_batch`, as a slow data
loader does. `decode`: tensor-parallel, two all-reduces a layer, one synchronisation a token; the late rank's device
spends `--late-device-us` more in the range `rope` of every layer, as a slow kernel does. Both are profiled twice: with
the delay (`<loop>/late`) and without (`<loop>/even`). NCCL on GPUs, gloo on CPUs, where the device's delay is the
host's. `<loop>/truth.json` says what was planted: by the host's clock, or, on a GPU, by the device's own global timer.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.profiler import ProfilerActivity, profile, record_function, schedule

RANGES = {"training": "load_batch", "decode": "rope"}
WARM_UP, ACTIVE = 3, 8
LAYERS = 4

Range = Callable[[str], AbstractContextManager[object]]


class Delay:
    """Time that one rank loses on purpose, in ns, and how much of it there was: by the host, or by a kernel."""

    def __init__(self, ns: int, device: torch.device, *, on_device: bool) -> None:
        self.ns, self.device = ns, device
        self.on_device = on_device and device.type == "cuda"
        self.spent_ns, self.times = 0, 0

    def __call__(self) -> None:
        """Lose it once, here."""
        if not self.ns:
            return
        if self.on_device:
            from spin import spin_ns

            spin_ns(self.ns, self.device)
            self.spent_ns += self.ns
        else:
            began = time.perf_counter_ns()
            time.sleep(self.ns / 1e9)
            self.spent_ns += time.perf_counter_ns() - began
        self.times += 1


def training(device: torch.device, small: bool) -> Callable[[Delay], None]:
    """One step of data-parallel training; the range that loses time is `load_batch`."""
    width, rows = (64, 16) if small else (2048, 2048)
    layers = [torch.nn.Linear(width, width, device=device) for _ in range(2 * LAYERS)]
    net = torch.nn.Sequential(*(part for layer in layers for part in (layer, torch.nn.GELU())))
    local = [device.index] if device.type == "cuda" else None
    model = DistributedDataParallel(net, device_ids=local, bucket_cap_mb=0.02 if small else 40)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    held = torch.randn(rows, width, pin_memory=device.type == "cuda")

    def step(delay: Delay) -> None:
        with record_function("load_batch"):
            delay()
            batch = held.to(device, non_blocking=True)
        with record_function("forward"):
            loss = model(batch).square().mean()
        with record_function("backward"):
            loss.backward()
        with record_function("optimizer"):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        with record_function("log"):
            loss.item()

    return step


def decode(device: torch.device, small: bool) -> Callable[[Delay], None]:
    """One token of tensor-parallel decoding; the range that loses time is `rope`, once a layer."""
    ranks = dist.get_world_size()
    hidden, batch = (64, 4) if small else (4096, 64)
    mine = max(8, hidden // ranks)
    kind = torch.float32 if device.type == "cpu" else torch.bfloat16

    def weight(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, device=device, dtype=kind) / rows**0.5

    layers = [
        (weight(hidden, mine), weight(mine, hidden), weight(hidden, 4 * mine), weight(4 * mine, hidden))
        for _ in range(LAYERS)
    ]
    first, head = torch.randn(batch, hidden, device=device, dtype=kind), weight(hidden, hidden)

    def step(delay: Delay) -> None:
        state = first
        for query, out, up, down in layers:
            with record_function("attention"):
                with record_function("rope"):
                    turned = (state @ query).sin()
                    delay()
                state = state + _summed(turned @ out)
            with record_function("mlp"):
                state = state + _summed(F.gelu(state @ up) @ down)
            state = F.layer_norm(state, (hidden,))
        with record_function("sample"):
            (state @ head).argmax(-1).tolist()

    return step


def _summed(part: torch.Tensor) -> torch.Tensor:
    with record_function("all_reduce"):
        dist.all_reduce(part)
    return part


def profiled(step: Callable[[Delay], None], delay: Delay, path: Path, device: torch.device) -> None:
    """`ACTIVE` steps of this rank into `path`, begun at once with the others."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    plan = schedule(wait=0, warmup=WARM_UP, active=ACTIVE, repeat=1)
    none = Delay(0, device, on_device=False)
    with profile(activities=kinds, schedule=plan, on_trace_ready=lambda made: made.export_chrome_trace(str(path))) as p:
        if device.type == "cpu":
            p.add_metadata_json("device", '"cpu"')  # its operators are the kernels
        for number in range(WARM_UP + ACTIVE):
            if number == WARM_UP:
                dist.barrier()
            step(delay if number >= WARM_UP else none)
            p.step()


def plain(step: Callable[[Delay], None], delay: Delay) -> float:
    """Median ns of a step without a profiler, each ended by its own synchronisation."""
    took = []
    dist.barrier()
    for _ in range(3 * ACTIVE):
        began = time.perf_counter_ns()
        step(delay)
        took.append(time.perf_counter_ns() - began)
    return median(took[ACTIVE:])


def run(name: str, make: Callable[[torch.device, bool], Callable[[Delay], None]], args: argparse.Namespace) -> None:
    """One loop with the delay and without; what was planted."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    device = place()
    step = make(device, args.small or device.type == "cpu")
    on_device = name == "decode"
    us = args.late_device_us if on_device else args.late_host_us
    ns = round(us * 1000) if rank == args.late_rank else 0
    folder: Path = args.folder / name
    walls = {}
    for side, more in (("even", 0), ("late", ns)):
        for _ in range(WARM_UP):
            step(Delay(more, device, on_device=on_device))
        walls[side] = plain(step, Delay(more, device, on_device=on_device))
    for side, more in (("even", 0), ("late", ns)):
        (folder / side).mkdir(parents=True, exist_ok=True)
        delay = Delay(more, device, on_device=on_device)
        profiled(step, delay, folder / side / f"rank{rank}.pt.trace.json.gz", device)
    if rank == args.late_rank:
        facts = {
            "loop": name,
            "ranks": ranks,
            "rank": rank,
            "range": RANGES[name],
            "steps": ACTIVE,
            "times": delay.times,
            "ns": delay.spent_ns,
            "by": "device" if delay.on_device else "host",
            "device": name_of(device),
            "backend": dist.get_backend(),
            "torch": torch.__version__,
            "step_even_ns": walls["even"],
            "step_late_ns": walls["late"],
        }
        (folder / "truth.json").write_text(json.dumps(facts, indent=1) + "\n")
    dist.barrier()


def place() -> torch.device:
    """The device of this rank."""
    return torch.device("cuda", int(os.environ["LOCAL_RANK"])) if torch.cuda.is_available() else torch.device("cpu")


def name_of(device: torch.device) -> str:
    """What figures are said to be of."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--late-rank", type=int, default=1)
    parser.add_argument("--late-host-us", type=float, default=5000)
    parser.add_argument("--late-device-us", type=float, default=300)
    parser.add_argument("--small", action="store_true", help="the sizes of a CPU on a GPU too")
    args = parser.parse_args()
    device = place()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    on_gpu = device.type == "cuda"
    dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    torch.manual_seed(0)
    try:
        for name, make in (("training", training), ("decode", decode)):
            run(name, make, args)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
