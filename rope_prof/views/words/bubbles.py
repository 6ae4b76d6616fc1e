"""What a corrected bubble is made of, in words. Knows rows; decides nothing."""

from __future__ import annotations

from rope_prof.analysis.run.rows import Row
from rope_prof.units import duration


def parts_of_bubble(row: Row) -> str:
    """`host 205 µs + queue 30.5 µs`; empty where no device time tells the two apart."""
    if row.bubble_host_ns is None or row.bubble_queue_ns is None:
        return ""
    return f"host {duration(row.bubble_host_ns)} + queue {duration(row.bubble_queue_ns)}"
