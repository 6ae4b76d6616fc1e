"""Under which clocks, heat and power a run's samples were taken; those of another clock are counted by key."""

from __future__ import annotations

from statistics import median

import polars as pl

from rope_prof.model.run import ALIKE

#: A card moves its clock in steps of about a percent while it works; beyond this it is another clock.
CLOCK_SHARE = 0.05


def usual_clock(samples: pl.DataFrame) -> float | None:
    """The clock of the cores (SM) in MHz that the run's rounds had in the middle; None where nothing says."""
    if "sm_clock_mhz" not in samples.columns:
        return None
    found = samples["sm_clock_mhz"].drop_nulls().median()
    return float(found) if isinstance(found, int | float) else None


def other_clock(samples: pl.DataFrame) -> dict[str, int]:
    """key -> its samples whose clock was over 5 % off the run's; empty where nothing says."""
    usual = usual_clock(samples)
    if usual is None:
        return {}
    known = samples.drop_nulls("sm_clock_mhz")
    off = (pl.col("sm_clock_mhz") / usual - 1).abs() > CLOCK_SHARE
    return dict(known.group_by("key").agg(off.sum()).iter_rows())


def conditions(samples: pl.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Column of `samples` -> its least, middle and most; without those that no sample has."""
    names = ("sm_clock_mhz", "memory_clock_mhz", "temperature_c", "power_mw", "launch_ns")
    known = {name: samples[name].drop_nulls() for name in names if name in samples.columns}
    return {name: (min(v), median(v), max(v)) for name, v in known.items() if v.len()}


def channels_apart(samples: pl.DataFrame) -> float | None:
    """The share by which processes that took turns in one round launched apart; None where they are alike (`ALIKE`)."""
    if "launch_ns" not in samples.columns:
        return None
    levels = samples.drop_nulls("launch_ns").group_by("round").agg(least="launch_ns", most="launch_ns")
    ratio = levels.select(pl.col("most").list.max() / pl.col("least").list.min()).max().item()
    return float(ratio) - 1 if ratio is not None and ratio > ALIKE else None
