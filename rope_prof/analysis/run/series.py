"""The samples of a run as series: per key and clock, round -> ns a call. One pass over the frame, no statistics."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import polars as pl

from rope_prof.model.run import Key, Run


class PerRound(dict[int, float]):
    """round -> ns a call. `took`: round -> the process that took it where several measured each key, else empty."""

    took: Mapping[int, int] = MappingProxyType({})


#: (name of the key or ceiling, clock) -> round -> ns a call.
Series = Mapping[tuple[str, str], PerRound]
#: What is wrong or failed is shown and never ranked.
UNRANKED = frozenset({"wrong", "failed"})


def series(samples: pl.DataFrame, run: Run | None = None) -> Series:
    """Every series that `samples` holds; of a `run` of several processes a side each says which took its rounds."""
    found: dict[tuple[str, str], PerRound] = defaultdict(PerRound)
    for key, number, clock, calls, ns in samples.select("key", "round", "clock", "calls", "ns").iter_rows():
        found[key, clock][number] = ns / calls
    if run is not None and repeats(run) > 1 and "process" in samples.columns:
        took: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
        for key, number, clock, process in samples.select("key", "round", "clock", "process").drop_nulls().iter_rows():
            took[key, clock][number] = process
        for name, mine in took.items():
            found[name].took = mine
    return dict(found)


def repeats(run: Run) -> int:
    """How many fresh processes a side were planned; 1 where one measured all its rounds."""
    planned = run.settings.get("repeats")
    return planned if isinstance(planned, int) else 1


def wall(found: Series, key: Key | None) -> PerRound:
    """The wall series of `key`; empty where it has none."""
    return found.get((key.name, "wall"), PerRound()) if key is not None else PerRound()


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
