"""The columns of the samples of a run. No files, no statistics; a worker, which takes them, needs no frames."""

from __future__ import annotations

from typing import Final

import polars as pl

#: Ahead of a key's name: samples that one of several ranks took while all others waited.
ALONE: Final = "alone."


def samples_schema() -> dict[str, type[pl.DataType]]:
    """One row per sample: `ns` is the whole sample, which holds `calls` calls; per call = ns / calls.

    `throttled`: whether the clock was held down in its round; null where the device does not say (and in old runs).
    """
    return {
        "key": pl.String,
        "round": pl.Int64,
        "clock": pl.String,
        "calls": pl.Int64,
        "ns": pl.Int64,
        "throttled": pl.Boolean,
    }


def conditions_schema() -> dict[str, type[pl.DataType]]:
    """What a sample was taken under, beside `samples_schema`; null where nothing says (and in old runs).

    `process`: the number of the process that took it, counted through the run; `launch_ns`: how far apart queued
    launches of that process start, measured before it began. The others are the device's own word at the end of its
    round: clocks of its cores (SM) and memory, temperature, power.
    """
    return {
        "process": pl.Int64,
        "sm_clock_mhz": pl.Int64,
        "memory_clock_mhz": pl.Int64,
        "temperature_c": pl.Int64,
        "power_mw": pl.Int64,
        "launch_ns": pl.Int64,
    }
