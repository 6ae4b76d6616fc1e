"""The fused multimodal rotary embedding: one launch for q and k, in place, on strided views, for any prompt length.

The kernel: a program takes a few tokens and a run of heads that may cross from q into k, loads all of its rows with
128-bit accesses before anything else, fetches cos and sin in vectors straight into the layout of the rows (no shared
memory, no barrier), turns in fp32 and rounds once. Strides, token count and table length are run-time values; how the
work is cut depends on the length of the call, a few of which serve all. On compute capability 9 and up it overlaps its
launch with its predecessor's end (programmatic dependent launch).

The call: `fused` is the torch operator `rope_prof::mrope_`, and two operators under torch.compile (`operator`); eager
calls that repeat a layout take a short way to the driver once one check of every tensor's type, device, dtype, sizes
and strides has passed.

A position outside the table gives NaN for its token, never a read outside; `check_positions` names token and value.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl
from rope_prof.kernels.launch import PACK_POINTERS, Launch, driver_error, options, packed
from rope_prof.kernels.mrope.lengths import LENGTHS, Length, divisor, length_of
from rope_prof.kernels.mrope.operator import compiled_call
from rope_prof.kernels.mrope.shape import MropeShape, shape_of
from rope_prof.kernels.mrope.turning import (
    AFTER_ROWS,
    BEFORE_ROWS,
    GUESSED,
    TABLE_BEFORE_WAIT,
    any_of,
    asked_first,
    cos_sin_of,
    guesses,
    positions_guessed,
    positions_of,
    rows_found,
    turned,
    turning_constants,
    where_also,
)
from torch._C._dynamo.guards import TensorGuards
from torch.compiler import is_dynamo_compiling

_DTYPES = (torch.bfloat16, torch.float16, torch.float32)
_WARPS = 1
#: Rows (tokens x heads) a program of all but long calls; heads of long ones.
_SHORT_ROWS = 8
_HEADS_A_PROGRAM = 6
_INT32_END = 2**31
_KEPT_LAYOUTS = 256


@triton.jit
def _rows(
    q_ptr,
    k_ptr,
    stride_q,
    stride_k,
    token,
    head,
    Q_HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    ALIGN: tl.constexpr,
):
    """Pointers to the first lane of `head` (q's heads, then k's) of each token; strides count ALIGN elements."""
    is_q = head < Q_HEADS
    base = tl.where(is_q, q_ptr, k_ptr - Q_HEADS * HEAD_DIM) + head * HEAD_DIM
    return base + token * (tl.where(is_q, stride_q, stride_k).to(tl.int64) * ALIGN)


@triton.jit
def _store_turned(
    ats,
    masks,
    firsts,
    seconds,
    cos,
    sin,
    PAIRS: tl.constexpr,
    NEOX: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
):
    """Each head's lanes, turned, to where they came from."""
    BLOCK_PAIRS: tl.constexpr = triton.next_power_of_2(PAIRS)
    for j in tl.static_range(BLOCK_HEADS):
        at, mask = ats[j], masks[j]
        if NEOX:
            first, second = turned(firsts[j], seconds[j], cos, sin)
            tl.store(at, first.to(at.dtype.element_ty), mask=mask)
            tl.store(at + PAIRS, second.to(at.dtype.element_ty), mask=mask)
        else:
            first, second = tl.split(firsts[j].reshape(BLOCK_TOKENS, BLOCK_PAIRS, 2))
            first, second = turned(first, second, cos, sin)
            out = tl.join(first, second).reshape(BLOCK_TOKENS, 2 * BLOCK_PAIRS)
            tl.store(at, out.to(at.dtype.element_ty), mask=mask)


@triton.jit(
    do_not_specialize=["tokens", "stride_q", "stride_k", "stride_position", "max_position"],
    do_not_specialize_on_alignment=["positions_ptr"],
)
def _mrope_kernel(
    q_ptr,
    k_ptr,
    positions_ptr,
    table_ptr,
    tokens,
    stride_q,
    stride_k,
    stride_position,
    max_position,
    Q_HEADS: tl.constexpr,
    HEADS: tl.constexpr,
    HEAD_DIM: tl.constexpr,
    PAIRS: tl.constexpr,
    T_PAIRS: tl.constexpr,
    H_PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
    NEOX: tl.constexpr,
    ALIGN: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_HEADS: tl.constexpr,
    EARLY: tl.constexpr,
    TRIGGER_FIRST: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    BLOCK_PAIRS: tl.constexpr = triton.next_power_of_2(PAIRS)
    ONE_TENSOR: tl.constexpr = Q_HEADS % BLOCK_HEADS == 0  # no program crosses from q into k
    GROUPS: tl.constexpr = (HEADS + BLOCK_HEADS - 1) // BLOCK_HEADS
    program = tl.program_id(0)
    head = program % GROUPS * BLOCK_HEADS
    token = (program // GROUPS).to(tl.int64) * BLOCK_TOKENS + tl.arange(0, BLOCK_TOKENS)[:, None]
    live = token < tokens
    pair = tl.arange(0, BLOCK_PAIRS)[None, :]
    lane = pair if NEOX else tl.arange(0, 2 * BLOCK_PAIRS)[None, :]
    whole = lane < (PAIRS if NEOX else 2 * PAIRS)
    if ONE_TENSOR:
        rows = _rows(q_ptr, k_ptr, stride_q, stride_k, token, head, Q_HEADS, HEAD_DIM, ALIGN) + lane
    if OVERLAP and TRIGGER_FIRST:
        tl.extra.cuda.gdc_launch_dependents()
    if EARLY == 2:
        t, h, w = positions_guessed(positions_ptr, stride_position, token, live, OVERLAP)
        rows_found(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS, OVERLAP)
    if EARLY == 3:  # the caller has said that no kernel which may still run writes these
        t, h, w = positions_of(positions_ptr, stride_position, token, live)
        cos, sin = cos_sin_of(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
    if OVERLAP:
        tl.extra.cuda.gdc_wait()  # nothing else that a predecessor may write is touched before this
        if not TRIGGER_FIRST:
            tl.extra.cuda.gdc_launch_dependents()
    if EARLY == 1:
        t, h, w = positions_of(positions_ptr, stride_position, token, live)

    ats = ()
    masks = ()
    firsts = ()
    seconds = ()
    for j in tl.static_range(BLOCK_HEADS):
        if ONE_TENSOR:
            at = rows + j * HEAD_DIM
        else:
            at = _rows(q_ptr, k_ptr, stride_q, stride_k, token, head + j, Q_HEADS, HEAD_DIM, ALIGN) + lane
        mask = live
        if HEADS % BLOCK_HEADS != 0:
            mask = where_also(mask, head + j < HEADS)
        if BLOCK_PAIRS != PAIRS:
            mask = mask & whole
        ats = ats + (at,)  # type: ignore[assignment]
        masks = masks + (mask,)  # type: ignore[assignment]
        firsts = firsts + (tl.load(at, mask=mask),)  # type: ignore[assignment]
        if NEOX:
            seconds = seconds + (tl.load(at + PAIRS, mask=mask),)  # type: ignore[assignment]

    if EARLY == 0:
        t, h, w = positions_of(positions_ptr, stride_position, token, live)
    if EARLY < 3:
        if EARLY == 2:
            asked_first(OVERLAP)
        cos, sin = cos_sin_of(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
    if EARLY == 2:
        asked_first(OVERLAP)
        new_t, new_h, new_w = positions_of(positions_ptr, stride_position, token, live)
    _store_turned(ats, masks, firsts, seconds, cos, sin, PAIRS, NEOX, BLOCK_TOKENS, BLOCK_HEADS)
    if EARLY == 2:  # noqa: SIM102, decided when it is compiled
        # The guess was wrong: what was stored is overwritten, from the rows that are still held.
        if any_of((new_t ^ t) | (new_h ^ h) | (new_w ^ w), cos):
            cos, sin = cos_sin_of(table_ptr, new_t, new_h, new_w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
            _store_turned(ats, masks, firsts, seconds, cos, sin, PAIRS, NEOX, BLOCK_TOKENS, BLOCK_HEADS)


#: For whoever compiles it for another card, or counts what has been compiled.
KERNEL = _mrope_kernel


@dataclass(frozen=True, slots=True)
class Blocks:
    """How one program is cut, when it reads positions, and whether its dependents are let go before it waits."""

    tokens: int
    heads: int
    warps: int = _WARPS
    early: int = AFTER_ROWS
    trigger_first: bool = False


def blocks(shape: MropeShape, itemsize: int, length: Length = "long") -> Blocks:
    """One warp whose every lane moves 16 bytes a row; in long calls of 5 to 8 heads that divide them the nearest to 6.

    Where none does, as many as split the heads into equal programs of about six. Fewer leave too little in flight: a
    multiprocessor holds 32 programs, and nine heads by threes ran at 62 % of a pass over the bytes.
    """
    lanes = triton.next_power_of_2(shape.pairs) * (1 if shape.pairing == "neox" else 2)
    tokens = max(1, _WARPS * 32 * (16 // itemsize) // lanes)
    if length != "long":
        heads = divisor(shape.heads, max(1, _SHORT_ROWS // tokens))
        early = GUESSED if guesses(shape, length) else BEFORE_ROWS
        return Blocks(tokens, heads, early=early, trigger_first=length != "short")
    even = [n for n in range(5, 9) if shape.heads % n == 0]
    programs = max(1, round(shape.heads / _HEADS_A_PROGRAM))
    heads = min(even, key=lambda n: (abs(n - _HEADS_A_PROGRAM), -n)) if even else -(-shape.heads // programs)
    return Blocks(tokens, heads)


def constants(
    shape: MropeShape, cut: Blocks, itemsize: int, *, aligned: bool, overlap: bool, settled: bool = False
) -> dict[str, int | bool]:
    """The compile-time arguments: everything that a compiled kernel depends on but dtype and device."""
    return {
        "Q_HEADS": shape.q_heads,
        "HEADS": shape.heads,
        "HEAD_DIM": shape.head_dim,
        **turning_constants(shape),
        "ALIGN": 16 // itemsize if aligned else 1,
        "BLOCK_TOKENS": cut.tokens,
        "BLOCK_HEADS": cut.heads,
        "EARLY": TABLE_BEFORE_WAIT if settled else cut.early if overlap else AFTER_ROWS,
        "TRIGGER_FIRST": cut.trigger_first,
        "OVERLAP": overlap,
    }


def check_positions(positions: torch.Tensor, max_position: int) -> None:
    """Raise IndexError with the first token and value that lies outside the table. Synchronises; for debugging."""
    outside = ((positions < 0) | (positions >= max_position)).nonzero()
    if len(outside):
        *row, token = outside[0].tolist()
        value = int(positions[tuple(outside[0].tolist())])
        axis = f" (row {'thw'[row[0]]})" if row else ""
        raise IndexError(
            f"position {value} of token {token}{axis} is outside the table; expected 0 to {max_position - 1}; "
            f"build a longer cos_sin_cache or mend the positions"
        )


def check_call(
    q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, shape: MropeShape
) -> None:
    """Everything that the kernel relies on; one clear sentence for what is off."""
    if q.dtype not in _DTYPES:
        raise TypeError(f"q is {q.dtype}; expected bfloat16, float16 or float32")
    if k.dtype != q.dtype:
        raise TypeError(f"k is {k.dtype}; expected {q.dtype}, as q")
    if table.dtype != torch.float32:
        raise TypeError(f"cos_sin_cache is {table.dtype}; expected torch.float32 (float64 angles rounded once)")
    if positions.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"positions is {positions.dtype}; expected torch.int64")
    for name, tensor in (("k", k), ("positions", positions), ("cos_sin_cache", table)):
        if tensor.device != q.device:
            raise ValueError(f"{name} is on {tensor.device}; expected {q.device}, where q is")
    tokens = q.shape[0] if q.dim() == 2 else -1
    for name, tensor, heads in (("q", q, shape.q_heads), ("k", k, shape.kv_heads)):
        if tuple(tensor.shape) != (tokens, heads * shape.head_dim):
            raise ValueError(
                f"{name} is {tuple(tensor.shape)}; expected [N, {heads} * {shape.head_dim}] with the same N for q and k"
            )
        if tokens and tensor.stride(1) != 1:
            raise ValueError(f"{name} has last stride {tensor.stride(1)}; expected 1 (a view of the packed qkv)")
        if tokens > 1 and tensor.stride(0) < tensor.shape[1]:
            raise ValueError(
                f"{name} has row stride {tensor.stride(0)}; expected at least its {tensor.shape[1]} elements: rows "
                "that overlap cannot be rotated in place"
            )
        if tensor.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{name} requires grad; this in-place operator is for inference: call it under torch.no_grad()"
            )
    if tuple(positions.shape) not in ((3, tokens), (tokens,)):
        raise ValueError(f"positions is {tuple(positions.shape)}; expected (3, {tokens}) rows t, h, w, or ({tokens},)")
    if tokens > 1 and positions.stride(-1) != 1:
        raise ValueError(f"positions has last stride {positions.stride(-1)}; expected 1")
    if table.dim() != 2 or table.shape[1] != shape.rotary_dim or not table.is_contiguous():
        raise ValueError(
            f"cos_sin_cache is {tuple(table.shape)}; expected contiguous [positions, {shape.rotary_dim}] = [cos | sin]"
        )
    if table.numel() >= _INT32_END:
        raise ValueError(f"cos_sin_cache has {table.numel()} elements; expected fewer than 2^31")


@dataclass(slots=True)
class Compilations:
    """Kernels compiled (or loaded from Triton's cache) by this process, and the time the first of each took."""

    count: int = 0
    ns: int = 0
    variants: set[tuple[object, ...]] = field(default_factory=set)


compilations = Compilations()


def launch(
    q: torch.Tensor,
    k: torch.Tensor,
    positions: torch.Tensor,
    table: torch.Tensor,
    shape: MropeShape,
    *,
    overlap: bool = True,
    settled: bool = False,
    how: Blocks | None = None,
) -> Launch | None:
    """Launch unchecked by Triton's own way; what comes back repeats it the short way, None where there is none.

    `overlap`: programmatic dependent launch where the GPU has it (compute capability 9 and up). `how`: another cut
    than the length's, for measurements.
    """
    tokens, itemsize = q.shape[0], q.element_size()
    if tokens == 0:
        return None
    stride_position = positions.stride(0) if positions.dim() == 2 else 0
    vector = 16 // itemsize
    aligned = (q.data_ptr() | k.data_ptr() | table.data_ptr()) % 16 == 0 and all(
        n % vector == 0 for n in (q.stride(0), k.stride(0), shape.head_dim)
    )
    overlap = overlap and q.is_cuda and torch.version.hip is None and torch.cuda.get_device_capability(q.device)[0] >= 9
    cuts = [how] if how else list(dict.fromkeys(blocks(shape, itemsize, length) for length in LENGTHS))
    cut = how or blocks(shape, itemsize, length_of(tokens * shape.heads))
    every = {
        one: constants(shape, one, itemsize, aligned=aligned, overlap=overlap, settled=settled) for one in (*cuts, cut)
    }
    fixed = every[cut]
    align = int(fixed["ALIGN"])
    integers = (tokens, q.stride(0) // align, k.stride(0) // align, stride_position, table.shape[0])
    grid = -(-tokens // cut.tokens) * -(-shape.heads // cut.heads)
    given = (q, k, positions, table, *integers)
    if not q.is_cuda:
        _mrope_kernel[(grid,)](*given, **fixed, **options(cut.warps, overlap=overlap))
        return None
    started = time.perf_counter_ns()
    with torch.cuda.device(q.device):
        compiled = _mrope_kernel[(grid,)](*given, **fixed, **options(cut.warps, overlap=overlap))
        variant = (q.device, q.dtype, positions.dtype, *every[cuts[-1]].values())
        if variant not in compilations.variants:
            for other in cuts:  # no new length compiles
                _mrope_kernel.warmup(*given, grid=(1,), **every[other], **options(other.warps, overlap=overlap))
            compilations.variants.add(variant)
            compilations.count += 1
            compilations.ns += time.perf_counter_ns() - started
    if not (aligned and torch.version.hip is None and max(integers) < _INT32_END):
        return None
    if compiled.metadata.global_scratch_size or getattr(compiled.metadata, "profile_scratch_size", 0):
        return None
    return packed(compiled, grid, integers, overlap=overlap)


#: Its stub gives another signature than torch's own callers use: tensors, then the sizes and strides to hold them to.
_tensor_guards: Any = TensorGuards


class Layout:
    """One layout of the four tensors that has been checked and launched before, and the short way to repeat it.

    `alone`: this process sees one GPU, so the current device needs no look.
    """

    __slots__ = ("alone", "check", "index", "launch", "settled", "shape", "table", "table_ptr")

    def __init__(
        self,
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        shape: MropeShape,
        launch: Launch,
        *,
        settled: bool = False,
    ) -> None:
        guards = _tensor_guards(
            *tensors,
            dynamic_dims_sizes=[list(x.size()) for x in tensors],
            dynamic_dims_strides=[list(x.stride()) for x in tensors],
        )
        self.check: Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], bool] = guards.check
        self.table, self.table_ptr = tensors[3], tensors[3].data_ptr()
        self.shape, self.settled, self.launch = shape, settled, launch
        self.index = tensors[0].device.index
        self.alone = torch.cuda.device_count() == 1


class Layouts(threading.local):
    """The layouts of one thread: a `Launch` packs its arguments in memory of its own."""

    def __init__(self) -> None:
        self.last: Layout | None = None
        self.known: dict[tuple[object, ...], Layout] = {}


layouts = Layouts()
# A CPU build of torch lacks both; there no layout is ever learnt, so neither is called.
raw_stream: Any = getattr(torch._C, "_cuda_getCurrentRawStream", None)
current_device: Any = getattr(torch._C, "_cuda_getDevice", None)
_dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack


def fused(
    q: torch.Tensor,
    k: torch.Tensor,
    positions: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    shape: MropeShape,
    *,
    check: bool = False,
    settled: bool = False,
) -> None:
    """Rotate `q [N, Hq*D]` and `k [N, Hkv*D]` in place, fp32 arithmetic, one rounding, one launch.

    `positions [3, N]` rows (t, h, w) or `[N]`, int64; `cos_sin_cache [P, R]` fp32 = [cos | sin]. q and k: last
    stride 1, any row stride, bf16, fp16 or fp32. A token with a position outside the table becomes NaN; with `check`
    (which synchronises) it raises IndexError before anything is touched. `settled`: the caller states that a kernel
    without overlapped launch (a copy, most matrix products) has begun since positions and table were written, as in
    every layer of a served model; they are then read while the kernel ahead still runs.
    For inference: a repeated eager call does not count as a change that autograd would notice.
    Errors: TypeError or ValueError that names the tensor, what was seen and what is expected.
    """
    if check:
        check_positions(positions, cos_sin_cache.shape[0])
    if not is_dynamo_compiling():
        layout = layouts.last
        if (
            layout is not None
            and layout.table is cos_sin_cache
            and layout.shape is shape
            and layout.settled == settled
            and layout.check(q, k, positions, cos_sin_cache)
            and not _dispatch_modes()  # the guards overlook FakeTensorMode and make_fx
            and _repeated(layout, q.data_ptr(), k.data_ptr(), positions.data_ptr(), cos_sin_cache.data_ptr())
        ):
            return
        if eager(q, k, positions, cos_sin_cache, shape, settled):
            return
        torch.ops.rope_prof.mrope_(q, k, positions, cos_sin_cache, *_numbers(shape))
        return
    (_compiled_settled if settled else _compiled)(q, k, positions, cos_sin_cache, shape)


def _repeated(layout: Layout, q_ptr: int, k_ptr: int, positions_ptr: int, table_ptr: int) -> bool:
    """Launch a known layout at these addresses; False where they are not aligned, or table or device have changed."""
    if (q_ptr | k_ptr) & 15 or table_ptr != layout.table_ptr:
        return False
    if not layout.alone and current_device() != layout.index:
        return False
    again = layout.launch
    stream = raw_stream(layout.index)
    if stream != again.stream[0]:
        again.set_stream(stream)
    PACK_POINTERS(again.pointers, 0, q_ptr, k_ptr, positions_ptr, table_ptr)
    code = again.launch(again.config, again.function, again.arguments, None)
    if code:
        raise RuntimeError(f"the CUDA driver refused the launch: {driver_error(code)} ({code})")
    return True


def eager(
    q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, shape: MropeShape, settled: bool
) -> bool:
    """Another layout than the last one: find it among the known ones, or check, launch and learn it.

    False where the dispatcher must decide: tensor subclasses, tracing and dispatch modes, anything not on a GPU.
    """
    if not (type(q) is type(k) is type(positions) is type(table) is torch.Tensor and q.is_cuda):
        return False
    if _dispatch_modes() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    name = (q.shape[0], q.stride(), k.stride(), positions.stride(), id(table), shape, settled)
    layout = layouts.known.get(name)
    if (
        layout is not None
        and layout.table is table
        and layout.shape == shape
        and layout.check(q, k, positions, table)
        and _repeated(layout, q.data_ptr(), k.data_ptr(), positions.data_ptr(), table.data_ptr())
    ):
        layout.shape, layouts.last = shape, layout  # equal: known again by its identity
        return True
    check_call(q, k, positions, table, shape)
    again = launch(q, k, positions, table, shape, settled=settled)
    if again is not None:
        if len(layouts.known) >= _KEPT_LAYOUTS:
            layouts.known.clear()
        layouts.last = layouts.known[name] = Layout((q, k, positions, table), shape, again, settled=settled)
    return True


def _numbers(shape: MropeShape) -> tuple[list[int], list[int], str, str]:
    """What the schema of `mrope_` carries of `shape`: ((q heads, kv heads, head dim, rotary dim), sections, words)."""
    dims = [shape.q_heads, shape.kv_heads, shape.head_dim, shape.rotary_dim]
    return dims, list(shape.sections), shape.order, shape.pairing


@torch.library.custom_op("rope_prof::mrope_", mutates_args=("q", "k"))
def mrope_(
    q: torch.Tensor,
    k: torch.Tensor,
    positions: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    dims: list[int],
    sections: list[int],
    order: str,
    pairing: str,
) -> None:
    """The operator of `fused`: `dims` are (q heads, kv heads, head dim, rotary dim), `sections` (t, h, w)."""
    shape = shape_of(" ".join(map(str, (*dims, *sections, order, pairing))))
    check_call(q, k, positions, cos_sin_cache, shape)
    launch(q, k, positions, cos_sin_cache, shape)


mrope_.register_fake(lambda *_: None)


_compiled = compiled_call("mrope", fused)
_compiled_settled = compiled_call("mrope_settled", partial(fused, settled=True))
