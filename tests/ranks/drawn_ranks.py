"""A job of several ranks that never ran: each does its own work, then all leave one all-reduce together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rope_prof.model.trace import Trace
from tests.builders import kernel, kineto_json, range_, trace

BASE = 1_751_410_836_000_000_000
ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
STEP_NS, WORK_NS, HOP_NS = 20_000, 5_000, 1_000


def rank_trace(
    rank: int,
    size: int = 4,
    *,
    late: Mapping[int, int] | None = None,
    steps: int = 8,
    range_name: str = "rope",
) -> Trace:
    """Rank `rank` of `size`; `late` says how much longer a rank works in its range `range_name`, every step."""
    extra = late or {}
    drawn = []
    for step in range(steps):
        begin = step * STEP_NS + 1_000
        own = begin + WORK_NS + extra.get(rank, 0)
        last = begin + WORK_NS + max([0, *(ns for r, ns in extra.items() if r < size)])
        drawn += [
            range_(f"step#{step}", begin - 900, begin - 100),
            range_(range_name, begin - 890, begin - 500),
            kernel(begin, own, launched=(begin - 800, begin - 700), correlation=2 * step + 1),
            kernel(own, last + HOP_NS, launched=(begin - 400, begin - 300), name=ALL_REDUCE, correlation=2 * step + 2),
        ]
    return trace(*drawn)


def rank_json(rank: int, size: int = 4, *, offset_ns: int = 0, **more: object) -> bytes:
    """Its Kineto file; `offset_ns` is how far the clock of its host goes ahead."""
    drawn = rank_trace(rank, size, **more)  # type: ignore[arg-type]
    about = {"backend": "nccl", "rank": rank, "world_size": size}
    return kineto_json(drawn, baseTimeNanoseconds=BASE + offset_ns, distributedInfo=about)


def write_job(folder: Path, size: int = 4, **more: object) -> list[Path]:
    """One file a rank, with names that say nothing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"host{rank}_{1234 + rank}.pt.trace.json" for rank in range(size)]
    for rank, path in enumerate(paths):
        path.write_bytes(rank_json(rank, size, **more))
    return paths
