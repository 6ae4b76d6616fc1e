"""A layer's own call: what it looks at, what it launches, when it hands on. No GPU: the launch is a recorder."""

from __future__ import annotations

import copy
import ctypes
import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from rope_prof.kernels.launch import Launch
from rope_prof.kernels.mrope_kv import bound as bound_module
from rope_prof.kernels.mrope_kv import fused as module
from rope_prof.kernels.mrope_kv.bound import Bound
from rope_prof.kernels.mrope_kv.checks import Given
from rope_prof.kernels.mrope_kv.inputs import KvInputs, make_kv_ring
from torch._subclasses import FakeTensorMode

from tests.kernels.shapes import small

SHAPE = small(5, 1)


class Bench:
    """A layout that is known, and two layers of it; `calls` are the pointers of each launch, `handed` other calls."""

    def __init__(self, kind: Any) -> None:
        self.layers = make_kv_ring(SHAPE, 6, 2, kind=kind)
        self.calls: list[list[int]] = []
        self.handed = 0
        pointers = (ctypes.c_uint64 * 11)()
        again = Launch(
            launch=lambda *_: self.calls.append(list(pointers)) or 0, config=None, function=ctypes.c_void_p(1),
            arguments=None, pointers=pointers, stream=[0], alive=(),
        )  # fmt: skip
        given = Given(*self.layers[0].arguments(SHAPE)[:10])  # type: ignore[arg-type]
        module.layouts.last = self.known = module.Known(given, SHAPE, ("NHD", False, False), again)
        self.known.alone = True

    def bound(self, x: KvInputs, **options: Any) -> Bound:
        return Bound(SHAPE, x.cos_sin_cache, x.k_cache, x.v_cache, x.k_scale, x.v_scale, x.layout, **options)


@pytest.fixture(params=["same", "fp8"])
def bench(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(request.param)

    def plain(*_: object, **__: bool) -> None:
        made.handed += 1

    monkeypatch.setattr(module, "raw_stream", lambda _: 0)
    monkeypatch.setattr(bound_module, "fused", plain)
    yield made
    module.layouts.last = None
    module.layouts.known.clear()


def pointers(x: KvInputs) -> list[int]:
    table = x.cos_sin_cache
    scales = (table, table) if x.k_scale is None or x.v_scale is None else (x.k_scale, x.v_scale)
    every = (x.q, x.k, x.v, x.positions, table, x.k_cache, x.v_cache, x.slots, *scales, x.q)
    return [each.data_ptr() for each in every]


def test_the_first_call_hands_on_and_later_ones_launch_at_each_layers_own_addresses(bench: Bench) -> None:
    one, other = bench.layers
    first, second = bench.bound(one), bench.bound(other)
    first(one.q, one.k, one.v, one.positions, one.slots)
    assert (bench.handed, bench.calls) == (1, [])
    for layer, x in ((first, one), (second, other)):
        layer(x.q, x.k, x.v, x.positions, x.slots)
        assert bench.calls.pop() == pointers(x)
    assert bench.handed == 1


def by_file(layer: Bound) -> Bound:
    """As a model that is saved whole; plain pickle takes no fp8 tensors."""
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    found: Bound = torch.load(file, weights_only=False)
    return found


@pytest.mark.parametrize("copied", [copy.deepcopy, by_file])
def test_a_copy_writes_to_caches_of_its_own(bench: Bench, copied: Callable[[Bound], Bound]) -> None:
    """Not to those of the layer that it was copied from: neither by address nor, in compiled code, by number."""
    x = bench.layers[0]
    layer = bench.bound(x, unseen=True)
    other = copied(layer)
    moving = (x.q, x.k, x.v, x.positions, x.slots)
    other(*moving)
    other(*moving)
    written = bench.calls.pop()[4:7]
    assert not set(written) & {each.data_ptr() for each in (x.cos_sin_cache, x.k_cache, x.v_cache)}
    numbers = [number for number, each in bound_module._UNSEEN.items() if each is layer or each is other]  # noqa: SLF001
    assert len(numbers) == 2


def test_one_packed_qkv_gives_the_addresses_of_its_parts(bench: Bench) -> None:
    one, other = bench.layers
    first, second = bench.bound(one), bench.bound(other)
    first.packed(one.qkv, one.positions, one.slots)
    assert bench.handed == 1
    for layer, x in ((first, one), (second, other)):
        layer.packed(x.qkv, x.positions, x.slots)
        assert bench.calls.pop() == pointers(x)
    assert bench.handed == 1


CHANGES: dict[str, Callable[[KvInputs], dict[str, Any]]] = {
    "fewer tokens": lambda x: {"q": x.q[:5], "k": x.k[:5], "v": x.v[:5]},
    "k apart": lambda x: {"k": x.k.contiguous()},
    "slots of 32 bits": lambda x: {"slots": x.slots.int()},
    "positions in one row": lambda x: {"positions": x.positions[0]},
    "q that wants a gradient": lambda x: {"q": torch.zeros_like(x.qkv)[:, : x.q.shape[1]].requires_grad_()},
    "q elsewhere": lambda x: {"q": x.q.to("meta")},
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_layout_is_handed_on(bench: Bench, change: str) -> None:
    x = bench.layers[0]
    layer = bench.bound(x)
    given = {"q": x.q, "k": x.k, "v": x.v, "positions": x.positions, "slots": x.slots}
    layer(*given.values())
    layer(*(given | CHANGES[change](x)).values())
    assert (bench.handed, bench.calls) == (2, [])
    layer(*given.values())
    assert len(bench.calls) == 1


def test_layers_with_other_options_or_caches_share_no_launch(bench: Bench) -> None:
    x = bench.layers[0]
    moving = (x.q, x.k, x.v, x.positions, x.slots)
    bench.bound(x)(*moving)
    wider = x.k_cache.new_empty(*x.k_cache.shape[:-1], 2 * x.k_cache.shape[-1])[..., : x.k_cache.shape[-1]]
    scales = (x.k_scale, x.v_scale)
    for other in (bench.bound(x, settled=True), Bound(SHAPE, x.cos_sin_cache, wider, x.v_cache, *scales, x.layout)):
        other(*moving)
        other(*moving)
    assert (bench.handed, bench.calls) == (5, [])


def test_a_dispatch_mode_gets_to_see_the_call(bench: Bench) -> None:
    x = bench.layers[0]
    layer, moving = bench.bound(x), (x.q, x.k, x.v, x.positions, x.slots)
    layer(*moving)
    with FakeTensorMode():
        layer(*moving)
    assert (bench.handed, bench.calls) == (2, [])


@pytest.mark.parametrize("packed", [False, True])
def test_compiled_code_calls_each_unseen_layer_by_number_and_reads_what_it_turned(
    monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    layers = make_kv_ring(SHAPE, 6, 2)
    written: list[int] = []

    def turn(q: torch.Tensor, *rest: Any, **_: bool) -> None:
        written.append(rest[4].data_ptr())
        q.add_(1.0)

    monkeypatch.setattr(bound_module, "fused", turn)
    bound = [Bound(SHAPE, x.cos_sin_cache, x.k_cache, x.v_cache, layout=x.layout, unseen=True) for x in layers]

    def step(qkv: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        width = SHAPE.kv_heads * SHAPE.head_dim
        for layer in bound:
            if packed:
                layer.packed(qkv, positions, slots)
            else:
                q, k, v = qkv.split([SHAPE.q_heads * SHAPE.head_dim, width, width], dim=-1)
                layer(q, k, v, positions, slots)
        return qkv[:, : SHAPE.q_heads * SHAPE.head_dim] * 2

    x = layers[0]
    q = x.q.clone()
    found = torch.compile(step, backend="aot_eager", fullgraph=True)(x.qkv, x.positions, x.slots)
    assert written == [each.k_cache.data_ptr() for each in layers]
    assert torch.equal(x.q, q + 1 + 1) and torch.equal(found, x.q * 2)


def unseen(monkeypatch: pytest.MonkeyPatch) -> tuple[KvInputs, Bound, list[int]]:
    """A layer whose launch is an addition to q, and the caches that were written."""
    x = make_kv_ring(SHAPE, 6, 1)[0]
    written: list[int] = []

    def turn(q: torch.Tensor, *rest: Any, **_: bool) -> None:
        written.append(rest[4].data_ptr())
        q.add_(1.0)

    monkeypatch.setattr(bound_module, "fused", turn)
    return x, Bound(SHAPE, x.cos_sin_cache, x.k_cache, x.v_cache, layout=x.layout, unseen=True), written


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_cache_is_written_where_nobody_reads_the_turned_q(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """As in a pass that only fills the cache: nothing that the graph sees is then left of the call."""
    x, layer, written = unseen(monkeypatch)

    def step(hidden: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
        layer.packed(hidden * 2, positions, slots)
        return hidden + 1

    torch.compile(step, backend=backend, fullgraph=True)(x.qkv, x.positions, x.slots)
    assert written == [x.k_cache.data_ptr()]


def test_a_layer_that_is_gone_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    x, layer, _ = unseen(monkeypatch)
    number = max(bound_module._UNSEEN)  # noqa: SLF001
    del layer
    with pytest.raises(RuntimeError, match=f"layer {number} of the cache write is gone; expected it to outlive"):
        torch.ops.rope_prof.mrope_kv_layer_packed_(x.qkv, x.positions, x.slots, number)


@pytest.mark.parametrize("strict", [True, False])
def test_an_exported_program_holds_no_number(monkeypatch: pytest.MonkeyPatch, strict: bool) -> None:
    """Another process may have another layer by it."""
    x, layer, _ = unseen(monkeypatch)
    monkeypatch.setattr(bound_module, "fused", lambda q, *_, **__: q.add_(1.0))

    class Step(torch.nn.Module):
        def forward(self, qkv: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> torch.Tensor:
            turned = qkv * 2
            layer.packed(turned, positions, slots)
            return turned

    found = torch.export.export(Step(), (x.qkv, x.positions, x.slots), strict=strict)
    assert not [node for node in found.graph.nodes if "mrope_kv_layer" in str(node.target)]


def test_an_unseen_layer_keeps_no_k() -> None:
    x = make_kv_ring(SHAPE, 6, 1)[0]
    with pytest.raises(ValueError, match="unseen with keep_k"):
        Bound(SHAPE, x.cos_sin_cache, x.k_cache, x.v_cache, keep_k=True, unseen=True)
