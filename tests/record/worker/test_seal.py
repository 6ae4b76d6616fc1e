"""What has been replaced is named; what is as it was is not."""

from __future__ import annotations

import gc
import time
from types import ModuleType

import pytest

from rope_prof.record.worker.seal import OUTSIDE, Seal


def module() -> ModuleType:
    made = ModuleType("measured")
    source = "def limit(x): return 2 * x\nclass Bench:\n    def check(self): return 1\nnumber = 3\n"
    exec(source, made.__dict__)
    made.Bench.__module__ = "measured"
    return made


def test_nothing_is_replaced_until_something_is() -> None:
    assert Seal((module(),)).replaced() == ()


def test_a_function_a_method_and_the_code_of_one_are_named() -> None:
    mine = module()
    seal = Seal((mine,))
    mine.number = 4
    assert seal.replaced() == ()
    mine.limit.__code__ = (lambda x: 1000 * x).__code__
    assert seal.replaced() == ("measured.limit",)
    mine.Bench.check = lambda self: 0  # noqa: ARG005
    mine.limit = print
    assert seal.replaced() == ("measured.limit", "measured.Bench.check")
    del mine.Bench
    assert "measured.Bench" in seal.replaced()


@pytest.mark.parametrize("name", [name for name in OUTSIDE["time"] if name != "sleep"])
def test_every_clock_is_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    seal = Seal((module(),))
    real = getattr(time, name)
    with monkeypatch.context() as patch:
        patch.setattr(time, name, lambda: real() // 2)
        assert seal.replaced() == (f"time.{name}",)
    assert seal.replaced() == ()


def test_torch_and_the_collector_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seal = Seal((module(),))
    monkeypatch.setattr(gc, "disable", lambda: None)
    monkeypatch.setattr(torch.Tensor, "clone", lambda self: self)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda *_: None)
    assert set(seal.replaced()) == {"gc.disable", "torch.Tensor.clone", "torch.cuda.synchronize"}


def test_this_programs_own_functions_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from rope_prof.record.loop import timing

    seal = Seal()
    monkeypatch.setattr(timing, "wall", lambda *_: 1)
    assert "rope_prof.record.loop.timing.wall" in seal.replaced()
