"""What a finding rests on and what a reader does about it: the events that prove it, and one sentence of advice a code.

Knows the codes; judges nothing.
"""

from __future__ import annotations

from typing import Any, Final

import polars as pl

#: So many events are named: enough to look at, few enough to print.
NAMED: Final = 3

_AGAIN: Final = "record again, with fewer events (shorter window, fewer activities) or a larger profiler buffer"
_WHOLE: Final = "copy the file again from where it was written; if it is cut there too, record again"
_ONE: Final = "analyze each rank's or session's own file, not the merged one"
_CLOCK: Final = "record again; if it stays, update the driver or the profiler: their clocks do not agree"
ADVICE: Final[dict[str, str]] = {
    "no_events": "record again, and let the profiler finish writing",
    "no_gpu_events": "record again with CUDA activity on",
    "cut_gzip": _WHOLE,
    "gzip_damaged": _WHOLE,
    "gzip_checksum": _WHOLE,
    "cut_json": _WHOLE,
    "damaged_events": _WHOLE,
    "damaged_table": "export the report again with nsys",
    "unread_tables": "export the report again with an nsys whose schema is known (3.16 to 3.28)",
    "duplicate_keys": "find what edited the file, and analyze the file as the profiler wrote it",
    "duplicate_events": "find what merged or edited the file, and analyze the file as the profiler wrote it",
    "unreadable_times": _AGAIN,
    "untimed_events": _AGAIN,
    "odd_places": "find what edited the file, and analyze the file as the profiler wrote it",
    "second_array": "find what merged the files, and analyze each by itself",
    "negative_duration": _CLOCK,
    "impossible_duration": _CLOCK,
    "impossible_time": _CLOCK,
    "impossible_overlap": _CLOCK,
    "kernel_before_launch": _CLOCK,
    "ends_after_sync": _CLOCK,
    "clock_shift": _CLOCK,
    "early_starts": "read the share with its bound",
    "missing_kernels": _AGAIN,
    "missing_kernels_start": _AGAIN,
    "missing_graph_kernels": _AGAIN,
    "merged_processes": _ONE,
    "merged_ranks": "read each device by itself, or " + _ONE,
    "merged_sessions": _ONE,
    "copy_bound": "pin the host's memory, and copy less often or ahead of need, before fusing kernels",
    "profiler_overhead": "record again without stacks, shapes and memory, in a shorter window",
    "one_wait": "record the other side of the wait too (another rank, process or device), or a window without it",
    "no_window_end": "let the profiler finish, and analyze the file as it was written",
    "kernels_without_launch": "start the window earlier, or after a synchronisation, to see their launches",
    "unmatched_launches": "nothing: the kernels are counted; ranges and idle causes lack them",
    "unclosed_ranges": "close them, or leave them out: a range that is open at the end counts as no call",
    "empty_moves": "nothing; or leave out the calls, which cost the host time and move no bytes",
}


def proof(frame: pl.DataFrame, kind: str = "gpu") -> tuple[dict[str, Any], ...]:
    """The first `NAMED` rows of a frame with `name` and `start_ns`, by time, as a finding names them."""
    by = [pl.col("start_ns"), pl.col("name").fill_null("")]  # whatever the order of the file
    first = frame.select("name", "start_ns", "dur_ns").bottom_k(NAMED, by=by).sort(by)
    return tuple({"kind": kind, "name": n, "start_ns": start, "dur_ns": ns} for n, start, ns in first.iter_rows())
