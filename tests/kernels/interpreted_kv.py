"""The cache write under Triton's interpreter: run as a program with TRITON_INTERPRET=1, prints one JSON object.

Each case runs on CPU tensors and returns plain facts; `test_mrope_kv.py` judges them.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rope_prof.kernels.mrope.turning import GUESSED
from rope_prof.kernels.mrope_kv.cache import Layout
from rope_prof.kernels.mrope_kv.checks import Given
from rope_prof.kernels.mrope_kv.cut import Programs
from rope_prof.kernels.mrope_kv.fused import fused
from rope_prof.kernels.mrope_kv.inputs import Kind, KvInputs, make_kv_ring
from rope_prof.kernels.mrope_kv.paths import path
from rope_prof.kernels.mrope_kv.program import launch
from rope_prof.kernels.mrope_kv.reference import reference

from tests.kernels.shapes import small

Facts = dict[str, Any]


def made(
    kind: Kind = "same", layout: Layout = "NHD", page_size: int = 16, *, interleaved: bool = False, tokens: int = 7,
    heads: tuple[int, int] = (5, 2), order: Any = "ernie", pairing: Any = "interleaved", rotary_dim: int = 128,
) -> tuple[KvInputs, Any]:  # fmt: skip
    shape = small(*heads, order, pairing, rotary_dim)
    x = make_kv_ring(
        shape, tokens, 1, torch.float32, kind=kind, layout=layout, page_size=page_size, interleaved=interleaved,
        prompt="random", seed=3,
    )[0]  # fmt: skip
    return x, shape


def judged(x: KvInputs, shape: Any, call: Callable[[], object], out: torch.Tensor | None = None) -> Facts:
    """Outputs against the oracle, each element; and whether k, v (and q, where there is an output) are as before."""
    want = reference(*x.arguments(shape))  # type: ignore[arg-type]
    before = x.qkv.clone()
    call()
    found: Facts = {}
    for name, got, exact in zip(("q", "k_cache", "v_cache"), (x.q if out is None else out, x.k_cache, x.v_cache), want,
                                strict=True):  # fmt: skip
        near = exact.to(got.dtype).double()
        found[name] = float((got.double() - near).abs().max()) if near.numel() else 0.0
    left = shape.q_heads * shape.head_dim if out is None else 0
    return found | {"kept": torch.equal(x.qkv[:, left:], before[:, left:])}


def layout(**how: Any) -> Facts:
    """One layout, with two slots that are to be skipped."""
    x, shape = made(**how)
    if len(x.slots) > 5:
        x.slots[2], x.slots[5] = -1, 2**40
    return judged(x, shape, lambda: fused(*x.arguments(shape)))  # type: ignore[arg-type]


def when(early: int) -> Facts:
    """Positions, slots and table read at another time, heads that no program divides."""
    x, shape = made("fp8-head", "HND", heads=(5, 3))
    given = Given(*x.arguments(shape)[:10])  # type: ignore[arg-type]
    return judged(x, shape, lambda: launch(given, shape, "HND", how=Programs(2, 2, 2), EARLY=early))


def wrong_guess(**how: Any) -> Facts:
    """Guessed positions that are others than the settled ones, in the table or not: all is stored again, k too."""
    from rope_prof.kernels.mrope_kv import kernel

    def wrong(*given: Any) -> Any:
        t, h, w = right(*given)
        return t + 1, h - 2000, w

    x, shape = made(heads=(5, 3), **how)
    given = Given(*x.arguments(shape)[:10])  # type: ignore[arg-type]
    right, before = kernel.positions_guessed, x.k.clone()
    exact = reference(*x.arguments(shape))  # type: ignore[arg-type]
    kernel.positions_guessed = wrong
    try:
        launch(given, shape, x.layout, how=Programs(2, 2, 2), keep_k=True, EARLY=GUESSED)
    finally:
        kernel.positions_guessed = right
    found: Facts = {}
    for name, got, want in zip(("q", "k_cache", "v_cache"), (x.q, x.k_cache, x.v_cache), exact, strict=True):
        found[name] = float((got.double() - want.to(got.dtype).double()).abs().max())
    return found | {"kept": not torch.equal(x.k, before) and not bool(x.k.isnan().any())}


def to_output() -> Facts:
    x, shape = made(pairing="neox", rotary_dim=56)
    out = torch.full_like(x.q, 9.0)
    return judged(x, shape, lambda: fused(*x.arguments(shape), out=out), out)  # type: ignore[arg-type]


def keep_k() -> Facts:
    """k turned in place too: what then lies there is what lies in the cache."""
    x, shape = made(rotary_dim=56)
    fused(*x.arguments(shape), keep_k=True)  # type: ignore[arg-type]
    cached = x.k_cache.view(-1, shape.kv_heads * shape.head_dim)[x.slots]
    return {"k": float((cached - x.k).abs().max())}


def of_path(name: str) -> Facts:
    x, shape = made(kind="fp8")
    call = path(name).call
    if name != "unfused":
        before = x.k.clone()
        return judged(x, shape, lambda: (call(*x.arguments(shape)), x.k.copy_(before)))
    want = reference(*x.arguments(shape))  # type: ignore[arg-type]
    got = call(*x.arguments(shape))
    return {n: float((g.double() - w.to(g.dtype).double()).abs().max()) for n, g, w in
            zip(("q", "k_cache", "v_cache"), got, want, strict=True)} | {"kept": True}  # fmt: skip


def outside() -> Facts:
    """Positions outside the table: NaN for q and k of their tokens alone."""
    x, shape = made()
    x.positions[1, 5], x.positions[0, 3] = shape.max_position, -1
    fused(*x.arguments(shape))  # type: ignore[arg-type]
    keys = x.k_cache.view(-1, shape.kv_heads * shape.head_dim)[x.slots]
    rows = [part.isnan().any(1).nonzero().flatten().tolist() for part in (x.q, keys)]
    return {"q": rows[0], "k": rows[1], "v": int(x.v_cache.isnan().sum())}


def compiled(*, interleaved: bool, dynamic: bool | None = None) -> Facts:
    """torch.compile(fullgraph=True), everything a graph input: the operator once, no clone, the right answer twice."""
    from torch._inductor.utils import run_and_get_code

    x, shape = made(interleaved=interleaved)
    y, _ = made(interleaved=interleaved)
    step = torch.compile(lambda *tensors: fused(*tensors, None, None, shape), fullgraph=True, dynamic=dynamic)
    facts: Facts = {"code": ""}

    def tensors(one: KvInputs) -> tuple[Any, ...]:
        every = one.arguments(shape)[:8]
        if interleaved:  # the tensor that both are views of
            whole = one.k_cache._base
            assert whole is not None
            return (*every[:5], whole[0], None, every[7])
        return every

    def first() -> None:
        _, code = run_and_get_code(step, *tensors(x))
        facts["code"] = code[0][code[0].index("def call") :]

    one, two = judged(x, shape, first), judged(y, shape, lambda: step(*tensors(y)))
    code = facts["code"]
    return {
        "operators": code.count("rope_prof.mrope_kv_.default("),
        "clones": code.count("empty_strided"),
        "errors": [found[name] for found in (one, two) for name in ("q", "k_cache", "v_cache")],
    }


def compiled_views() -> Facts:
    """Two caches that are views of one tensor are refused while it is traced."""
    x, shape = made(interleaved=True)
    try:
        torch.compile(fused, fullgraph=True)(*x.arguments(shape))
    except Exception as refused:
        return {"refused": str(refused)}
    return {"refused": ""}


def compiled_view_inside() -> Facts:
    """A layer's caches taken out of all layers' in compiled code: right at fixed sizes, refused at changing ones."""
    found: Facts = {}
    for dynamic in (False, True):
        x, shape = made()
        keys, values = (torch.stack([torch.zeros_like(each), each]) for each in (x.k_cache, x.v_cache))
        every = x.arguments(shape)
        want = reference(*every)  # type: ignore[arg-type]
        step = torch.compile(
            lambda k, v, *rest, shape=shape: fused(*rest[:5], k[1], v[1], rest[5], None, None, shape),
            fullgraph=True, dynamic=dynamic,
        )  # fmt: skip
        try:
            step(keys, values, *every[:5], every[7])
        except Exception as refused:
            found["refused"] = str(refused)
        else:
            found["errors"] = [float((got.double() - right).abs().max()) for got, right in
                               zip((x.q, keys[1], values[1]), want, strict=True)]  # fmt: skip
    return found


def compiled_path(name: str) -> Facts:
    """A path whose k is read after it was turned, compiled once for three buffers of one allocation."""
    shape = small(5, 2)
    call = torch.compile(path(name).call, dynamic=False)
    errors = []
    for x in make_kv_ring(shape, 7, 3, torch.float32, prompt="random", seed=3):
        want = reference(*x.arguments(shape))  # type: ignore[arg-type]
        call(*x.arguments(shape))
        pairs = zip((x.q, x.k_cache, x.v_cache), want, strict=True)
        errors += [float((got.double() - right).abs().max()) for got, right in pairs]
    return {"errors": errors}


CASES: dict[str, Callable[[], Facts]] = {
    "layout NHD 16": partial(layout),
    "layout HND 5 interleaved fp8 a token": partial(
        layout, kind="fp8-token", layout="HND", page_size=5, interleaved=True
    ),
    "layout NHD 1 interleaved fp8 a head": partial(layout, kind="fp8-head", page_size=1, interleaved=True),
    "layout HND 256 fp8": partial(layout, kind="fp8", layout="HND", page_size=256),
    "layout no tokens": partial(layout, tokens=0),
    "layout one token": partial(layout, tokens=1),
    **{
        f"layout {order} {pairing} {dim} {kind}": partial(
            layout, order=order, pairing=pairing, rotary_dim=dim, kind=kind, heads=(3, 1), tokens=3
        )
        for order, pairing, dim, kind in (
            ("chunked", "neox", 128, "same"), ("interleaved", "neox", 128, "fp8"),
            ("chunked", "interleaved", 56, "fp8"),
            ("ernie", "neox", 56, "fp8"), ("interleaved", "interleaved", 56, "same"),
        )
    },
    **{f"when {early}": partial(when, early) for early in range(1, 4)},
    "when the guess is wrong": wrong_guess,
    "when the guess is wrong, fp8": partial(wrong_guess, kind="fp8-head", layout="HND", pairing="neox"),
    "to an output": to_output,
    "keep k": keep_k,
    **{f"path {name}": partial(of_path, name) for name in ("unfused", "rope-then-write", "fused-settled")},
    "outside": outside,
    "compiled views": compiled_views,
    "compiled": partial(compiled, interleaved=False),
    **{f"compiled {name}": partial(compiled_path, name) for name in ("served", "rope-then-index", "rope-then-write")},
    "compiled interleaved": partial(compiled, interleaved=True),
    "compiled interleaved at any sizes": partial(compiled, interleaved=True, dynamic=True),
    "compiled view inside": compiled_view_inside,
}  # fmt: skip


def main() -> None:
    """Every case; one that raises is told with its traceback."""
    found: dict[str, Facts] = {}
    for name, case in CASES.items():
        try:
            found[name] = case()
        except Exception:
            found[name] = {"failed": traceback.format_exc()}
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main()
