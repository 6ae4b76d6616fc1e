"""Packed qkv -> multimodal rotary embedding -> paged KV cache [-> fp8] in one launch: the call and what it checks.

`fused` turns q in place (or into `out`) and writes the turned k and v to their slots of the cache; k and v stay as
they are, unless `keep_k` asks for the turned k in its place too. Eager calls that repeat a layout take the short way to
the driver (`kernels.launch`); under torch.compile the call is the one operator `rope_prof::mrope_kv_`.

A slot outside the cache, -1 among them, is skipped; a position outside the table makes q and k of its token NaN.
Neither reads or writes outside.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from rope_prof.kernels.launch import Launch, driver_error, options, packed, packer
from rope_prof.kernels.mrope.operator import operator
from rope_prof.kernels.mrope.shape import MropeShape, shape_of
from rope_prof.kernels.mrope.turning import ORDERS
from rope_prof.kernels.mrope_kv.cache import FP8, Layout, Pages, halves, pages_of, scale_strides
from rope_prof.kernels.mrope_kv.cut import Programs, cut
from rope_prof.kernels.mrope_kv.kernel import (
    BEFORE_ROWS,
    NO_SCALE,
    ONE_SCALE,
    SCALE_A_HEAD,
    TABLE_BEFORE_WAIT,
    mrope_kv_kernel,
)
from rope_prof.kernels.mrope_kv.lengths import LENGTHS, length_of
from torch._C._dynamo.guards import TensorGuards
from torch.compiler import is_dynamo_compiling

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
_INT32_END = 2**31
_KEPT_LAYOUTS = 1024


class Given(NamedTuple):
    """The tensors of one call."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    positions: torch.Tensor
    table: torch.Tensor
    k_cache: torch.Tensor
    v_cache: torch.Tensor
    slots: torch.Tensor
    k_scale: torch.Tensor | None = None
    v_scale: torch.Tensor | None = None
    out: torch.Tensor | None = None

    @property
    def present(self) -> list[torch.Tensor]:
        """Those that are there, in order."""
        return [x for x in self if x is not None]


#: What has been compiled in this process, in every length.
_compiled: set[tuple[object, ...]] = set()


def constants(
    shape: MropeShape,
    cache: Pages,
    itemsize: int,
    how: Programs,
    *,
    scales: int,
    aligned: bool,
    overlap: bool,
    keep_k: bool = False,
    output: bool = False,
    settled: bool = False,
    rounded: bool = False,
) -> dict[str, int | bool]:
    """The compile-time arguments: everything that a compiled kernel depends on but dtypes and device."""
    return {
        "Q_HEADS": shape.q_heads,
        "KV_HEADS": shape.kv_heads,
        "D": shape.head_dim,
        "PAIRS": shape.pairs,
        "T_PAIRS": shape.sections[0],
        "H_PAIRS": shape.sections[1],
        "ORDER": ORDERS[shape.order],
        "NEOX": shape.pairing == "neox",
        "PAGE": cache.page_size,
        "SCALES": scales,
        "ROUND": rounded,
        "KEEP_K": keep_k,
        "OUTPUT": output,
        "ALIGN": 16 // itemsize if aligned else 1,
        "CACHE_ALIGN": 16 if aligned and scales else 16 // itemsize if aligned else 1,
        "BLOCK_TOKENS": how.tokens,
        "BLOCK_Q": how.q_heads,
        "BLOCK_KV": how.kv_heads,
        "EARLY": TABLE_BEFORE_WAIT if settled else BEFORE_ROWS,
        "TRIGGER_FIRST": how.trigger_first,
        "OVERLAP": overlap,
    }


def launch(
    given: Given,
    shape: MropeShape,
    layout: Layout = "NHD",
    *,
    keep_k: bool = False,
    settled: bool = False,
    overlap: bool = True,
    how: Programs | None = None,
    **tried: int,
) -> Launch | None:
    """Launch unchecked by Triton's own way; what comes back repeats it the short way, None where there is none.

    `how` and `tried` are for measurements: another cut than the length's, other values of the kernel's constants.
    """
    q, k, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, out = given
    tokens, itemsize = q.shape[0], q.element_size()
    if tokens == 0:
        return None
    to, keys, values = q if out is None else out, pages_of(k_cache, layout), pages_of(v_cache, layout)
    scales, key_scale, value_scale = NO_SCALE, (0, 0), (0, 0)
    if k_scale is not None and v_scale is not None:
        key_scale, value_scale = (scale_strides(each, tokens, shape.kv_heads) for each in (k_scale, v_scale))
        scales = SCALE_A_HEAD if key_scale[1] or value_scale[1] else ONE_SCALE
    vector, cache_vector = 16 // itemsize, 16 // k_cache.element_size()
    rows = (q.stride(0), to.stride(0), k.stride(0), v.stride(0), shape.head_dim)
    steps = [s for each in (keys, values) for s in (each.stride_page, each.stride_slot, each.stride_head)]
    pointers = [x.data_ptr() for x in (q, k, v, table, k_cache, v_cache, to)]
    aligned = (
        not any(at % 16 for at in pointers)
        and not any(n % vector for n in rows)
        and not any(n % cache_vector for n in (*steps, shape.head_dim))
    )
    overlap = overlap and q.is_cuda and torch.version.hip is None and torch.cuda.get_device_capability(q.device)[0] >= 9
    cuts = [how] if how else [cut(shape, itemsize, length) for length in LENGTHS]
    how = how or cut(shape, itemsize, length_of(tokens * (shape.heads + shape.kv_heads)))

    def fixed_for(one: Programs) -> dict[str, int | bool]:
        return constants(
            shape, keys, itemsize, one, scales=scales, aligned=aligned, overlap=overlap, keep_k=keep_k,
            output=out is not None, settled=settled, rounded=not q.is_cuda,
        ) | tried  # fmt: skip

    fixed = fixed_for(how)
    align, cache_align = int(fixed["ALIGN"]), int(fixed["CACHE_ALIGN"])
    integers = (
        tokens,
        *(stride // align for stride in (q.stride(0), to.stride(0), k.stride(0), v.stride(0))),
        positions.stride(0) if positions.dim() == 2 else 0,
        table.shape[0],
        keys.slots,
        *(step // cache_align for step in steps),
        *key_scale,
        *value_scale,
    )
    scale = (table, table) if k_scale is None or v_scale is None else (k_scale, v_scale)
    arguments = (*given[:8], *scale, to, *integers)
    grid = how.programs(shape, tokens)
    launched = options(how.warps, overlap=overlap)
    if not q.is_cuda:
        mrope_kv_kernel[(grid,)](*arguments, **fixed, **launched)
        return None
    variant = (q.device, q.dtype, k_cache.dtype, positions.dtype, slots.dtype, *fixed_for(cuts[-1]).values())
    with torch.cuda.device(q.device):
        compiled = mrope_kv_kernel[(grid,)](*arguments, **fixed, **launched)
        for other in cuts if variant not in _compiled else ():  # no new length compiles
            mrope_kv_kernel.warmup(*arguments, grid=(1,), **fixed_for(other), **launched)
    _compiled.add(variant)
    if not (aligned and torch.version.hip is None and max(integers) < _INT32_END):
        return None
    if compiled.metadata.global_scratch_size or getattr(compiled.metadata, "profile_scratch_size", 0):
        return None
    return packed(compiled, grid, integers, pointers=len(arguments) - len(integers), overlap=overlap)


def check(given: Given, shape: MropeShape, layout: Layout) -> None:
    """Everything that the kernel relies on. Errors: TypeError or ValueError, one clear sentence for what is off."""
    q, positions, table, slots, out = given.q, given.positions, given.table, given.slots, given.out
    if q.dtype not in _DTYPES:
        raise TypeError(f"q is {q.dtype}; expected bfloat16, float16 or float32")
    if table.dtype != torch.float32:
        raise TypeError(f"cos_sin_cache is {table.dtype}; expected torch.float32 (float64 angles rounded once)")
    for name, tensor in (("positions", positions), ("slots", slots)):
        if tensor.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"{name} is {tensor.dtype}; expected torch.int64 or torch.int32")
    for name, tensor in given._asdict().items():
        if tensor is not None and tensor.device != q.device:
            raise ValueError(f"{name} is on {tensor.device}; expected {q.device}, where q is")
    tokens = q.shape[0] if q.dim() == 2 else -1
    rows = [("q", q, shape.q_heads), ("k", given.k, shape.kv_heads), ("v", given.v, shape.kv_heads)]
    rows += [("out", out, shape.q_heads)] if out is not None else []
    for name, tensor, heads in rows:
        if tensor.dtype != q.dtype:
            raise TypeError(f"{name} is {tensor.dtype}; expected {q.dtype}, as q")
        if tuple(tensor.shape) != (tokens, heads * shape.head_dim):
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}; expected [N, {heads} * {shape.head_dim}] with the same N for all"
            )
        if tokens and (tensor.stride(1) != 1 or (tokens > 1 and tensor.stride(0) < tensor.shape[1])):
            raise ValueError(
                f"{name} has strides {tensor.stride()}; expected rows of adjacent elements that do not overlap"
            )
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{name} requires grad; this operator is for inference: call it under torch.no_grad()")
    if tuple(positions.shape) not in ((3, tokens), (tokens,)):
        raise ValueError(f"positions is {tuple(positions.shape)}; expected (3, {tokens}) rows t, h, w, or ({tokens},)")
    if tuple(slots.shape) != (tokens,):
        raise ValueError(f"slots is {tuple(slots.shape)}; expected ({tokens},): one slot a token")
    for name, tensor in (("positions", positions), ("slots", slots)):
        if tokens > 1 and tensor.stride(-1) != 1:
            raise ValueError(f"{name} has last stride {tensor.stride(-1)}; expected 1")
    if table.dim() != 2 or table.shape[1] != shape.rotary_dim or not table.is_contiguous():
        raise ValueError(
            f"cos_sin_cache is {tuple(table.shape)}; expected contiguous [positions, {shape.rotary_dim}] = [cos | sin]"
        )
    if table.numel() >= _INT32_END:
        raise ValueError(f"cos_sin_cache has {table.numel()} elements; expected fewer than 2^31")
    _check_cache(given, shape, layout)


def _check_cache(given: Given, shape: MropeShape, layout: Layout) -> None:
    q, k_cache, v_cache = given.q, given.k_cache, given.v_cache
    for name, cache in (("k_cache", k_cache), ("v_cache", v_cache)):
        pages = pages_of(cache, layout)
        if (pages.heads, pages.dim) != (shape.kv_heads, shape.head_dim):
            raise ValueError(
                f"{name} is {tuple(cache.shape)} in {layout}; expected {shape.kv_heads} heads of {shape.head_dim}"
            )
        if cache.dtype not in (q.dtype, FP8):
            raise TypeError(f"{name} is {cache.dtype}; expected {q.dtype}, as q, or {FP8}")
        if pages.slots >= _INT32_END:
            raise ValueError(f"{name} has {pages.slots} slots; expected fewer than 2^31")
    keys, values = pages_of(k_cache, layout), pages_of(v_cache, layout)
    if (keys.pages, keys.page_size) != (values.pages, values.page_size) or k_cache.dtype != v_cache.dtype:
        raise ValueError(
            f"k_cache is {tuple(k_cache.shape)} {k_cache.dtype}, v_cache {tuple(v_cache.shape)} {v_cache.dtype}; "
            "expected as many pages of the same size and dtype"
        )
    scales = [("k_scale", given.k_scale), ("v_scale", given.v_scale)]
    if k_cache.dtype != FP8:
        for name, scale in scales:
            if scale is not None:
                raise ValueError(f"{name} is given for a cache of {k_cache.dtype}; expected None: only fp8 has scales")
        return
    if q.is_cuda and torch.cuda.get_device_capability(q.device) < (8, 9):
        raise ValueError("an fp8 cache needs compute capability 8.9 or higher: older GPUs do not convert to fp8")
    for name, scale in scales:
        if scale is None or scale.dtype != torch.float32:
            raise TypeError(f"{name} is {None if scale is None else scale.dtype}; expected float32 for an fp8 cache")
        scale_strides(scale, q.shape[0], shape.kv_heads)


class _Known:
    """One layout that has been checked and launched before, and the short way to repeat it.

    `options`: (layout, keep_k, settled). `plain`: neither scales nor an output.
    """

    __slots__ = ("alone", "check", "index", "launch", "options", "output", "pack", "plain", "scaled", "shape")

    def __init__(
        self,
        given: Sequence[torch.Tensor],
        shape: MropeShape,
        options: tuple[Layout, bool, bool],
        again: Launch,
        *,
        scaled: bool = False,
        output: bool = False,
    ) -> None:
        guards: Any = TensorGuards
        self.check: Callable[..., bool] = guards(
            *given,
            dynamic_dims_sizes=[list(x.size()) for x in given],
            dynamic_dims_strides=[list(x.stride()) for x in given],
        ).check
        self.shape, self.options, self.launch = shape, options, again
        self.scaled, self.output, self.plain = scaled, output, not (scaled or output)
        self.pack = packer(len(again.pointers))
        self.index = given[0].device.index
        self.alone = torch.cuda.device_count() == 1


class _Layouts(threading.local):
    """Those of one thread, since a `Launch` packs its arguments in memory of its own: by the cache that is written.

    What the id of a cache names is checked anew at each call; it only finds the layout.
    """

    def __init__(self) -> None:
        self.known: dict[int, _Known] = {}


_layouts = _Layouts()
# A CPU build of torch lacks both; there no layout is ever learnt, so neither is called.
_raw_stream: Any = getattr(torch._C, "_cuda_getCurrentRawStream", None)
_current_device: Any = getattr(torch._C, "_cuda_getDevice", None)
_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
_one_storage: Any = getattr(torch._C, "_is_alias_of")  # noqa: B009  its stub lacks it


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
    whole = v_cache is None
    if v_cache is None:
        k_cache, v_cache = halves(k_cache)
    if not is_dynamo_compiling():
        known = _layouts.known.get(id(k_cache))
        if (
            known is not None
            and known.shape is shape
            and known.options == (layout, keep_k, settled)
            and known.plain
            and k_scale is out is None
            and known.check(q, k, v, positions, cos_sin_cache, k_cache, v_cache, slots)
            and not _dispatch_modes()  # the guards overlook FakeTensorMode and make_fx
        ):
            first, table, caches = q.data_ptr(), cos_sin_cache.data_ptr(), (k_cache.data_ptr(), v_cache.data_ptr())
            rows = (first, k.data_ptr(), v.data_ptr())
            at = (*rows, positions.data_ptr(), table, *caches, slots.data_ptr(), table, table, first)
            if _repeated(known, at):
                return
        given = Given(q, k, v, positions, cos_sin_cache, k_cache, v_cache, slots, k_scale, v_scale, out)
        if _launched(given, shape, layout, keep_k, settled):
            return
    to, source = (q, None) if out is None else (out, q)
    _OPERATOR(
        to, source, k, v, positions, cos_sin_cache, k_cache, v_cache, slots, k_scale, v_scale, k if keep_k else None,
        shape.word, layout, settled, whole,
    )  # fmt: skip


def _launched(given: Given, shape: MropeShape, layout: Layout, keep_k: bool, settled: bool) -> bool:
    """Launch the short way, or check, launch and learn the layout.

    False where the dispatcher must decide: tensor subclasses, tracing and dispatch modes, anything not on a GPU.
    """
    every = given.present
    scaled, output = given.k_scale is not None, given.out is not None
    known = _layouts.known.get(id(given.k_cache))
    if (
        known is not None
        and known.shape == shape
        and known.options == (layout, keep_k, settled)
        and (known.scaled, known.output) == (scaled, output)
        and known.check(*every)
        and not _dispatch_modes()
    ):
        at = [x.data_ptr() for x in every]
        scales = at[8:10] if scaled else [at[4], at[4]]
        if _repeated(known, (*at[:8], *scales, at[-1] if output else at[0])):
            return True
    if not (all(type(x) is torch.Tensor for x in every) and given.q.is_cuda):
        return False
    if _dispatch_modes() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    check(given, shape, layout)
    again = launch(given, shape, layout, keep_k=keep_k, settled=settled)
    if again is not None:
        if len(_layouts.known) >= _KEPT_LAYOUTS:
            _layouts.known.clear()
        options = (layout, keep_k, settled)
        _layouts.known[id(given.k_cache)] = _Known(every, shape, options, again, scaled=scaled, output=output)
    return True


def _repeated(known: _Known, at: Sequence[int]) -> bool:
    """Launch a known layout at the addresses of the kernel's pointers; False where they are not aligned as they were.

    False too where another device is current.
    """
    if (at[0] | at[1] | at[2] | at[4] | at[5] | at[6] | at[10]) & 15:
        return False
    if not known.alone and _current_device() != known.index:
        return False
    again = known.launch
    stream = _raw_stream(known.index)
    if stream != again.stream[0]:
        again.set_stream(stream)
    known.pack(again.pointers, 0, *at)
    code = again.launch(again.config, again.function, again.arguments, None)
    if code:
        raise RuntimeError(f"the CUDA driver refused the launch: {driver_error(code)} ({code})")
    return True


def _operator(
    to: torch.Tensor, source: torch.Tensor | None, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor,
    table: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor,
    k_scale: torch.Tensor | None, v_scale: torch.Tensor | None, kept: torch.Tensor | None, word: str, layout: Layout,
    settled: bool, _whole: bool,
) -> None:  # fmt: skip
    """What the operator runs: q is `source`, or `to` itself where it is turned in place; `kept` is k where k is."""
    q, out = (to, None) if source is None else (source, to)
    keys = k if kept is None else kept
    given = Given(q, keys, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, out)
    shape, keep_k = shape_of(word), kept is not None
    if not _launched(given, shape, layout, keep_k, settled):
        check(given, shape, layout)
        launch(given, shape, layout, keep_k=keep_k, settled=settled)


def _fake(*arguments: Any) -> None:
    """Nothing is returned. Errors: ValueError for two caches that torch.compile would clone one of, or get wrong."""
    k_cache, v_cache, whole = arguments[6], arguments[7], arguments[15]
    if _one_storage(k_cache, v_cache) and not whole:
        raise ValueError(
            "k_cache and v_cache are views of one tensor; under torch.compile pass that tensor whole as k_cache, and "
            "None as v_cache: of two views Inductor would clone one"
        )


_OPERATOR = operator(
    "mrope_kv_(Tensor(a!) to, Tensor? source, Tensor k, Tensor v, Tensor positions, Tensor cos_sin_cache, "
    "Tensor(b!) k_cache, Tensor(c!) v_cache, Tensor slots, Tensor? k_scale, Tensor? v_scale, "
    "Tensor(d!)? kept, str shape, str layout, bool settled, bool whole) -> ()",
    _operator,
    _fake,
)
