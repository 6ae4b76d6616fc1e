"""What a reader does about a finding: one sentence a code; and which events show what is said of the whole file.

Knows the codes; judges nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from rope_prof.model.trace import Finding, Trace, proof

#: What ended a file early: the last event of a device that was read shows where.
_ENDS: Final = frozenset(
    ("cut_gzip", "gzip_damaged", "cut_json", "cut_packets", "damaged_packets", "lost_packets", "no_window_end")
)
#: What holds of every event of a device: the first ones show it.
_EVERY: Final = frozenset(("coarse_clock", "cpu_leaf_operators", "redrawn_calls"))

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
    "damaged_table": "export the report again with nsys, or record again with rocprofv3",
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
    "cut": "read the whole trace for what lies beyond the part",
    "no_window_end": "let the profiler finish, and analyze the file as it was written",
    "kernels_without_launch": "start the window earlier, or after a synchronisation, to see their launches",
    "unmatched_launches": "nothing: the kernels are counted; ranges and idle causes lack them",
    "unnamed_replays": "name the captures of this process too: every file of its rank",
    "unclosed_ranges": "close them, or leave them out: a range that is open at the end counts as no call",
    "captured_launches": "nothing: they were recorded into a graph; its replays are what ran",
    "launches_after_last_record": "synchronise before the window ends, so that their kernels are recorded too",
    "graph_replays_differ": "nothing where nodes are conditional or were disabled; else record again",
    "stream_overlap": "nothing: busy time counts once what overlaps",
    "zero_duration": "read counts of these kernels, not their times; a newer profiler takes them",
    "coarse_clock": "read no gap or kernel below 1 µs; a newer torch writes nanoseconds",
    "mended_events": "nothing; a newer torch writes strict JSON",
    "damaged_unread_events": "nothing: no figure reads them",
    "duplicate_unread_keys": "nothing: no figure reads them",
    "duplicate_metadata": "nothing for the figures; the last of each is taken",
    "gzip_trailing": "nothing: what follows the end is not read",
    "totals_only": "record a timeline too, with torch.profiler or nsys, where gaps are asked for",
    "untested_schema": "compare a figure with nsys stats; export with a known nsys where they differ",
    "cpu_leaf_operators": "nothing: these are times of the CPU, and no GPU's",
    "copies_without_way": "read the .json of torch's monitor, which says it",
    "damaged_packets": _WHOLE,
    "cut_packets": _WHOLE,
    "lost_packets": _AGAIN,
    "missing_words": _AGAIN,
    "unknown_clock": _AGAIN,
    "unpaired_ends": "nothing: they began before the window",
    "redrawn_calls": "analyze the traces of the run, whose calls stand where they ran",
    "empty_moves": "nothing; or leave out the calls, which cost the host time and move no bytes",
}


def shown(finding: Finding, trace: Trace) -> Finding:
    """The finding with advice, and of one on the whole file with the events that show it."""
    events = finding.events
    if not events and finding.code in _ENDS:
        events = proof(trace.gpu.top_k(1, by=pl.col("start_ns") + pl.col("dur_ns").fill_null(0)))
    elif not events and finding.code in _EVERY:
        events = proof(trace.gpu)
    return replace(finding, events=events, do=finding.do or ADVICE.get(finding.code, ""))
