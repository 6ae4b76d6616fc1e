"""Where a repeated sequence falls apart into the functions that launched it.

Kernel names alone cannot tell a chain from the small kernels that always follow it. The host can: within one function
operator follows operator, and between two functions the caller's own code runs. So a sequence is cut where the
host time that no operator covers (`Events.bare`, the median over its calls) stands out from all other such times of the
longer part. On a whole model's traces (docs/chains.md) the step out of the rotary embedding stands out 2 to 3
times and no step within it more than 1.1 times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rope_prof.analysis.chain_events import NONE, Events
from rope_prof.analysis.repeats import Ints

#: A step this many times as long as any other of the part that stays leads out of the function.
STANDS_OUT = 1.5
#: So many other steps must be there to say what a step within the function takes.
EVIDENCE = 8


def parts(events: Events, first: Ints, length: int) -> tuple[tuple[int, int], ...]:
    """The parts `[begin, end)` of a sequence of `length` events whose calls begin at `first`; one part if it holds."""
    bare = events.bare[first[:, None] + np.arange(1, length)]
    known = np.where(bare == NONE, np.nan, bare)
    enough = np.isfinite(known).sum(axis=0) * 2 > first.size
    steps = np.zeros(length - 1)
    steps[enough] = np.nanmedian(known[:, enough], axis=0)
    return tuple(_parts(steps, 0, length))


def _parts(steps: npt.NDArray[np.float64], begin: int, end: int) -> list[tuple[int, int]]:
    """`steps[i]` leads from event i to event i + 1."""
    if end - begin - 2 < EVIDENCE:
        return [(begin, end)]
    at = begin + int(np.argmax(steps[begin : end - 1])) + 1
    low, high = (begin, at) if at - begin >= end - at else (at, end)
    others = steps[low : high - 1]
    if others.size < EVIDENCE or not steps[at - 1] > STANDS_OUT * others.max():
        return [(begin, end)]
    return _parts(steps, begin, at) + _parts(steps, at, end)
