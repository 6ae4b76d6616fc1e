"""Whether a recording runs its paths in workers, and the workers of one recording from first to last."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rope_prof.errors import UsageError
from rope_prof.model.kind import Kind
from rope_prof.model.run import KeyFacts, Run
from rope_prof.record.loop.plan import interpreted
from rope_prof.record.worker.crew import Crew
from rope_prof.record.worker.forks import Zygotes
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.process import PATIENCE_S, Start
from rope_prof.record.worker.seat import Seat
from rope_prof.record.worker.sides import RecordedSide, split, with_side

ISOLATED = "a process per path"
TORCH_BENCH = "rope_prof.record.worker.benches:torch_bench"
#: What every worker needs, loaded once for all of an environment.
PRELOAD = ("rope_prof.record.worker.benches", "triton")
#: And where something is compiled; what calls a device as it is loaded, each worker loads for itself.
COMPILER = (
    "torch._dynamo",
    "torch._inductor.compile_fx",
    "torch._inductor.codegen.triton",
    "torch._inductor.runtime.triton_heuristics",
    "torch._inductor.fx_passes.fuse_attention",
)


def preload(modes: Sequence[str]) -> tuple[str, ...]:
    """The modules that a recording of `modes` needs in each of its workers; () is all modes."""
    return PRELOAD + (COMPILER if not modes or "compile" in modes else ())


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
    profiler: str = "kineto"
    operation: str = "mrope"
    patience_s: float = PATIENCE_S
    start: Start = field(default_factory=lambda: Start(preload=PRELOAD))
    zygotes: Zygotes = field(default_factory=Zygotes)
    bench_name: str = TORCH_BENCH
    side: RecordedSide | None = None
    _crew: Crew | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def crew(self) -> Crew:
        """The bench that all of it is."""
        if self._crew is None:
            self._crew = Crew(
                kind=self.kind,
                seed=self.seed,
                seat_of=self._seat,
                anew=self.zygotes.renew,
                helper=lambda: self.zygotes.process(self.start, self.patience_s),
            )
        return self._crew

    def _seat(self, path: str) -> Seat:
        side = self.side if self.side is not None and split(path)[1] == self.side.label else None
        start = side.start if side else self.start
        setup = Setup(
            bench=self.bench_name,
            device=self.device,
            seed=self.seed,
            calls=self.calls,
            profiler=self.profiler,
            kernels=side.kernels if side else None,
            operation=self.operation,
            compiles=set(COMPILER) <= set(self.start.preload),
        )
        return Seat(
            setup=setup,
            begin=lambda: self.zygotes.process(start, self.patience_s),
            clock=self.crew.clock,
            numbers=lambda: next(self._numbers),
            origin=start,
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
        self.operation = run.operation.source or self.operation
        self.calls = int(run.settings["calls"] or 2)
        self.profiler = str(run.settings.get("profiler") or "kineto")
        left = [f.key for f in run.keys if f.status == "pending" and not interpreted(f, self.kind)]
        crew.sit(dict.fromkeys(key.path for key in left))
        return crew

    def planned(self, keys: tuple[KeyFacts, ...]) -> tuple[KeyFacts, ...]:
        """`keys`, and after them what is measured of them on the other side: all that runs here."""
        if self.side is None:
            return keys
        label = self.side.label
        both = [f for f in keys if f.status == "pending" and not interpreted(f, self.kind)]
        return keys + tuple(replace(f, key=replace(f.key, path=with_side(f.key.path, label))) for f in both)

    def met(self, run: Run) -> dict[str, str]:
        """What the other side is, once it has answered: words for the run's settings.

        Errors: UsageError for one that cannot be measured, in one sentence.
        """
        side = self.side
        seat = next((s for path, s in self.crew.seats.items() if side and split(path)[1] == side.label), None)
        if side is None or seat is None:
            return {}
        try:
            there = seat.hello().machine
        except Exception as error:
            raise UsageError(f"{side.words} cannot be measured: {error}; {_cure(side)}") from error
        if there is None or there.torch == run.machine.torch:
            return {"other side": side.words}
        return {
            "other side": f"{side.words}, with torch {there.torch} where this side has {run.machine.torch}: "
            "a ratio is of both together"
        }

    def close(self) -> None:
        """End every process."""
        if self._crew is not None:
            self._crew.close()
        self.zygotes.close()


def _cure(side: RecordedSide) -> str:
    if side.start.python != sys.executable:
        return f"install this rope_prof there: {Path(side.start.python).name} -m pip install rope-prof"
    return "its code must load by itself, and offer what this bench uses"
