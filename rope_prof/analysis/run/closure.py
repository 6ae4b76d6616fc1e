"""Does what is said of one key add up to its own device time? Plain numbers in, an answer and its reason out.

Judged on each side of a comparison by itself: what busy time and gaps leave of the *device time* is under
`CLOSES_WITHIN` of it. The device time comes from events around unprofiled calls, the busy time from the profiler's
timestamps, the gaps from the ceilings: they share nothing. What is saved of the wall is no yardstick: in an eager loop
most of it is the host's, and hides any error of the device's part.

Bytes are in no residual (inefficiency is what they leave of the busy time), so they are held against what is possible:
under `MOST_PASSES` passes over the case's views for each kernel, and no faster than `MOST_SERVED` times a copy.
"""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Key
from rope_prof.units import US

#: A side closes where its residual is under this part of its own device time.
CLOSES_WITHIN = 0.05
#: A kernel reads and writes each byte of the case's views at most so often.
MOST_PASSES = 2.0
#: Bytes that an L2 serves arrive at most so many times as fast as those of a copy through the memory.
MOST_SERVED = 3.0


class Account(Frozen, kw_only=True):
    """What is known of one key, ns a call. `copied_ns`: what its bytes would take in a copy; `pass_bytes`: of one pass
    over the case's views; `traced_gap_ns`: what a kernel of its captured replay waits for the one before; `overlaps`:
    its launches do, and no gaps are taken of them. `left_ns`: the 95 % interval of what busy and gaps leave, None under
    six rounds.
    """

    key: Key
    device_ns: float
    busy_ns: float
    gaps_ns: float
    kernels: float
    bytes_moved: int | None
    pass_bytes: int | None
    copied_ns: float | None
    traced_gap_ns: float | None
    overlaps: bool = False
    left_ns: tuple[float, float] | None = None


class Balance(Frozen, kw_only=True):
    """device = busy + gaps + residual, ns a call; `share`: residual / device. `closes`: it is under 5 % either way and
    the bytes are possible; `reason`: why not.
    """

    key: Key
    device_ns: float
    busy_ns: float
    gaps_ns: float
    residual_ns: float
    share: float
    closes: bool
    reason: str | None


def balance(one: Account) -> Balance:
    """Whether that key closes."""
    left = one.device_ns - one.busy_ns - one.gaps_ns
    share = left / one.device_ns if one.device_ns else 0.0
    reasons = [*_too_far(one, left, share), *_impossible(one)]
    return Balance(
        key=one.key,
        device_ns=one.device_ns,
        busy_ns=one.busy_ns,
        gaps_ns=one.gaps_ns,
        residual_ns=left,
        share=share,
        closes=not reasons,
        reason="; ".join(reasons) or None,
    )


def _too_far(one: Account, left_ns: float, share: float) -> Iterator[str]:
    if abs(share) < CLOSES_WITHIN:
        return
    device, busy, gaps, left = (f"{ns / US:.3g}" for ns in (one.device_ns, one.busy_ns, one.gaps_ns, left_ns))
    words = (
        f"of {one.key.side}'s {device} µs on the device busy {busy} and gaps {gaps} leave {left} µs "
        f"({share:.1%}; expected under {CLOSES_WITHIN:.0%}{_open(one)})"
    )
    if one.busy_ns > one.device_ns:
        words += ", and its kernels are busy longer in the trace than they take unprofiled: the profiler slows them"
    elif left_ns > 0 and one.traced_gap_ns and one.traced_gap_ns * one.kernels > one.gaps_ns:
        words += f", and in its captured replay a kernel waits {one.traced_gap_ns:.0f} ns for the one before"
    elif left_ns > 0 and one.overlaps and one.key.mode != "graph":
        words += ", and what launches that overlap in part wait for in a stream has no ceiling"
    yield words


def _open(one: Account) -> str:
    """Where the interval reaches under the limit it is not said for sure: other rounds could have closed."""
    if one.left_ns is None or min(map(abs, one.left_ns)) >= CLOSES_WITHIN * one.device_ns:
        return ""
    low, high = (f"{ns / US:.3g}" for ns in one.left_ns)
    return f", which the interval [{low}, {high}] reaches: more rounds would tell"


def _impossible(one: Account) -> Iterator[str]:
    if one.bytes_moved is None:
        return
    if one.pass_bytes and one.kernels and one.bytes_moved > MOST_PASSES * one.kernels * one.pass_bytes:
        yield (
            f"{one.key.path} is said to move {one.bytes_moved:,} bytes with {one.kernels:g} kernels, "
            f"{one.bytes_moved / one.pass_bytes / one.kernels:.2g} passes over the case's views each; expected at most "
            f"{MOST_PASSES:g}"
        )
    if one.copied_ns is not None and one.copied_ns > MOST_SERVED * one.busy_ns:
        yield (
            f"{one.key.side} is said to move its bytes {one.copied_ns / one.busy_ns:.2g} times as fast "
            f"as a copy; expected at most {MOST_SERVED:g}, served by the L2"
        )
