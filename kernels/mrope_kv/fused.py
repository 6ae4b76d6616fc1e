"""Packed qkv -> multimodal rotary embedding -> paged KV cache [-> fp8] in one launch: the call.

`fused` turns q in place (or into `out`) and writes the turned k and v to their slots of the cache; k and v stay as
they are, unless `keep_k` asks for the turned k in its place too. Eager calls that repeat a layout take the short way to
the driver (`kernels.launch`); under torch.compile the call is the one operator `rope_prof::mrope_kv_`. `bound` has the
call of a layer, whose table and caches stay what they are.

A slot outside the cache, -1 among them, is skipped; a position outside the table makes q and k of its token NaN.
Neither reads or writes outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch
from rope_prof.kernels.launch import Launch, driver_error, packer
from rope_prof.kernels.mrope.operator import one_storage, operator
from rope_prof.kernels.mrope.shape import MropeShape, shape_of
from rope_prof.kernels.mrope_kv.cache import Layout, halves
from rope_prof.kernels.mrope_kv.checks import Given, check
from rope_prof.kernels.mrope_kv.program import launch
from torch._C._dynamo.guards import TensorGuards
from torch.compiler import is_dynamo_compiling

_KEPT_LAYOUTS = 1024
Guard = Callable[..., bool]
Maybe = torch.Tensor | None


def guard_of(given: Sequence[torch.Tensor]) -> Guard:
    """Whether as many tensors are laid out as these: type, keys, dtype, device, sizes, strides, requires_grad."""
    guards: Any = TensorGuards
    found: Guard = guards(
        *given,
        dynamic_dims_sizes=[list(x.size()) for x in given],
        dynamic_dims_strides=[list(x.stride()) for x in given],
    ).check
    return found


def _never(*_: torch.Tensor) -> bool:
    return False


class Known:
    """One layout that has been checked and launched before, and the short way to repeat it.

    `options`: (layout, keep_k, settled). `plain`: neither scales nor an output. `word`: what the operator carries.
    `like`, `moving`, `packed`, `parts` are of a layer's call (`bound`), which fills them in.
    """

    __slots__ = (
        "alone", "check", "index", "launch", "like", "moving", "options", "pack", "packed", "parts", "plain", "shape",
        "word",
    )  # fmt: skip

    def __init__(self, given: Given, shape: MropeShape, options: tuple[Layout, bool, bool], again: Launch) -> None:
        self.check = guard_of(given.present)
        self.shape, self.options, self.launch = shape, options, again
        self.word = word_of(shape, options[0], settled=options[2])
        self.plain = given.k_scale is given.out is None
        self.like: object = None
        self.moving: Guard = _never
        self.packed: Guard = _never
        self.parts = (0, 0)
        self.pack = packer(len(again.pointers))
        self.index = given.q.device.index
        self.alone = torch.cuda.device_count() == 1


class Layers(threading.local):
    """Those of one thread: a `Launch` packs its arguments in memory of its own. Layers that are alike share one."""

    def __init__(self) -> None:
        self.last: Known | None = None
        self.known: dict[tuple[object, ...], Known] = {}


layouts = Layers()
# A CPU build of torch lacks both; there no layout is ever learnt, so neither is called.
raw_stream: Any = getattr(torch._C, "_cuda_getCurrentRawStream", None)
_current_device: Any = getattr(torch._C, "_cuda_getDevice", None)
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack


def word_of(shape: MropeShape, layout: Layout, *, settled: bool) -> str:
    """What the operator carries beside tensors; `_read` reads it."""
    return f"{shape.word} {layout} {settled:d}"


def _read(word: str) -> tuple[MropeShape, Layout, bool]:
    shape, layout, settled = word.rsplit(" ", 2)
    return shape_of(shape), layout, settled == "1"  # type: ignore[return-value]


def fused(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    positions: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor | None,
    slots: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    shape: MropeShape,
    layout: Layout = "NHD",
    *,
    out: torch.Tensor | None = None,
    keep_k: bool = False,
    settled: bool = False,
) -> None:
    """Turn q in place (into `out` where it is given), write turned k and v to `slots` of the caches: one launch.

    `q [N, Hq*D]`, `k`, `v [N, Hkv*D]`: last stride 1, any row stride; `positions [3, N]` rows (t, h, w) or `[N]`;
    `cos_sin_cache [P, R]` fp32 = [cos | sin]; caches in `layout` (see `cache`), of q's dtype or fp8 e4m3 with fp32
    scales (a value is stored divided by its scale); `slots [N]`: page x page size + place, outside the cache = skipped,
    no two tokens one slot. Without `v_cache`, `k_cache` is both: `[pages, 2, ...]` or `[2, pages, ...]`.

    `keep_k`: k is turned in place as well, for attention that reads it there. `settled`: the caller states that a
    kernel without overlapped launch (a copy, most matrix products) has begun since positions, slots and table were
    written, as in every layer of a served model; they are then read while the kernel ahead still runs.
    Errors: TypeError or ValueError that names the tensor, what was seen and what is expected.
    """
    if not is_dynamo_compiling():
        if v_cache is None:
            k_cache, v_cache = halves(k_cache)
        last = layouts.last
        if (
            last is not None
            and last.shape is shape
            and last.options == (layout, keep_k, settled)
            and last.plain
            and k_scale is out is None
            and last.check(q, k, v, positions, cos_sin_cache, k_cache, v_cache, slots)
            and not dispatch_modes()  # the guards overlook FakeTensorMode and make_fx
        ):
            at, table = q.data_ptr(), cos_sin_cache.data_ptr()
            if repeated(
                last, at, k.data_ptr(), v.data_ptr(), positions.data_ptr(), table, k_cache.data_ptr(),
                v_cache.data_ptr(), slots.data_ptr(), table, table, at,
            ):  # fmt: skip
                return
        given = Given(q, k, v, positions, cos_sin_cache, k_cache, v_cache, slots, k_scale, v_scale, out)
        if _launched(given, shape, layout, keep_k, settled):
            return
    to, source = (q, None) if out is None else (out, q)
    _OPERATOR(
        to, source, k, v, positions, cos_sin_cache, k_cache, v_cache, slots, k_scale, v_scale, k if keep_k else None,
        word_of(shape, layout, settled=settled),
    )  # fmt: skip


def _launched(given: Given, shape: MropeShape, layout: Layout, keep_k: bool, settled: bool) -> bool:
    """Find the layout among those known and launch the short way, or check, launch and learn it.

    False where the dispatcher must decide: tensor subclasses, tracing and dispatch modes, anything not on a GPU.
    """
    every, options = given.present, (layout, keep_k, settled)
    if not (all(type(x) is torch.Tensor for x in every) and given.q.is_cuda):
        return False
    if dispatch_modes() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    sizes = tuple((x.shape, x.stride(), x.dtype) for x in every)
    name = (shape, options, given.k_scale is None, given.out is None, sizes)
    known = layouts.known.get(name)
    if known is not None and known.check(*every) and repeated(known, *addresses(given)):
        known.shape, layouts.last = shape, known
        return True
    check(given, shape, layout)
    again = launch(given, shape, layout, keep_k=keep_k, settled=settled)
    if again is not None:
        if len(layouts.known) >= _KEPT_LAYOUTS:
            layouts.known.clear()
        layouts.last = layouts.known[name] = Known(given, shape, options, again)
    return True


def addresses(given: Given) -> list[int]:
    """What the kernel's pointers are: the table stands for scales that are not there, q for an output."""
    scales = given[8:10] if given.k_scale is not None else (given.table, given.table)
    to = given.q if given.out is None else given.out
    return [x.data_ptr() for x in (*given[:8], *scales, to)]  # type: ignore[union-attr]


def repeated(
    known: Known, q: int, k: int, v: int, positions: int, table: int, k_cache: int, v_cache: int, slots: int,
    k_scale: int, v_scale: int, out: int,
) -> bool:  # fmt: skip
    """Launch a known layout at these addresses; False where they are not aligned as they were.

    False too where another device is current.
    """
    if (q | k | v | table | k_cache | v_cache | out) & 15:
        return False
    if not known.alone and _current_device() != known.index:
        return False
    again = known.launch
    stream = raw_stream(known.index)
    if stream != again.stream[0]:
        again.set_stream(stream)
    known.pack(again.pointers, 0, q, k, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, out)
    code = again.launch(again.config, again.function, again.arguments, None)
    if code:
        raise RuntimeError(f"the CUDA driver refused the launch: {driver_error(code)} ({code})")
    return True


def _operator(
    to: torch.Tensor, source: Maybe, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
    k_cache: torch.Tensor, v_cache: Maybe, slots: torch.Tensor, k_scale: Maybe, v_scale: Maybe, kept: Maybe, word: str,
) -> None:  # fmt: skip
    """What the operator runs: q is `source`, or `to` itself where it is turned in place; `kept` is k where k is.

    A cache that holds both is halved here: of views made in the graph `operator` tells.
    """
    if v_cache is None:
        k_cache, v_cache = halves(k_cache)
    last = layouts.last
    if (
        last is not None
        and last.plain
        and last.word == word
        and source is k_scale is kept is None
        and not last.options[1]
        and last.check(to, k, v, positions, table, k_cache, v_cache, slots)
        and not dispatch_modes()
    ):
        at, angles = to.data_ptr(), table.data_ptr()
        if repeated(
            last, at, k.data_ptr(), v.data_ptr(), positions.data_ptr(), angles, k_cache.data_ptr(), v_cache.data_ptr(),
            slots.data_ptr(), angles, angles, at,
        ):  # fmt: skip
            return
    q, out = (to, None) if source is None else (source, to)
    given = Given(q, k if kept is None else kept, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, out)
    shape, layout, settled = _read(word)
    if not _launched(given, shape, layout, kept is not None, settled):
        check(given, shape, layout)
        launch(given, shape, layout, keep_k=kept is not None, settled=settled)


def _fake(*arguments: Any) -> None:
    """Nothing is returned. Errors: ValueError for two caches that torch.compile would clone one of, or get wrong."""
    k_cache, v_cache = arguments[6], arguments[7]
    if v_cache is None:
        halves(k_cache)
    elif one_storage(k_cache, v_cache):
        raise ValueError(
            "k_cache and v_cache are views of one tensor; under torch.compile pass that tensor whole as k_cache, and "
            "None as v_cache: of two views Inductor would clone one"
        )


_OPERATOR = operator(
    "mrope_kv_(Tensor(a!) to, Tensor? source, Tensor k, Tensor v, Tensor positions, Tensor cos_sin_cache, "
    "Tensor(b!) k_cache, Tensor(c!)? v_cache, Tensor slots, Tensor? k_scale, Tensor? v_scale, "
    "Tensor(d!)? kept, str word) -> ()",
    _operator,
    _fake,
)
