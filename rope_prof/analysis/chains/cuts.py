"""Where a repeated sequence falls apart into the functions that launched it.

Kernel names alone cannot tell a chain from the small kernels that always follow it. The host can, in two ways. A range
that begins or ends between two launches, whatever its name, says that a function does. And within one function operator
follows operator, while between two the caller's own code runs: so a sequence is also cut where the host time that no
operator covers (`Events.bare`, the median over its calls) stands out from all such times of the longer part. In
profiles of a whole model (docs/chains.md) the step out of the rotary embedding takes 2 to 3 times the longest within.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rope_prof.analysis.chains.events import NONE, ChainEvents
from rope_prof.analysis.chains.repeats import Ints

#: A step this many times as long as any other of the part that stays leads out of the function.
STANDS_OUT = 1.5
#: So many other steps must be there to say what a step within the function takes.
EVIDENCE = 8


def parts(events: ChainEvents, first: Ints, length: int) -> tuple[tuple[int, int], ...]:
    """The parts `[begin, end)` of a sequence of `length` events whose calls begin at `first`; one part if it holds."""
    later = first[:, None] + np.arange(1, length)
    edges = 1 + np.flatnonzero(events.enters[later].mean(axis=0) > 0.5)
    steps = _usual(events.bare[later])
    pieces = pairwise([0, *edges.tolist(), length])
    return tuple(part for begin, end in pieces for part in _parts(steps, begin, end))


def _usual(bare: Ints) -> npt.NDArray[np.float64]:
    """Median of each column over the calls that know it; 0 where most do not."""
    known = np.where(bare == NONE, np.nan, bare)
    enough = np.isfinite(known).sum(axis=0) * 2 > bare.shape[0]
    steps = np.zeros(bare.shape[1])
    steps[enough] = np.nanmedian(known[:, enough], axis=0)
    return steps


def _parts(steps: npt.NDArray[np.float64], begin: int, end: int) -> Iterator[tuple[int, int]]:
    """`steps[i]` leads from event i to event i + 1."""
    if end - begin - 2 >= EVIDENCE:
        at = begin + int(np.argmax(steps[begin : end - 1])) + 1
        low, high = (begin, at) if at - begin >= end - at else (at, end)
        others = steps[low : high - 1]
        if others.size >= EVIDENCE and steps[at - 1] > STANDS_OUT * others.max():
            yield from _parts(steps, begin, at)
            yield from _parts(steps, at, end)
            return
    yield begin, end
