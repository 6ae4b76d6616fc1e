"""Whether a recording runs its paths in workers, and the workers of one recording from first to last."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rope_prof.model.run import Run
from rope_prof.record.loop.describe import ToldError
from rope_prof.record.loop.plan import Kind, interpreted
from rope_prof.record.worker.crew import Crew
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.process import PATIENCE_S, Start, WorkerProcess
from rope_prof.record.worker.seat import Seat

ISOLATED = "a process per path"
TORCH_BENCH = "rope_prof.record.worker.benches:torch_bench"
#: What every worker loads, so that several do it side by side.
PRELOAD = ("rope_prof.record.worker.benches",)


def why_together(isolate: bool | None, *, sweep: bool, ranks: bool) -> str | None:
    """Why all paths of a recording run in one process; None where each has its own. `isolate`: as asked, if at all."""
    if isolate is False:
        return "asked for by --no-isolate"
    if ranks:
        return "under torchrun each rank is a process, which holds all paths"
    if sweep and not isolate:
        return "a sweep's largest buffers fit the card once, not once a path; ask for --isolate"
    return None


@dataclass(slots=True)
class Workers:
    """The workers of one recording on the device called `device`; `close` ends them all."""

    device: str
    seed: int
    kind: Kind
    calls: int = 2
    patience_s: float = PATIENCE_S
    start: Start = field(default_factory=lambda: Start(preload=PRELOAD))
    spare: WorkerProcess | None = None
    bench_name: str = TORCH_BENCH
    _crew: Crew | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def crew(self) -> Crew:
        """The bench that all of it is."""
        if self._crew is None:
            self._crew = Crew(kind=self.kind, seed=self.seed, seat_of=self._seat)
        return self._crew

    def _seat(self, path: str) -> Seat:
        del path
        spare, self.spare = self.spare, None
        setup = Setup(bench=self.bench_name, device=self.device, seed=self.seed, calls=self.calls)
        return Seat(
            setup=setup,
            start=self.start,
            clock=self.crew.clock,
            numbers=lambda: next(self._numbers),
            patience_s=self.patience_s,
            spare=spare,
        )

    def find(self, path: str) -> None:
        """Look `path` up in its worker. Errors: LookupError for a name that names nothing."""
        unknown = self.crew.load(path)
        if unknown is not None:
            raise LookupError(unknown)

    def bench(self, run: Run, last_process: int) -> Crew:
        """The bench of `run`: a seat for each path that is left to measure here, the baseline's first."""
        if last_process >= 0:
            self._numbers = itertools.count(last_process + 1)
        crew = self.crew
        crew.seed = self.seed = run.seed
        self.calls = int(run.settings["calls"] or 2)
        left = [f.key for f in run.keys if f.status == "pending" and not interpreted(f.key, self.kind)]
        crew.sit(dict.fromkeys(key.path for key in left))
        return crew

    def close(self) -> None:
        """End every process."""
        if self.spare is not None:
            self.spare.end()
            self.spare = None
        if self._crew is not None:
            self._crew.close()


@contextmanager
def spare_worker(patience_s: float, *, wanted: bool) -> Iterator[WorkerProcess | None]:
    """A worker that loads torch while this process does; ended where nobody has taken it up by then."""
    process = None
    if wanted:
        with suppress(ToldError):
            process = WorkerProcess(Start(preload=PRELOAD), patience_s)
    try:
        yield process
    finally:
        if process is not None:
            process.end()
