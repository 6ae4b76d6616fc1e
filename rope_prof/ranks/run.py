"""The analysis of many traces: what is asked for minus what is there, over an engine, into a dataset, as it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from rope_prof.io.trace.dataset import Dataset
from rope_prof.ranks.task import Task, TraceDone

#: Called after each trace with (traces that are there, all of them, the answer that came last or None).
ToldError = Callable[[int, int, TraceDone | None], None]


class Engine(Protocol):
    """Whoever runs tasks: `pool.Pool`, `cluster.Cluster`, a test's."""

    def run(self, tasks: Iterable[Task]) -> Iterator[TraceDone]:
        """Every task's answer, in any order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How it went. `failed` traces (source, why) are tried again when the same is asked for again."""

    traces: int
    kept: int
    failed: tuple[tuple[str, str], ...]


def analyze_many(tasks: Iterable[Task], dataset: Dataset, engine: Engine, told: ToldError) -> Tally:
    """Bring `dataset` to hold every task's rows. Killed at any moment, the same call goes on from there.

    Errors: RunError where the dataset cannot be written; the engine's own where it ends.
    """
    dataset.begin()
    known = dataset.known()
    every = list(tasks)
    pending = [task for task in every if known.get(task.source.shown) != task.stamp]
    there = kept = len(every) - len(pending)
    told(there, len(every), None)
    lost = []
    for done in engine.run(pending):
        dataset.write(done.rows, source=done.task.source.shown, folder=done.task.source.folder, rank=done.rank)
        if done.status == "failed":
            lost.append((done.task.source.shown, done.reason or "no reason"))
        there += 1
        told(there, len(every), done)
    return Tally(traces=len(every), kept=kept, failed=tuple(sorted(lost)))
