"""What a range of `rope_prof.attach` costs the host, a call, without a profiler: `python benchmarks/attach.py`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from rope_prof.attach import attach

CALLS, ROUNDS = 20_000, 15


def nothing(x: int) -> int:
    """The call that is ranged."""
    return x


def ns_per_call(call: Callable[[int], int]) -> float:
    """Processor time of one call, the loop's own taken along."""
    began = time.process_time_ns()
    for number in range(CALLS):
        call(number)
    return (time.process_time_ns() - began) / CALLS


def main() -> None:
    """Print the medians of interleaved rounds."""
    bare, on, off = [], [], []
    attached = attach(nothing, path="cost")
    left = attach(nothing, path="left")
    with left:
        outside = left.call
    with attached:
        inside = attached.call
        for _ in range(ROUNDS):
            bare.append(ns_per_call(nothing))
            on.append(ns_per_call(inside))
            off.append(ns_per_call(outside))
    middle = statistics.median
    print(f"ranges on: {middle(on) - middle(bare):.0f} ns a call; left: {middle(off) - middle(bare):.0f} ns a call")


if __name__ == "__main__":
    main()
