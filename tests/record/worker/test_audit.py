"""Every call that is timed is made: work left out in some is found in loops and in graphs, and honest paths pass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.paths import path_of

from rope_prof.model.run import Case, Key
from rope_prof.record.bench.accuracy import limits
from rope_prof.record.bench.subjects import Ring
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.plan import facts_of
from rope_prof.record.loop.timing import turn
from rope_prof.record.worker import audit
from rope_prof.record.worker.audit import CALLS, Audit, Rota, off_share
from rope_prof.record.worker.benches import WorkerBench
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.watch import DishonestPathError
from tests.record.tapes import taped
from tests.runs import CASE

#: A case whose calls are quick.
FEW = replace(CASE, values=tuple((name, 3 if name == "tokens" else value) for name, value in CASE.values))
OPERATIONS = ("mrope", "mrope-kv", "rmsnorm-quant", "silu-mul", "column-amax")


def audited(
    name: str,
    path: Callable[..., Any],
    *,
    l2: str = "cold",
    buffers: int = 3,
    graph: bool = False,
    granted: Sequence[float] = (),
    ahead: int = 0,
    refill: Callable[[Ring, int], None] = Ring.refill,
    taken: int = 1,
    clock: Callable[[], int] = lambda: 0,
    least: int = 1,
) -> Ring:
    """Look at `path` as one of the operation called `name`."""
    measured = operation(name)
    case = {axis.name: (axis.usual("cpu", quick=True) or axis.choices)[0] for axis in measured.axes} | {
        measured.swept: 3
    }
    known = Case(values=tuple(case.items()), operation=CASE.operation)
    one = Ring(measured, known, CpuDevice(), 0)
    ring = Ring(measured, known, CpuDevice(l2_bytes=one.buffer_bytes * buffers // 3), 0)
    assert len(ring) == buffers
    drawn = iter(range(1000))
    looked = Audit(
        ring=ring,
        l2=l2,  # type: ignore[arg-type]
        call=path,
        baseline=path_of(measured, measured.paths[0]).call,
        granted=granted or limits(measured, case, ring.calls[0]).errors,
        refill=lambda: refill(ring, next(drawn)),
        synchronize=lambda: None,
        granted_on=lambda call: limits(measured, case, call).errors,
        ahead=ahead,
    )
    if graph:
        looked.of_capture()
        return ring
    for stage in looked.stages(clock, least):
        for _ in range(taken):
            turn(stage, 0, iter(range(1 << 20)).__next__, CpuDevice(), wake=False)
    return ring


def of(name: str) -> Callable[..., Any]:
    measured = operation(name)
    return path_of(measured, measured.paths[0]).call


def in_place(q: Any, k: Any, *more: Any) -> None:
    for place, new in zip((q, k), of("mrope")(q, k, *more), strict=True):
        place.copy_(new)


@pytest.fixture(autouse=True)
def _tapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "replays", taped)


@pytest.mark.parametrize("l2", ["cold", "hot"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_paths_that_ship_are_honest(name: str, l2: str) -> None:
    audited(name, of(name), l2=l2)
    audited(name, of(name), l2=l2, graph=True, buffers=28)


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("l2", ["cold", "hot"])
def test_honest_paths_in_place_and_in_one_buffer_pass(l2: str, graph: bool) -> None:
    kept: list[torch.Tensor] = []

    def in_one_buffer(*arguments: Any) -> list[torch.Tensor]:
        made = of("mrope")(*arguments)
        kept.extend(torch.empty_like(each) for each in made[len(kept) :])
        return [place.copy_(new) for place, new in zip(kept, made, strict=True)]

    audited("mrope", in_place, l2=l2, graph=graph, buffers=28)
    audited("mrope", in_one_buffer, l2=l2, graph=graph, buffers=28)


@dataclass
class Lazy:
    """Works in all calls but each `period`-th, where it does what `instead` does."""

    period: int
    work: Callable[..., Any]
    instead: Callable[..., Any]
    count: int = 0

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        return (self.work if self.count % self.period else self.instead)(*arguments)


def fresh(q: torch.Tensor, k: torch.Tensor, *_: Any) -> Any:
    return torch.empty_like(q), torch.empty_like(k)


@pytest.mark.parametrize(("work", "instead"), [(of("mrope"), fresh), (in_place, lambda *_: None)])
@pytest.mark.parametrize(("period", "buffers"), [(2, 1), (7, 1), (7, 28), (28, 28), (CALLS, 28)])
def test_work_left_out_in_some_calls_is_found_for_certain(
    work: Callable[..., Any], instead: Callable[..., Any], period: int, buffers: int
) -> None:
    with pytest.raises(DishonestPathError, match=r"its timed calls do not what its checked calls do: of .* in a row"):
        audited("mrope", Lazy(period, work, instead), buffers=buffers)


@pytest.mark.parametrize(("work", "instead"), [(of("mrope"), fresh), (in_place, lambda *_: None)])
def test_and_in_some_calls_of_a_graph(work: Callable[..., Any], instead: Callable[..., Any]) -> None:
    for period in (2, 7, 14):
        with pytest.raises(DishonestPathError, match=r"its graph does not what its calls do: of .* in a row"):
            audited("mrope", Lazy(period, work, instead), buffers=28, graph=True)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("buffers", [1, 3, 28])
def test_no_version_counter_tells_of_the_values_that_are_looked_at(buffers: int, kept: bool) -> None:
    made: dict[Any, Any] = {}

    def at_first_sight(q: Any, k: Any, *more: Any) -> Any:
        at = q.data_ptr(), q._version  # noqa: SLF001
        if at in made:
            return made[at] if kept else fresh(q, k)
        made[at] = of("mrope")(q, k, *more)
        return made[at]

    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        audited("mrope", at_first_sight, buffers=buffers)


@dataclass
class Fingerprints:
    """Works once for some elements of its input, at one address or anywhere, and gives copies of what it made then."""

    at: bool
    every: int
    made: dict[Any, Any] = field(default_factory=dict)

    def __call__(self, q: Any, k: Any, *more: Any) -> Any:
        print_ = (self.at and q.data_ptr(), q.shape, *q.flatten()[:: max(1, q.numel() // self.every)].tolist())
        if print_ not in self.made:
            self.made[print_] = of("mrope")(q, k, *more)
        return [each.clone() for each in self.made[print_]]


@pytest.mark.parametrize("at", [True, False])
@pytest.mark.parametrize("every", [1, 4, 16])
@pytest.mark.parametrize(("l2", "buffers"), [("cold", 1), ("cold", 28), ("hot", 3)])
def test_few_elements_do_not_tell_of_the_values_that_are_looked_at(at: bool, every: int, l2: str, buffers: int) -> None:
    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        audited("mrope", Fingerprints(at, every), l2=l2, buffers=buffers)


def test_nor_where_samples_are_taken_again_or_calls_take_long() -> None:
    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        audited("mrope", Fingerprints(True, 4), buffers=28, taken=3)
    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        audited("mrope", Fingerprints(True, 4), buffers=28, clock=iter(range(0, 1 << 60, 1 << 40)).__next__, least=8)


def test_values_that_no_refill_changes_lie_in_other_places_too_and_come_back() -> None:
    made: dict[int, Any] = {}

    def kept(x: Any) -> Any:
        if x.data_ptr() not in made:
            made[x.data_ptr()] = of("silu-mul")(x)
        return made[x.data_ptr()]

    def as_they_are(*_: Any) -> None: ...

    first, again = (
        [each.clone() for one in audited("silu-mul", of("silu-mul"), refill=as_they_are).calls for each in one.fresh]
        for _ in range(2)
    )
    assert all(map(torch.equal, first, again))
    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        audited("silu-mul", kept, refill=as_they_are)


def test_a_path_may_make_other_than_the_baseline_of_values_that_do_not_belong_together() -> None:
    """As one that clamps by a scale of each row: what lies in another row is none of its values."""
    largest = torch.tensor([[1.0], [10.0], [100.0]], dtype=torch.bfloat16)
    seen: list[bool] = []

    def scaled(ring: Ring, seed: int) -> None:
        ring.refill(seed)
        for one in ring.calls:
            one.fresh[0].copy_(clamped(one.fresh[0] * largest))

    def clamped(x: torch.Tensor) -> torch.Tensor:
        return x.clamp(-3 * largest, 3 * largest)

    def by_rows(x: torch.Tensor) -> Any:
        seen.append(torch.equal(x, clamped(x)))
        return of("silu-mul")(clamped(x))

    audited("silu-mul", by_rows, refill=scaled)
    assert not all(seen)
    with pytest.raises(DishonestPathError):
        audited("silu-mul", Lazy(7, by_rows, lambda x: x.new_empty(3, x.shape[1] // 2)), refill=scaled)


def test_calls_are_made_ahead_of_those_that_are_looked_at() -> None:
    count = []

    def not_at_first(*arguments: Any) -> Any:
        count.append(arguments)
        return fresh(*arguments) if len(count) <= 50 else of("mrope")(*arguments)

    audited("mrope", not_at_first, ahead=50)
    assert len(count) > 50 + CALLS / 2


def test_what_lies_off_values_that_are_larger_than_the_first_is_granted_by_them() -> None:
    def nearly(*arguments: Any) -> Any:
        return [each * (1 + 2**-7) for each in of("mrope")(*arguments)]

    audited("mrope", nearly, granted=[1e-6, 1e-6])
    with pytest.raises(DishonestPathError):
        audited("mrope", Lazy(7, nearly, fresh), granted=[1e-6, 1e-6])


def test_a_path_is_looked_at_in_one_of_its_first_rounds_and_ever_more_seldom() -> None:
    for chance in (lambda _: 0, lambda below: below - 1, lambda below: below // 2):
        rota = Rota(below=chance)
        due = [number for number in range(40, 140) if rota.due("a", number)]
        assert due[0] in {40, 41, 42}
        assert len(due) < 8 or chance(9) == 0
    assert {next(n for n in range(3) if rota.due(str(i), n)) for i, rota in enumerate(Rota() for _ in range(99))} == {
        0,
        1,
        2,
    }


def test_elements_that_are_off_are_counted() -> None:
    one = torch.tensor([1.0, 2.0, float("nan"), float("inf")])
    assert off_share(one, one.clone(), 0.0) == 0.0
    assert off_share(torch.tensor([1.0, 2.3, 0.0, float("inf")]), one, 0.1) == 0.5
    assert off_share(torch.tensor([1, 3]), torch.tensor([1, 2]), 0.0) == 0.0
    assert off_share(torch.tensor([1, 4]), torch.tensor([1, 2]), 0.0) == 0.5
    assert off_share(one[:2], one, 9.0) == 1.0
    assert off_share(one[:0], one[:0], 0.0) == 0.0


MODULE = """
import torch
from rope_prof.kernels.mrope.unfused import unfused

def honest(*arguments):
    return unfused(*arguments)

def in_place(q, k, *more):
    for place, new in zip((q, k), unfused(q, k, *more), strict=True):
        place.copy_(new)

count = [0]

def not_in_some_captures(q, k, *more):
    count[0] += CAPTURING == [True]
    if CAPTURING and count[0] % 7 == 0:
        return None
    in_place(q, k, *more)

def not_when_profiled(q, k, *more):
    profiled = torch.autograd._profiler_enabled()
    return (torch.empty_like(q), torch.empty_like(k)) if profiled else unfused(q, k, *more)

def timed_alone(q, k, *more):
    count[0] += CAPTURING == [True]
    if not (CAPTURING and 28 < count[0] <= 56):
        in_place(q, k, *more)
"""


@dataclass(frozen=True, slots=True)
class Flushed(CpuDevice):
    """A CPU with a cache of its own to flush."""

    l2_bytes: int | None = 1

    def flush(self) -> None: ...


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerBench:
    (tmp_path / "audited_paths.py").write_text("from tests.record.tapes import CAPTURING\n" + MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "audited_paths", raising=False)
    monkeypatch.setattr("rope_prof.record.bench.subjects.replays", taped)
    monkeypatch.setattr("rope_prof.record.worker.benches.secrets.randbelow", lambda _: 0)
    made = WorkerBench(Setup(bench="", device="cpu", seed=0, calls=2))
    made.device = Flushed()  # type: ignore[assignment]
    made.open_case(FEW)
    return made


def timed(bench: WorkerBench, name: str, mode: str) -> None:
    key = Key(case=FEW, path=f"audited_paths:{name}", mode=mode, l2="cold")  # type: ignore[arg-type]
    bench.check(key)
    subject = bench.ready(key)
    subject.work(1 if mode == "eager" else 28)()
    for number in range(3):
        for stage in bench.audits(key.name, number):
            turn(stage, number, bench.clock, bench.device, wake=False)
    bench.check(key)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("name", ["honest", "in_place"])
def test_a_worker_finds_honest_paths_honest(bench: WorkerBench, name: str, mode: str) -> None:
    timed(bench, name, mode)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_worker_finds_what_is_left_out_while_the_profiler_listens(
    bench: WorkerBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    for name in ("not_when_profiled",) if place else ("honest", "in_place", "not_when_profiled"):
        key = Key(case=FEW, path=f"audited_paths:{name}", mode="eager", l2="cold")
        bench.check(key)
        subject = bench.ready(key)
        bench.check(key)
        monkeypatch.setattr("rope_prof.record.worker.benches.secrets.randbelow", lambda below: min(place, below - 1))
        if name != "not_when_profiled":
            assert bench.capture(subject, key, tmp_path)[1] == 2
            assert bench.capture_light(subject, key, tmp_path) is None
            continue
        with pytest.raises(DishonestPathError, match="is work left out in some calls"):
            bench.capture(subject, key, tmp_path)
            bench.capture_light(subject, key, tmp_path)


def test_a_worker_finds_what_is_left_out_of_captures(bench: WorkerBench) -> None:
    with pytest.raises(DishonestPathError, match="its graph does not what its calls do"):
        timed(bench, "not_in_some_captures", "graph")


def test_of_a_path_in_place_the_very_graph_that_is_timed_is_held(bench: WorkerBench) -> None:
    with pytest.raises(DishonestPathError, match="its graph does not what its calls do"):
        timed(bench, "timed_alone", "graph")


OWN = """
import torch
from dataclasses import replace
from rope_prof.kernels.examples.silu_mul import SILU_MUL, unfused

count = [0]

def skips(x):
    count[0] += 1
    return unfused(x) if count[0] <= 60 or count[0] % 3 else x.new_empty(x.shape[0], x.shape[1] // 2)

operation = replace(SILU_MUL, functions={"unfused": unfused, "again": lambda x: unfused(x), "skips": skips},
    paths=("unfused", "again", "skips"))
"""


def test_a_worker_looks_at_every_path_of_an_operation_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own_silu.py"
    file.write_text(OWN)
    word = f"{file}:operation"
    measured = operation(word)
    bench = WorkerBench(Setup(bench="", device="cpu", seed=0, calls=2, operation=word))
    values = tuple({"hidden": 64, "tokens": 3, "dtype": "bf16"}.items())
    case = Case(values=values, operation=facts_of(measured, word))
    bench.open_case(case)

    def looked_at(path: str) -> bool:
        key = Key(case=case, path=path, mode="eager", l2="cold")
        assert not bench.check(key)[0].wrong
        bench.ready(key).work(62)()
        stages = [next(iter(bench.audits(key.name, number)), None) for number in range(3)]
        bench.check(key)
        return any(stages)

    assert [looked_at(path) for path in ("unfused", "again")] == [False, True]
    with pytest.raises(DishonestPathError, match="is work left out in some calls"):
        looked_at("skips")
