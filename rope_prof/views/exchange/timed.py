"""The measured keys of a run with their samples, as every format of other tools wants them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.run.series import series
from rope_prof.model.run import Run
from rope_prof.views.words.labels import key_labels, key_words


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedKey:
    """One measured key. `label` tells it apart from the run's others; samples are ns a call, in the order of rounds.

    `device_ns` is empty where the device has no clock.
    """

    row: Row
    label: str
    wall_ns: tuple[float, ...]
    device_ns: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What goes out of a run, and the sentence on each key that does not: wrong and failed ones are no results."""

    run: Run
    keys: tuple[TimedKey, ...]
    left_out: tuple[str, ...]


def timed(run: Run, rows: Sequence[Row], samples: pl.DataFrame) -> Exchanged:
    """The keys of `run` that count, in its order. `rows` and `samples` are the run's own."""
    found, names = series(samples), key_labels(rows)
    keys, left_out = [], []
    for row, label, facts in zip(rows, names, run.keys, strict=True):
        wall, device = (tuple(found.get((row.key, clock), {}).values()) for clock in ("wall", "device"))
        if row.status == "measured" and (wall or device):
            keys.append(TimedKey(row=row, label=label, wall_ns=wall, device_ns=device))
        else:
            reason = f" ({row.reason})" if row.reason else ""
            left_out.append(f"{key_words(facts.key)}: {row.status}{reason}, not in it")
    return Exchanged(run=run, keys=tuple(keys), left_out=tuple(left_out))
