"""Watched calls: what an honest path does passes, and each way to look faster is named."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import pytest
import torch

from rope_prof.model.run import Key
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.book import wrong_reason
from rope_prof.record.worker.benches import WorkerBench
from rope_prof.record.worker.messages import Setup
from rope_prof.record.worker.watch import DishonestPathError, differs, kept_alike, tensors, watched
from tests.runs import CASE


class Own(torch.Tensor):
    """A class of a path's own."""


def test_honest_calls_pass_and_return_what_they_return() -> None:
    x = torch.arange(4.0)
    run = watched(lambda a: (a * 2, a + 1), CpuDevice(), held=True)
    assert [each.tolist() for each in run(x)] == [[0, 2, 4, 6], [1, 2, 3, 4]]
    assert watched(lambda a: None if a.add_(1) is a else a, CpuDevice(), held=False)(x) is None
    assert x.tolist() == [1, 2, 3, 4]


def _thread(a: torch.Tensor) -> torch.Tensor:
    threading.Thread(target=lambda: time.sleep(0.3), daemon=True).start()
    return a * 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a: a.as_subclass(Own), "returns a Own, a tensor of a class of its own"),
        (_thread, "leaves a thread behind"),
    ],
)
def test_each_way_to_look_faster_is_named(call: Callable[[torch.Tensor], Any], words: str) -> None:
    with pytest.raises(DishonestPathError, match=words):
        watched(call, CpuDevice(), held=False)(torch.ones(3))


def test_threads_that_compile_are_not_the_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first compiled call starts torch's pools: of a user's path it is no reason to fail it."""
    from torch._inductor.async_compile import AsyncCompile

    with ThreadPoolExecutor(1) as pool:
        held = lru_cache(1)(lambda: pool)
        held()
        monkeypatch.setattr(AsyncCompile, "pool", held)

        def compiles(a: torch.Tensor) -> torch.Tensor:
            pool.submit(time.sleep, 0.1)
            return a * 2

        assert watched(compiles, CpuDevice(), held=False)(torch.ones(2)).tolist() == [2, 2]


def test_threads_that_wait_for_work_may_stay() -> None:
    """A pool that a path keeps, the thread of a library that counts, tqdm's that draws bars."""
    over = threading.Event()
    with ThreadPoolExecutor(2) as pool:

        def pooled(a: torch.Tensor) -> torch.Tensor:
            threading.Thread(target=over.wait).start()
            return a * sum(pool.map(int, (1, 1)))

        assert watched(pooled, CpuDevice(), held=False)(torch.ones(2)).tolist() == [2, 2]
    over.set()


def test_a_path_that_quantises_is_honest() -> None:
    """How narrow an output may be the baseline says, whose dtypes every path must return."""
    half = torch.ones(2, dtype=torch.float16)
    run = watched(lambda a: (a.to(torch.float8_e4m3fn), a.to(torch.int8)), CpuDevice(), held=False)
    assert [each.dtype for each in run(half)] == [torch.float8_e4m3fn, torch.int8]
    narrow = half.to(torch.float8_e5m2)
    assert kept_alike([narrow], [narrow.clone()])
    assert differs([narrow], [narrow.clone()]) is None
    whole = torch.ones(2, dtype=torch.int64)
    found = tensors((half, 1, whole, torch.ones(2, dtype=torch.complex64)))
    assert [id(each) for each in found] == [id(half), id(whole)]


def test_outputs_of_another_shape_are_others_even_where_they_broadcast() -> None:
    whole = torch.ones(4, 3)
    assert differs([whole[:1]], [whole]) == "an output of shape (1, 3) where a checked call has (4, 3)"
    assert differs([whole], [whole]) is None


def test_outputs_are_alike_to_a_thousandth_of_the_largest() -> None:
    one = torch.tensor([1.0, 1000.0])
    assert differs([one], [one + 0.5]) is None
    assert "differ by up to 2" in (differs([one], [one + 2]) or "")
    assert "1 outputs where checked calls have 2" in (differs([one], [one, one]) or "")
    assert differs([torch.tensor([float("nan")])], [torch.tensor([1.0])]) is not None
    assert kept_alike([one], [one.clone()])
    assert not kept_alike([one], [one + 1])
    assert not kept_alike([torch.empty(0)], [torch.empty(0)])


MODULE = """
import sys
from rope_prof.kernels.mrope.unfused import unfused
kept = {}

def honest(*arguments):
    return unfused(*arguments)

def by_address(q, k, *more):
    if q.data_ptr() not in kept:
        kept[q.data_ptr()] = unfused(q, k, *more)
    return kept[q.data_ptr()]

def only_when_checked(q, k, *more):
    frame, names = sys._getframe(1), set()
    while frame is not None:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return unfused(q, k, *more) if names & {"run_once", "outputs"} else (q, k)

def oracle(q, k, positions, table, shape):
    from rope_prof.kernels.mrope.reference import reference
    return tuple(reference(each, positions, shape).to(q.dtype) for each in (q, k))
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> WorkerBench:
    folder = tmp_path_factory.mktemp("paths")
    (folder / "watched_paths.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        made = WorkerBench(Setup(bench="", device="cpu", seed=0, calls=2))
        made.find_path("watched_paths:honest")
    made.open_case(CASE)
    return made


def checked_twice(bench: WorkerBench, name: str) -> None:
    """As a recording does: before its rounds, and after."""
    key = Key(case=CASE, path=f"watched_paths:{name}", mode="eager", l2="hot")
    bench.check(key)
    subject = bench.ready(key)
    subject.work(2)()
    bench.check(key)


def test_a_path_that_is_honest_passes_a_workers_checks(bench: WorkerBench) -> None:
    checked_twice(bench, "honest")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("only_when_checked", "its timed calls do not what its checked calls do"),
        ("oracle", r"it asks the reference for the right answer \(watched_paths calls reference\)"),
    ],
)
def test_a_path_that_is_not_is_named(bench: WorkerBench, name: str, words: str) -> None:
    with pytest.raises(DishonestPathError, match=words):
        checked_twice(bench, name)


def test_a_path_that_keeps_by_address_is_wrong_at_its_first_check(bench: WorkerBench) -> None:
    accuracy, _ = bench.check(Key(case=CASE, path="watched_paths:by_address", mode="eager", l2="hot"))
    assert "it returns what it made before" in str(wrong_reason(accuracy))
