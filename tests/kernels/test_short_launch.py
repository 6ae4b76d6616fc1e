"""When a known layout may be launched again, and everything that must make the call look anew. No GPU: the guards see
CPU tensors and the launch is a recorder."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from rope_prof.kernels.launch import Launch
from rope_prof.kernels.mrope import fused as module
from rope_prof.kernels.mrope.inputs import Inputs, make_inputs, views
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from tests.kernels.shapes import small

SHAPE = small(5, 1)


class Recorder:
    """A Launch whose driver call notes the four pointers and the stream; `code` is what the driver answers."""

    def __init__(self) -> None:
        self.pointers = (ctypes.c_uint64 * 4)()
        self.calls: list[tuple[int, ...]] = []
        self.code = 0
        config = type("Config", (), {"stream": 0})()
        self.launch = Launch(
            launch=self._call, config=None, function=ctypes.c_void_p(1), arguments=None,
            pointers=self.pointers, stream=[0], alive=(config,),
        )  # fmt: skip
        self.config = config

    def _call(self, *_: object) -> int:
        self.calls.append((*self.pointers, self.config.stream))
        return self.code


class Bench:
    """One known layout of `x`; `again(...)` says whether a call repeated it (True) or was handed on (False)."""

    def __init__(self, x: Inputs) -> None:
        self.x, self.recorder, self.handed_on = x, Recorder(), 0
        layout = module.Layout((x.q, x.k, x.positions, x.cos_sin_cache), SHAPE, self.recorder.launch)
        module.layouts.last = layout
        self.layout = layout

    def again(self, **changed: Any) -> bool:
        x = self.x
        call: dict[str, Any] = {"q": x.q, "k": x.k, "positions": x.positions, "table": x.cos_sin_cache, "shape": SHAPE}
        call |= changed
        before, handed = len(self.recorder.calls), self.handed_on
        module.fused(*call.values())
        repeated, passed = len(self.recorder.calls) - before, self.handed_on - handed
        assert repeated + passed == 1
        return bool(repeated)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(make_inputs(SHAPE, 6, torch.bfloat16))

    def handed_on(*_: object) -> bool:
        made.handed_on += 1
        return True

    monkeypatch.setattr(module, "eager", handed_on)
    monkeypatch.setattr(module, "raw_stream", lambda _: 0)
    monkeypatch.setattr(module, "current_device", lambda: made.layout.index)
    yield made
    module.layouts.last = None
    module.layouts.known.clear()


def test_the_same_layout_elsewhere_is_launched_at_its_own_addresses(bench: Bench) -> None:
    x = views(SHAPE, bench.x.qkv.clone(), bench.x.positions.clone(), bench.x.cos_sin_cache)
    assert bench.again() and bench.again(q=x.q, k=x.k, positions=x.positions)
    addresses = [(y.q, y.k, y.positions, y.cos_sin_cache) for y in (bench.x, x)]
    assert bench.recorder.calls == [(*(t.data_ptr() for t in four), 0) for four in addresses]


class Subclass(torch.Tensor):
    """A tensor with a life of its own."""


CHANGES: dict[str, Callable[[Inputs], dict[str, Any]]] = {
    "dtype of q": lambda x: {"q": x.q.view(torch.float16)},
    "dtype of k": lambda x: {"k": x.k.view(torch.float16)},
    "dtype of positions": lambda x: {"positions": x.positions.to(torch.int32)},
    "fewer tokens": lambda x: {"q": x.q[:5], "k": x.k[:5], "positions": x.positions[:, :5]},
    "k of another length": lambda x: {"k": x.k[:5]},
    "more heads": lambda x: {"q": x.qkv[:, : 6 * 128]},
    "row stride of q": lambda x: {"q": x.q.contiguous()},
    "row stride of k": lambda x: {"k": x.k.contiguous()},
    "row stride of positions": lambda _: {"positions": torch.zeros(3, 64, dtype=torch.int64)[:, :6]},
    "positions in one row": lambda x: {"positions": x.positions[0]},
    "device of q": lambda x: {"q": x.q.to("meta")},
    "device of positions": lambda x: {"positions": x.positions.to("meta")},
    "subclass": lambda x: {"q": x.q.as_subclass(Subclass)},
    "parameter": lambda x: {"q": torch.nn.Parameter(x.q, requires_grad=False)},
    "odd address of q": lambda x: {"q": off_by_one_element(x.q)},
    "odd address of k": lambda x: {"k": off_by_one_element(x.k)},
    "another table": lambda x: {"table": x.cos_sin_cache.clone()},
    "an equal view of the table": lambda x: {"table": x.cos_sin_cache[:]},
    "another shape": lambda _: {"shape": replace(SHAPE, pairing="neox")},
}


def off_by_one_element(x: torch.Tensor) -> torch.Tensor:
    """The same sizes and strides, 2 bytes off a multiple of 16."""
    memory = torch.zeros(x.shape[0] * x.stride(0) + 8, dtype=x.dtype)
    moved = memory.as_strided(x.shape, x.stride(), 1)
    assert moved.data_ptr() % 16 == 2
    return moved


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_never_launched_as_before(bench: Bench, change: str) -> None:
    assert bench.again()
    assert not bench.again(**CHANGES[change](bench.x))
    assert bench.again()


def test_requires_grad_alone_is_seen(bench: Bench) -> None:
    q = bench.x.q.detach()
    assert bench.again(q=q)
    assert not bench.again(q=q.requires_grad_())


def test_a_table_whose_memory_was_swapped_is_seen(bench: Bench) -> None:
    table = bench.x.cos_sin_cache.clone()
    bench.layout.table, bench.layout.table_ptr = table, table.data_ptr()
    assert bench.again(table=table)
    table.set_(bench.x.cos_sin_cache.clone())
    assert not bench.again(table=table)


def test_inference_tensors_are_another_layout(bench: Bench) -> None:
    with torch.inference_mode():
        x = views(SHAPE, bench.x.qkv.clone(), bench.x.positions, bench.x.cos_sin_cache)
    assert not bench.again(q=x.q, k=x.k)


class Watching(TorchDispatchMode):
    """A dispatch mode that does nothing but be there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Watching, FakeTensorMode])
def test_a_dispatch_mode_gets_to_see_the_call(bench: Bench, mode: type) -> None:
    with mode():
        assert not bench.again()
    assert bench.again()


@pytest.mark.parametrize("tracing", ["real", "fake"])
def test_a_tracer_gets_to_see_the_call(bench: Bench, tracing: str) -> None:
    seen = []
    make_fx(lambda q: (seen.append(bench.again()), q + 1)[1], tracing_mode=tracing)(bench.x.q)
    assert seen == [False]


def test_function_transforms_get_to_see_the_call(bench: Bench) -> None:
    seen = []
    torch.func.functionalize(lambda q: (seen.append(bench.again()), q + 1)[1])(bench.x.q)
    assert seen == [False]


def test_another_current_device_is_looked_at_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.layout.alone = False
    assert bench.again()
    monkeypatch.setattr(module, "current_device", lambda: 7)
    assert not bench.again()


def test_the_current_stream_is_followed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = iter([0, 5, 5, 0])
    monkeypatch.setattr(module, "raw_stream", lambda _: next(streams))
    assert all(bench.again() for _ in range(4))
    assert [call[-1] for call in bench.recorder.calls] == [0, 5, 5, 0]


def test_a_refused_launch_raises_with_the_drivers_name(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "driver_error", lambda code: {700: "CUDA_ERROR_ILLEGAL_ADDRESS"}[code])
    bench.recorder.code = 700
    with pytest.raises(RuntimeError, match=r"refused the launch: CUDA_ERROR_ILLEGAL_ADDRESS \(700\)"):
        bench.again()


def test_each_thread_has_layouts_of_its_own(bench: Bench) -> None:
    found: list[object] = []

    def look() -> None:
        found.extend([module.layouts.last, dict(module.layouts.known), bench.again()])

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [None, {}, False]
    assert bench.again()
