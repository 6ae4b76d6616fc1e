"""A thing to fix in words: what is lost, what it saves, what to change, where it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rope_prof.analysis.fixes.fix import Fix, Kind
from rope_prof.units import between, counted, duration, number, percent
from rope_prof.views.words.names import clipped, short_name

#: What to change, by kind; of a copy by its way.
_DO: Final[dict[Kind, str]] = {
    "launches": "capture it in a CUDA graph (torch.compile mode='reduce-overhead'), or fuse its small kernels",
    "host": "take what the host does there (loading, logging, Python) off this thread, or launch further ahead",
    "chain": "make one kernel of them (torch.compile, Triton or a fused operator)",
    "wait": "leave the wait out: keep the value on the GPU, or read it later (from pinned memory, without blocking)",
    "communication": "start it earlier or in buckets, on a stream of its own, so that kernels run meanwhile",
    "grid": "split its work over more blocks (split-K, smaller tiles), or give it a larger batch",
    "occupancy": "give it more warps: fewer registers a thread, less shared memory, other blocks, or more of them",
    "rank": "look at that rank alone: its input, its clocks, what its host does",
}
_COPIES: Final = {
    "pageable": "pin the host's memory, and copy ahead of need (non_blocking=True, a stream of its own)",
    "HtoD": "copy ahead of need (on a stream of its own, so that kernels run meanwhile), or move fewer bytes",
    "DtoH": "keep the result on the GPU, or copy it behind the work without waiting for it",
    "DtoD": "leave the copy out: write where it is read (no clone, contiguous or cat)",
    "": "copy ahead of need on a stream of its own, or move fewer bytes",
}
_RANGE_CHARS: Final = 60


def fix_title(fix: Fix) -> str:
    """What is lost: `10,223 launches come too late, 91.28 in each of 112 calls of decode.layer#*`."""
    return _TITLES[fix.kind](fix)


def fix_do(fix: Fix) -> str:
    """What to change."""
    return _DO[fix.kind] if fix.kind != "copies" else next(do for way, do in _COPIES.items() if way in fix.subject)


def fix_saves(fix: Fix) -> str:
    """`185–208 ms`, or `up to 921 ms` where nothing is sure."""
    return f"up to {duration(fix.hi_ns)}" if fix.lo_ns <= 0 else between(fix.lo_ns, fix.hi_ns)


def fix_share(fix: Fix) -> str:
    """`84 % of device 0`, at most; of several devices the one that loses most; of a late rank, of the ranks' span.

    Of many ranks `84 % of rank 3, 7 more ranks too`: of the one that loses most.
    """
    if fix.kind == "rank":
        return f"{percent(fix.share)} of the span"
    if fix.ranks:
        first, *more = fix.ranks
        known = first.isdecimal()  # else by its file
        others = f", {counted(len(more), 'more rank' if known else 'more file')} too" if more else ""
        return f"{percent(fix.share)} of {'rank ' if known else ''}{clipped(first, _RANGE_CHARS)}{others}"
    several = len(fix.devices) > 1
    return f"{percent(fix.share)} of {'each of devices' if several else 'device'} {', '.join(fix.devices)}"


def fix_place(fix: Fix) -> str:
    """Line, module, operator and range of the costliest instance, as far as the file has them."""
    place = fix.place
    told = (("", place.line), ("module ", place.module), ("operator ", place.operator), ("range ", place.range))
    return ", ".join(f"{word}{clipped(value, _RANGE_CHARS)}" for word, value in told if value)


def _launches(fix: Fix) -> str:
    said = f"{fix.count:,} launches come too late" if fix.count > 1 else "a launch comes too late"
    if fix.within is None or fix.times is None or fix.each is None:
        return said
    if fix.times == 1:
        return f"{said}, all in {clipped(fix.within, _RANGE_CHARS)}"
    return f"{said}, {number(fix.each)} in each of {counted(fix.times, 'call')} of {clipped(fix.within, _RANGE_CHARS)}"


def _copies(fix: Fix) -> str:
    way, _, memory = fix.subject.partition(" ")
    side = f" {'from' if way.startswith('H') else 'to'} {memory} memory" if memory else ""
    runs = "copy" if fix.count == 1 else "copies"
    return f"{fix.count:,} {runs} {way}{side} with no kernel beside"


def _chain(fix: Fix) -> str:
    return (
        f"the same {counted(int(fix.each or 0), 'small kernel')} {fix.count:,} times, from {short_name(fix.subject)} on"
    )


def _late(fix: Fix) -> str:
    said = f"rank {fix.devices[0]} is late, {fix.subject}"
    if fix.within is None or fix.each is None:
        return f"{said}; no range of its own is longer"
    return f"{said}; it loses {duration(fix.each)} in {clipped(fix.within, _RANGE_CHARS)}"


_TITLES: Final[dict[Kind, Callable[[Fix], str]]] = {
    "copies": _copies,
    "launches": _launches,
    "host": lambda fix: (
        f"the host is elsewhere before {counted(fix.count, 'event')}, once for {duration(fix.place.dur_ns)}"
    ),
    "chain": _chain,
    "wait": lambda fix: f"the GPU runs dry {counted(fix.count, 'time')} behind {fix.subject}",
    "communication": lambda fix: (
        f"{short_name(fix.subject)} runs {counted(fix.count, 'time')} with no kernel beside it"
        + (f", up to {duration(fix.behind_ns)} of it waiting for a late rank" if fix.behind_ns else "")
    ),
    "grid": lambda fix: f"{short_name(fix.subject)} leaves at least {number(fix.each)} SMs without a block",
    "occupancy": lambda fix: (
        f"{short_name(fix.subject)} runs {percent(fix.each / 100 if fix.each else 0.0)} of the warps that fit, and "
        "nothing of the device is near its peak"
    ),
    "rank": _late,
}
