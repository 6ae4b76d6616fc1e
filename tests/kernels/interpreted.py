"""The Triton paths under the interpreter: run as a program with TRITON_INTERPRET=1, prints one JSON object.

Each case runs on CPU tensors in fp32 and returns plain facts; `test_interpreter.py` judges them. Starting Triton's
interpreter costs seconds, so one process runs all cases.
"""

from __future__ import annotations

import json
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from rope_prof.kernels.mrope.inputs import Inputs, make_inputs, views
from rope_prof.kernels.mrope.paths import path
from rope_prof.kernels.mrope.reference import error, reference
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.unfused import unfused

from tests.kernels.shapes import ORDERS, PAIRINGS, small

Facts = dict[str, Any]


def inputs(shape: MropeShape, tokens: int) -> Inputs:
    return make_inputs(shape, tokens, torch.float32, prompt="random", seed=tokens)


def against_oracle(name: str, x: Inputs, shape: MropeShape) -> Facts:
    """Call a path in place on `x`: its error, the eager chain's, and whether anything else was written."""
    exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
    chain = error(unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape), exact)
    before = x.qkv.clone()
    result = path(name).call(x.q, x.k, x.positions, x.cos_sin_cache, shape)
    found = error((x.q, x.k), exact)
    turned = views(shape, torch.zeros_like(before, dtype=torch.bool), x.positions, x.cos_sin_cache)
    for part in (turned.q, turned.k):
        part.view(len(before), part.shape[1] // 128, 128)[..., : shape.rotary_dim] = True
    kept = ~turned.qkv
    return {
        "max_error": found.max_error,
        "nans": found.nans,
        "chain_error": chain.max_error,
        "others_kept": torch.equal(before[kept], x.qkv[kept]),
        "returned": result is not None,
    }


def layout(name: str, shape: MropeShape, tokens: int) -> Facts:
    return against_oracle(name, inputs(shape, tokens), shape)


def position_slice(name: str) -> Facts:
    """As CUDA graphs have it: positions are the first N columns of a larger buffer."""
    shape, tokens = small(5, 1), 17
    x = inputs(shape, tokens)
    buffer = torch.full((3, 64), shape.max_position - 1)
    buffer[:, :tokens] = x.positions
    sliced = views(shape, x.qkv, buffer[:, :tokens], x.cos_sin_cache)
    return against_oracle(name, sliced, shape) | {"row_stride": sliced.positions.stride(0)}


def text_row(name: str) -> Facts:
    shape = small(5, 1)
    x = inputs(shape, 9)
    return against_oracle(name, views(shape, x.qkv, x.positions[0].contiguous(), x.cos_sin_cache), shape)


def text_row_strided_like_three(name: str) -> Facts:
    """Three equal rows by a row stride of zero, as `expand` makes them."""
    shape = small(5, 1)
    x = inputs(shape, 9)
    return against_oracle(name, views(shape, x.qkv, x.positions[1].expand(3, -1), x.cos_sin_cache), shape)


def odd_address(name: str) -> Facts:
    """A packed qkv that starts 4 bytes off 16 and whose rows are 4 bytes longer than a multiple of 16."""
    shape = small(5, 1)
    wide = torch.randn(17, shape.row + 1)[:, 1:]
    x = views(shape, wide, inputs(shape, 17).positions, inputs(shape, 1).cos_sin_cache)
    return against_oracle(name, x, shape) | {"aligned": x.q.data_ptr() % 16 == 0}


def far_rows(name: str) -> Facts:
    """Rows 2^30 elements apart: the third starts beyond what int32 counts. Memory is touched at three places only."""
    shape, row = small(2, 1), 2**30 + 64
    try:
        memory = torch.empty(2 * row + shape.row, dtype=torch.float32)
    except RuntimeError as refused:
        return {"unavailable": f"no 8 GiB of address space: {refused}"[:200]}
    x = views(
        shape, memory.as_strided((3, shape.row), (row, 1)), inputs(shape, 3).positions, inputs(shape, 1).cos_sin_cache
    )
    x.qkv.normal_()
    return against_oracle(name, x, shape)


def outside(row: int, low: int, high: int, order: str) -> Facts:
    """Positions outside the table in one row: `low` in token 2, `high` in token 15."""
    shape = small(5, 1, order, rotary_dim=56)  # type: ignore[arg-type]
    x = inputs(shape, 17)
    fused, before = path("fused").call, x.qkv.clone()
    fused(x.q, x.k, x.positions, x.cos_sin_cache, shape)
    good = x.qkv.clone()
    x.qkv.copy_(before)
    where = x.positions.clone()
    where[row, 2], where[row, 15] = low, high
    fused(x.q, x.k, where, x.cos_sin_cache, shape)
    bad = torch.zeros(17, dtype=torch.bool)
    bad[[2, 15]] = True
    lanes = torch.cat([part.reshape(17, -1, 128)[..., :56].reshape(17, -1) for part in (x.q, x.k)], dim=1)
    tails = torch.cat([part.reshape(17, -1, 128)[..., 56:].reshape(17, -1) for part in (x.q, x.k)], dim=1)
    return {
        "nan_everywhere": bool(lanes[bad].isnan().all()),
        "nan_elsewhere": bool(lanes[~bad].isnan().any() or tails.isnan().any()),
        "others_as_before": torch.equal(x.qkv[~bad], good[~bad]),
        "values_kept": torch.equal(x.qkv[:, 6 * 128 :], before[:, 6 * 128 :]),
        "tails_kept": torch.equal(
            x.qkv[:, : 6 * 128].reshape(17, 6, 128)[..., 56:], before[:, : 6 * 128].reshape(17, 6, 128)[..., 56:]
        ),
    }


def checked_call() -> Facts:
    """With `check`, a position outside raises before anything is touched."""
    from rope_prof.kernels.mrope.fused import fused

    shape = small()
    x = inputs(shape, 5)
    before = x.qkv.clone()
    x.positions[2, 3] = 1024
    try:
        fused(x.q, x.k, x.positions, x.cos_sin_cache, shape, check=True)
    except IndexError as raised:
        return {"raised": str(raised), "untouched": torch.equal(before, x.qkv)}
    return {"raised": None}


def compiled_whole() -> Facts:
    """torch.compile(fullgraph=True) around the call: one graph that holds the operator, and the right answer twice."""
    from rope_prof.kernels.mrope.fused import fused
    from torch._dynamo.backends.common import aot_autograd

    shape, graphs = small(5, 1), []

    def keep(graph: torch.fx.GraphModule, _examples: object) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    def layer(qkv: torch.Tensor, positions: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        x = views(shape, qkv * 1.0, positions, table)
        fused(x.q, x.k, x.positions, x.cos_sin_cache, shape)
        return x.qkv

    step = torch.compile(layer, fullgraph=True, dynamic=True, backend=aot_autograd(fw_compiler=keep))
    errors, chain = [], []
    for tokens in (9, 17):
        x = inputs(shape, tokens)
        exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
        out = views(shape, step(x.qkv, x.positions, x.cos_sin_cache), x.positions, x.cos_sin_cache)
        errors.append(error((out.q, out.k), exact).max_error)
        chain.append(error(unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape), exact).max_error)
    return {
        "graphs": len(graphs),
        "operator_seen": sum("rope_prof.mrope_q_." in graph.print_readable(print_output=False) for graph in graphs),
        "max_error": max(errors),
        "chain_error": max(chain),
    }


def compiled_views(name: str) -> Facts:
    """q and k as graph inputs at changing offsets of one storage: what the compiler was given, and the right answer.

    An operator that mutates two such views is functionalised into a clone from the start of their storage.
    """
    from torch._dynamo.backends.common import aot_autograd

    shape, graphs, call = small(5, 1), [], path(name).call

    def keep(graph: torch.fx.GraphModule, _examples: object) -> Callable[..., Any]:
        graphs.append(graph.print_readable(print_output=False))
        return graph.forward

    def layer(x: Inputs) -> None:
        call(x.q, x.k, x.positions, x.cos_sin_cache, shape)

    step = torch.compile(layer, fullgraph=True, backend=aot_autograd(fw_compiler=keep))
    x = inputs(shape, 9)
    ring = torch.stack([x.qkv, x.qkv.roll(1, 0), x.qkv.flip(0)])
    before, errors, chain = ring.clone(), [], []
    for turn in (1, 2):
        mine, was = (views(shape, part[turn], x.positions, x.cos_sin_cache) for part in (ring, before))
        exact = tuple(reference(part, x.positions, shape) for part in (was.q, was.k))
        chain.append(error(unfused(was.q, was.k, x.positions, x.cos_sin_cache, shape), exact).max_error)
        step(mine)
        errors.append(error((mine.q, mine.k), exact).max_error)
    values = ring[..., -shape.kv_heads * shape.head_dim :]
    kept = torch.equal(values, before[..., -shape.kv_heads * shape.head_dim :]) and torch.equal(ring[0], before[0])
    return {
        "operators": sum(
            graph.count(f"rope_prof.{name.replace('-', '_').replace('fused', 'mrope')}_{part}_")
            for graph in graphs
            for part in "qk"
        ),
        "others_kept": kept,
        "max_error": max(errors),
        "chain_error": max(chain),
    }


def by_inductor(name: str, *, made: bool) -> Facts:
    """q and k as views of one tensor, from outside the graph or made in it: what Inductor's code allocates."""
    from torch._inductor.utils import run_and_get_code

    shape, call = small(5, 1), path(name).call
    x = inputs(shape, 9)
    exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
    width = shape.q_heads * shape.head_dim

    def inside(qkv: torch.Tensor) -> torch.Tensor:
        new = views(shape, qkv * 1.0, x.positions, x.cos_sin_cache)
        call(new.q, new.k, x.positions, x.cos_sin_cache, shape)
        return new.qkv

    def outside(q: torch.Tensor, k: torch.Tensor) -> None:
        call(q, k, x.positions, x.cos_sin_cache, shape)

    step = torch.compile(inside if made else outside, fullgraph=True)
    result, code = run_and_get_code(step, *((x.qkv,) if made else (x.q, x.k)))
    out = (result[:, :width], result[:, width : width + x.k.shape[1]]) if made else (x.q, x.k)
    body = code[0][code[0].index("def call") :].partition("runner =")[0]
    return {"allocations": body.count("empty_strided"), "max_error": error(out, exact).max_error}


def traced(mode: str) -> Facts:
    """make_fx around the call: the operator is in the graph, with real tensors and with fake ones."""
    from rope_prof.kernels.mrope.fused import fused
    from torch.fx.experimental.proxy_tensor import make_fx

    shape = small()
    x = inputs(shape, 5)
    graph = make_fx(lambda q, k: fused(q, k, x.positions, x.cos_sin_cache, shape), tracing_mode=mode,
                    _allow_non_fake_inputs=True)(x.q.clone(), x.k.clone())  # fmt: skip
    return {"targets": [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]}


def operator_checks() -> Facts:
    """torch.library's own checks of schema, autograd registration, fake tensors and AOT dispatch."""
    from rope_prof.kernels.mrope.fused import mrope_

    shape = small()
    x = inputs(shape, 5)
    arguments = (
        x.q.contiguous(), x.k.contiguous(), x.positions, x.cos_sin_cache,
        [3, 2, 128, 128], list(shape.sections), shape.order, shape.pairing,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(torch.library.opcheck(mrope_, arguments, raise_exception=False))


@dataclass(frozen=True)
class _Shapes:
    """The grid of layouts of one path."""

    name: str

    def cases(self) -> dict[str, Callable[[], Facts]]:
        name, found = self.name, {}
        for order in ORDERS if name == "fused" else ("ernie",):
            for pairing in PAIRINGS:
                for rotary_dim, heads in ((128, (5, 1)), (56, (3, 2))):
                    shape = small(*heads, order, pairing, rotary_dim)
                    found[f"{name} {order} {pairing} {rotary_dim}"] = partial(layout, name, shape, 5)
        for heads in ((8, 1), (7, 2), (10, 2), (13, 1), (1, 1)):
            found[f"{name} {heads[0]}/{heads[1]} heads"] = partial(layout, name, small(*heads), 5)
        for tokens in (0, 1, 17, 33):
            found[f"{name} {tokens} tokens"] = partial(layout, name, small(5, 1), tokens)
        for case in (position_slice, text_row, text_row_strided_like_three, odd_address):
            found[f"{name} {case.__name__}"] = partial(case, name)
        return found


CASES: dict[str, Callable[[], Facts]] = {
    **_Shapes("fused").cases(),
    **_Shapes("per-token").cases(),
    "fused far_rows": partial(far_rows, "fused"),
    **{f"outside {'thw'[row]} {order}": partial(outside, row, -1, 1024, order) for order in ORDERS for row in range(3)},
    "outside far ernie": partial(outside, 0, -(2**31), 2**32, "ernie"),
    "checked_call": checked_call,
    "compiled_whole": compiled_whole,
    "compiled_views fused": partial(compiled_views, "fused"),
    "compiled_views per-token": partial(compiled_views, "per-token"),
    "inductor outside": partial(by_inductor, "fused", made=False),
    "inductor made": partial(by_inductor, "fused", made=True),
    "traced real": partial(traced, "real"),
    "traced fake": partial(traced, "fake"),
    "operator_checks": operator_checks,
}


def main() -> None:
    """Every case; one that raises is told with its traceback."""
    found: dict[str, Facts] = {}
    for name, case in CASES.items():
        try:
            found[name] = case()
        except Exception:
            found[name] = {"failed": traceback.format_exc()}
    print(json.dumps(found, default=str))  # noqa: T201


if __name__ == "__main__":
    main()
