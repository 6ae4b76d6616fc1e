"""The samples of a run as series: per key and clock, round -> ns a call. One pass over the frame, no statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from rope_prof.model.run import Key, Run

PerRound = dict[int, float]
#: (name of the key or ceiling, clock) -> round -> ns a call.
Series = Mapping[tuple[str, str], PerRound]
#: What is wrong or failed is shown and never ranked.
UNRANKED = frozenset({"wrong", "failed"})


def series(samples: pl.DataFrame) -> Series:
    """Every series that `samples` holds."""
    found: dict[tuple[str, str], PerRound] = {}
    for key, number, clock, calls, ns in samples.select("key", "round", "clock", "calls", "ns").iter_rows():
        found.setdefault((key, clock), {})[number] = ns / calls
    return found


def wall(found: Series, key: Key | None) -> PerRound:
    """The wall series of `key`; empty where it has none."""
    return found.get((key.name, "wall"), {}) if key is not None else {}


def ranked(run: Run) -> dict[str, Key]:
    """name -> key, of those that may be ranked."""
    return {facts.key.name: facts.key for facts in run.keys if facts.status not in UNRANKED}


def chain(keys: Mapping[str, Key], key: Key, *, mode: str | None = None) -> Key | None:
    """The baseline's key of the case of `key`, in its mode or that one; None where there is none."""
    return sibling(keys, key, path=key.case.operation.baseline, mode=mode)


def sibling(keys: Mapping[str, Key], key: Key, *, path: str | None = None, mode: str | None = None) -> Key | None:
    """The key of `keys` that differs from `key` in path or mode alone; None where there is none."""
    other = replace(key, path=path or key.path, mode=mode or key.mode)  # type: ignore[arg-type]
    return keys.get(other.name)
