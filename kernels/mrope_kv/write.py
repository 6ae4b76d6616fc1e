"""The second half alone, k and v into the paged cache, and a plain pass over the same bytes: what fusing competes with.

`write` is the best separate cache write that we could tune: one launch for k and v, slots read once, 128-bit accesses,
overlapped launches. `same_bytes` reads every lane of qkv once, writes q's back in place and the others behind one
another, and computes nothing to speak of: no kernel that does the work is faster.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from rope_prof.kernels.launch import options
from rope_prof.kernels.mrope.lengths import divisor, length_of
from rope_prof.kernels.mrope.operator import operator
from rope_prof.kernels.mrope.turning import where_also
from rope_prof.kernels.mrope_kv.cache import Layout, pages_of, scale_strides
from rope_prof.kernels.mrope_kv.kernel import factor_of, put, slot_at
from torch.compiler import is_dynamo_compiling

#: (rows, columns, warps, overlapped) of the pass that are tried at every point.
PASS_TILES = tuple(
    (*tile, overlap)
    for tile in ((1, 512, 4), (2, 512, 4), (2, 512, 1), (1, 1024, 4), (8, 1024, 4), (2, 1024, 1))
    for overlap in (False, True)
)


@triton.jit(
    do_not_specialize=[
        "tokens", "stride_k", "stride_v", "slots_end", "k_page", "k_slot", "k_head", "v_page", "v_slot", "v_head",
        "k_scale_token", "k_scale_head", "v_scale_token", "v_scale_head",
    ],
    do_not_specialize_on_alignment=["slots_ptr", "k_scale_ptr", "v_scale_ptr"],
)  # fmt: skip
def _write_kernel(
    k_ptr,
    v_ptr,
    k_cache_ptr,
    v_cache_ptr,
    slots_ptr,
    k_scale_ptr,
    v_scale_ptr,
    tokens,
    stride_k,
    stride_v,
    slots_end,
    k_page,
    k_slot,
    k_head,
    v_page,
    v_slot,
    v_head,
    k_scale_token,
    k_scale_head,
    v_scale_token,
    v_scale_head,
    HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    SCALES: tl.constexpr,
    ROUND: tl.constexpr,
    ALIGN: tl.constexpr,
    CACHE_ALIGN: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK: tl.constexpr,
    TRIGGER_FIRST: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    GROUPS: tl.constexpr = (HEADS + BLOCK - 1) // BLOCK
    program = tl.program_id(0)
    head = program % GROUPS * BLOCK
    token = (program // GROUPS).to(tl.int64) * BLOCK_TOKENS + tl.arange(0, BLOCK_TOKENS)[:, None]
    lane = tl.arange(0, triton.next_power_of_2(D))[None, :]
    live = token < tokens
    k_rows = k_ptr + head * D + token * (stride_k.to(tl.int64) * ALIGN) + lane
    v_rows = v_ptr + head * D + token * (stride_v.to(tl.int64) * ALIGN) + lane
    if OVERLAP and TRIGGER_FIRST:
        tl.extra.cuda.gdc_launch_dependents()
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
        if not TRIGGER_FIRST:
            tl.extra.cuda.gdc_launch_dependents()
    slot = tl.load(slots_ptr + token, mask=live, other=-1).to(tl.int64)
    keys = ()
    values = ()
    for j in tl.static_range(BLOCK):
        mask = where_also(live, head + j < HEADS) & (lane < D)
        keys = keys + (tl.load(k_rows + j * D, mask=mask),)  # type: ignore[assignment]
        values = values + (tl.load(v_rows + j * D, mask=mask),)  # type: ignore[assignment]
    inside = live & (slot.to(tl.uint64, bitcast=True) < slots_end.to(tl.uint64))
    k_to = k_cache_ptr + slot_at(slot, k_slot, k_page, PAGE, CACHE_ALIGN) + lane
    v_to = v_cache_ptr + slot_at(slot, v_slot, v_page, PAGE, CACHE_ALIGN) + lane
    for j in tl.static_range(BLOCK):
        known = where_also(inside, head + j < HEADS)
        mask = known & (lane < D)
        k_at = k_to + (head + j) * (k_head.to(tl.int64) * CACHE_ALIGN)
        v_at = v_to + (head + j) * (v_head.to(tl.int64) * CACHE_ALIGN)
        if SCALES == 0:
            tl.store(k_at, keys[j], mask=mask)
            tl.store(v_at, values[j], mask=mask)
        else:
            k_factor = factor_of(k_scale_ptr, token, k_scale_token, head + j, k_scale_head, known)
            v_factor = factor_of(v_scale_ptr, token, v_scale_token, head + j, v_scale_head, known)
            put(k_at, keys[j].to(tl.float32), k_factor, mask, SCALES, ROUND)
            put(v_at, values[j].to(tl.float32), v_factor, mask, SCALES, ROUND)


def write(
    k: torch.Tensor,
    v: torch.Tensor,
    k_cache: torch.Tensor,
    v_cache: torch.Tensor,
    slots: torch.Tensor,
    k_scale: torch.Tensor | None,
    v_scale: torch.Tensor | None,
    heads: int,
    layout: Layout = "NHD",
    *,
    trigger_first: bool | None = None,
) -> None:
    """`k`, `v` `[N, heads * D]` to their slots of the caches, in one launch; slots outside are skipped.

    `trigger_first`: whether dependents are let go before it waits; as the length of the call has it where it is None.
    """
    if is_dynamo_compiling():
        _OPERATOR(k, v, k_cache, v_cache, slots, k_scale, v_scale, heads, layout)
        return
    tokens, itemsize = k.shape[0], k.element_size()
    if tokens == 0:
        return
    dim, keys, values = k.shape[1] // heads, pages_of(k_cache, layout), pages_of(v_cache, layout)
    steps = [s for each in (keys, values) for s in (each.stride_page, each.stride_slot, each.stride_head)]
    scales = [(0, 0) if each is None else scale_strides(each, tokens, heads) for each in (k_scale, v_scale)]
    vector, cache_vector = 16 // itemsize, 16 // k_cache.element_size()
    aligned = (
        not any(x.data_ptr() % 16 for x in (k, v, k_cache, v_cache))
        and not any(n % vector for n in (k.stride(0), v.stride(0), dim))
        and not any(n % cache_vector for n in (*steps, dim))
    )
    align, cache_align = (vector, cache_vector) if aligned else (1, 1)
    overlap = k.is_cuda and torch.version.hip is None and torch.cuda.get_device_capability(k.device)[0] >= 9
    block = max(1, 32 * (16 // itemsize) // triton.next_power_of_2(dim))
    most = divisor(heads, 4, most=4)
    _write_kernel[(-(-tokens // block) * -(-heads // most),)](
        k, v, k_cache, v_cache, slots, slots if k_scale is None else k_scale, slots if v_scale is None else v_scale,
        tokens, k.stride(0) // align, v.stride(0) // align, keys.slots, *(step // cache_align for step in steps),
        *scales[0], *scales[1], HEADS=heads, D=dim, PAGE=keys.page_size, SCALES=0 if k_scale is None else 2,
        ROUND=not k.is_cuda, ALIGN=align, CACHE_ALIGN=cache_align, BLOCK_TOKENS=block, BLOCK=most,
        TRIGGER_FIRST=length_of(2 * tokens * heads) in ("step", "decode") if trigger_first is None else trigger_first,
        OVERLAP=overlap,
        **options(1, overlap=overlap),
    )  # fmt: skip


_OPERATOR = operator(
    "cache_write_(Tensor k, Tensor v, Tensor(a!) k_cache, Tensor(b!) v_cache, Tensor slots, Tensor? k_scale, "
    "Tensor? v_scale, int heads, str layout) -> ()",
    write,
)


@triton.jit(do_not_specialize=["rows", "stride"])
def _pass_kernel(
    x_ptr, kept_ptr, rows, stride, Q_COLUMNS: tl.constexpr, COLUMNS: tl.constexpr, ROWS: tl.constexpr,
    WIDTH: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    groups: tl.constexpr = (COLUMNS + WIDTH - 1) // WIDTH
    program = tl.program_id(0)
    row = (program // groups).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    first = program % groups * WIDTH
    column = first + tl.arange(0, WIDTH)
    at = x_ptr + (row * stride * 8)[:, None] + column[None, :]
    kept = kept_ptr + (row * (COLUMNS - Q_COLUMNS))[:, None] + (column - Q_COLUMNS)[None, :]
    mask = (row < rows)[:, None] & (column < COLUMNS)[None, :]
    if OVERLAP:
        tl.extra.cuda.gdc_wait()
        tl.extra.cuda.gdc_launch_dependents()
    value = tl.load(at, mask=mask).to(tl.float32) * 0.9999
    if Q_COLUMNS % WIDTH == 0:
        if first < Q_COLUMNS:
            tl.store(at, value.to(at.dtype.element_ty), mask=mask)
        else:
            tl.store(kept, value.to(kept.dtype.element_ty), mask=mask)
    else:
        tl.store(at, value.to(at.dtype.element_ty), mask=mask & (column < Q_COLUMNS)[None, :])
        tl.store(kept, value.to(kept.dtype.element_ty), mask=mask & (column >= Q_COLUMNS)[None, :])


def same_bytes(qkv: torch.Tensor, q_columns: int, kept: torch.Tensor, tile: tuple[int, int, int, bool]) -> None:
    """Read `qkv [N, C]` once; write its first `q_columns` back and the rest into the flat `kept`, in its dtype."""
    rows, width, warps, overlap = tile
    grid = triton.cdiv(qkv.shape[0], rows) * triton.cdiv(qkv.shape[1], width)
    _pass_kernel[(grid,)](
        qkv, kept, qkv.shape[0], qkv.stride(0) // 8, Q_COLUMNS=q_columns, COLUMNS=qkv.shape[1], ROWS=rows, WIDTH=width,
        OVERLAP=overlap, **options(warps, overlap=overlap),
    )  # fmt: skip
