"""`--cut` as typed: a range's name, or START:END from the trace's begin, and the part of a trace that it means."""

from __future__ import annotations

import re
from typing import Final

from rope_prof.analysis.trace.calls import families
from rope_prof.analysis.trace.cut import CUT, Window, call_windows, cut, median_window, timeline
from rope_prof.errors import TraceError, UsageError
from rope_prof.model.trace import Trace
from rope_prof.units import counted, duration

_SCALES: Final = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_TIME: Final = r"(\d+(?:\.\d*)?)\s*(ns|us|µs|ms|s)"
_TIMES: Final = re.compile(rf"\s*{_TIME}\s*:\s*{_TIME}\s*")
_EXPECTED: Final = "expected the name of a range, or START:END from the trace's begin with units, as 120ms:125.5ms"
#: So many names of ranges are told to who asked for another one.
_NAMED: Final = 12


def part_of(trace: Trace, asked: str | None, call: int | None = None) -> tuple[Trace, list[str]]:
    """The part of `trace` that was asked for (None: all of it), and what there is to say of it.

    `call`: which one of the calls of a range, from 0 on; else the one of median length. Errors: UsageError for a name
    that no range has and for times outside of the trace, TraceError for a file without times.
    """
    whole = timeline(trace)
    if whole is None:
        raise TraceError(f"nothing to cut in {trace.source!r} ({trace.format}, none of its events has a time)")
    window = whole if asked is None else _window(trace, whole, asked, call)
    part = cut(trace, window)
    if asked is None:
        return part, []
    if not part.gpu.height and not part.ops.height and not part.calls.height:
        raise UsageError(f"--cut {asked!r}: nothing runs in it; {_lasts(whole)}")
    which = "" if window.call is None else f"call {window.call} of {window.calls} of {asked!r}, "
    begin = duration(window.start_ns - whole.start_ns)
    said = [
        f"{which}{duration(window.end_ns - window.start_ns)} from {begin} on: {counted(part.gpu.height, 'GPU event')}"
    ]
    if beyond := part.ranges["name"].str.ends_with(CUT).sum():
        said.append(f"called 'NAME{CUT}', since not all of it is in the file: {counted(int(beyond), 'range')}")
    return part, said


def _window(trace: Trace, whole: Window, asked: str, call: int | None) -> Window:
    times = _TIMES.fullmatch(asked)
    if times is None or asked in set(trace.ranges["name"]):
        return _call(trace, asked, call)
    if call is not None:
        raise UsageError(f"--call {call} with --cut {asked!r}; --call chooses among the calls of a range: leave it out")
    start, end = (
        whole.start_ns + round(float(number) * _SCALES[unit])
        for number, unit in (times.groups()[:2], times.groups()[2:])
    )
    if not whole.start_ns <= start < end or start >= whole.end_ns:
        raise UsageError(f"--cut {asked!r} is no part of the trace; {_lasts(whole)}, and START lies before END")
    return Window(start_ns=start, end_ns=min(end, whole.end_ns))


def _call(trace: Trace, asked: str, call: int | None) -> Window:
    windows = call_windows(trace, asked)
    if not windows:
        raise UsageError(f"--cut {asked!r}: no closed range of that name; {_EXPECTED}; {_names(trace)}")
    if call is None:
        return median_window(windows)
    if not 0 <= call < len(windows):
        raise UsageError(
            f"--call {call} of {asked!r}, which has {counted(len(windows), 'call')}; expected 0 to {len(windows) - 1}"
        )
    return windows[call]


def _names(trace: Trace) -> str:
    """Which ranges there are, those with the most calls first."""
    counts = families(trace.ranges["name"]).drop_nulls().value_counts(sort=True, name="calls")
    if not counts.height:
        return "the trace has no ranges"
    told = ", ".join(f"{name!r} ({calls})" for name, calls in counts.head(_NAMED).iter_rows())
    return f"it has {told}{f' and {counts.height - _NAMED} more' if counts.height > _NAMED else ''}"


def _lasts(whole: Window) -> str:
    return f"the trace lasts {duration(whole.end_ns - whole.start_ns)}"
