"""The Triton kernel: packed qkv -> multimodal rotary embedding -> paged KV cache [-> fp8], in one launch.

A program takes a few tokens and either a run of q's heads, which it turns and writes where q lies (or to an output), or
a run of kv heads, whose k it turns and whose v it copies to the token's slot of the cache. All rows are loaded with
128-bit accesses before anything is computed; cos and sin come straight into the layout of the rows; one rounding, from
fp32, also to fp8. Strides, token count, slots, pages and table length are run-time values. It knows nothing of tensors:
`fused` has checked them and `blocks` has cut the work.
"""

from __future__ import annotations

import triton
import triton.language as tl
from rope_prof.kernels.mrope.turning import (
    any_of,
    asked_first,
    cos_sin_of,
    positions_guessed,
    positions_of,
    rows_found,
    turned,
    where_also,
)

#: The constant SCALES: what an fp8 cache divides by.
NO_SCALE, ONE_SCALE, SCALE_A_HEAD = range(3)


@triton.jit
def _to_fp8_grid(value):
    """fp32 values that e4m3 holds, for Triton's interpreter, whose conversion neither rounds to even nor carries."""
    near = tl.where(value == value, tl.minimum(tl.maximum(value, -448.0), 448.0), value)
    bits = near.to(tl.int32, bitcast=True)
    normal = ((bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000).to(tl.float32, bitcast=True)
    return tl.where(tl.abs(near) < 0.015625, (near + 24576.0) - 24576.0, normal)  # 24576 = 1.5 * 2^14: steps of 2^-9


@triton.jit
def put(at, value, factor, mask, SCALES: tl.constexpr, ROUND: tl.constexpr):
    """Store fp32 `value`, in fp8 times `factor`: rounded once to even, saturated, NaN kept."""
    if SCALES > 0:
        value = value * factor
        if ROUND:  # a GPU's own conversion does all this
            value = _to_fp8_grid(value)
    tl.store(at, value.to(at.dtype.element_ty), mask=mask)


@triton.jit
def factor_of(scale_ptr, token, stride_token, head, stride_head, mask):
    """One over each token's scale of `head`."""
    at = scale_ptr + token * stride_token.to(tl.int64) + head * stride_head
    return 1.0 / tl.load(at, mask=mask, other=1.0)


@triton.jit
def slot_at(slot, stride_slot, stride_page, PAGE: tl.constexpr, ALIGN: tl.constexpr):
    """Where each token's slot begins, in elements; slots are those inside the cache, strides count ALIGN elements."""
    slot = slot.to(tl.int32)
    at = (slot // PAGE).to(tl.int64) * (stride_page.to(tl.int64) * ALIGN)
    return at + (slot % PAGE).to(tl.int64) * (stride_slot.to(tl.int64) * ALIGN)


@triton.jit
def _found(pointers):
    """These are worked out here and not later; the prefetch is for a null pointer, so that there is none."""
    tl.inline_asm_elementwise(
        "{ .reg .pred p; setp.eq.u64 p, $8, 0; @p prefetch.global.L2 [$8]; } // $0",
        "=r,=r,=r,=r,=r,=r,=r,=r,l,l,l,l,l,l,l,l", [pointers.to(tl.int64)], dtype=tl.int32, is_pure=False, pack=8,
    )  # fmt: skip


@triton.jit
def _loaded(rows, lane, live, head, HEADS: tl.constexpr, BLOCK: tl.constexpr, D: tl.constexpr, END: tl.constexpr):
    """Lanes below END of BLOCK heads of each token, head by head; `rows` point to the first lane of `head`."""
    found = ()
    for j in tl.static_range(BLOCK):
        mask = live
        if HEADS % BLOCK != 0:
            mask = where_also(mask, head + j < HEADS)
        if lane.shape[1] != END:
            mask = mask & (lane < END)
        found = found + (tl.load(rows + j * D + lane, mask=mask),)  # type: ignore[assignment]
    return found


@triton.jit
def _factors(
    scale_ptr, token, stride_token, head, stride_head, live, HEADS: tl.constexpr, BLOCK: tl.constexpr,
    SCALES: tl.constexpr,
):  # fmt: skip
    """One over the scale of each of BLOCK heads, asked for beside the rows."""
    found = ()
    for j in tl.static_range(BLOCK if SCALES == 2 else 1):
        mask = live
        if HEADS % BLOCK != 0:
            mask = where_also(mask, head + j < HEADS)
        if SCALES > 0:
            found = found + (factor_of(scale_ptr, token, stride_token, head + j, stride_head, mask),)  # type: ignore[assignment]
        else:
            found = found + (1.0,)  # type: ignore[assignment]
    return found


@triton.jit
def _copy(
    to_rows, to_head, rows, factors, head, write, HEADS: tl.constexpr, BLOCK: tl.constexpr, D: tl.constexpr,
    SCALES: tl.constexpr, ROUND: tl.constexpr,
):  # fmt: skip
    """BLOCK heads as they are to `to_rows`, `to_head` apart, where `write`."""
    lane = tl.arange(0, triton.next_power_of_2(D))[None, :]
    for j in tl.static_range(BLOCK):
        mask = write
        if HEADS % BLOCK != 0:
            mask = where_also(mask, head + j < HEADS)
        if triton.next_power_of_2(D) != D:
            mask = mask & (lane < D)
        if SCALES == 0:
            tl.store(to_rows + j * to_head + lane, rows[j], mask=mask)
        else:
            factor = factors[j if SCALES == 2 else 0]
            put(to_rows + j * to_head + lane, rows[j].to(tl.float32), factor, mask, SCALES, ROUND)


@triton.jit
def _turn(
    to_rows,
    to_head,
    keep_rows,
    firsts,
    seconds,
    tails,
    factors,
    cos,
    sin,
    head,
    live,
    write,
    HEADS: tl.constexpr,
    BLOCK: tl.constexpr,
    D: tl.constexpr,
    PAIRS: tl.constexpr,
    NEOX: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    WHOLE: tl.constexpr,
    KEEP: tl.constexpr,
    SCALES: tl.constexpr,
    ROUND: tl.constexpr,
):
    """Turn BLOCK heads that have been loaded into `to_rows`, `to_head` apart, where `write`.

    WHOLE: lanes that are not turned are written too; KEEP: everything turned goes to `keep_rows` as well, unscaled.
    """
    BLOCK_D: tl.constexpr = triton.next_power_of_2(D)
    TAIL: tl.constexpr = D - 2 * PAIRS if WHOLE and NEOX else 0
    LAST: tl.constexpr = D if WHOLE else 2 * PAIRS
    lane = tl.arange(0, triton.next_power_of_2(PAIRS) if NEOX else BLOCK_D)[None, :]
    rest = 2 * PAIRS + tl.arange(0, triton.next_power_of_2(TAIL) if TAIL > 0 else 1)[None, :]
    for j in tl.static_range(BLOCK):
        mask = write
        if HEADS % BLOCK != 0:
            mask = where_also(mask, head + j < HEADS)
        factor = factors[j if SCALES == 2 else 0]
        to = to_rows + j * to_head
        if TAIL > 0:
            put(to + rest, tails[j].to(tl.float32), factor, mask & (rest < D), SCALES, ROUND)
        if NEOX:
            first, second = turned(firsts[j], seconds[j], cos, sin)
            if triton.next_power_of_2(PAIRS) != PAIRS:
                mask = mask & (lane < PAIRS)
            put(to + lane, first, factor, mask, SCALES, ROUND)
            put(to + PAIRS + lane, second, factor, mask, SCALES, ROUND)
            if KEEP:
                kept = where_also(live, head + j < HEADS) & (lane < PAIRS)
                tl.store(keep_rows + j * D + lane, first.to(keep_rows.dtype.element_ty), mask=kept)
                tl.store(keep_rows + j * D + PAIRS + lane, second.to(keep_rows.dtype.element_ty), mask=kept)
        else:
            first, second = tl.split(firsts[j].reshape(BLOCK_TOKENS, BLOCK_D // 2, 2))
            first, second = turned(first, second, cos, sin)
            out = tl.join(first, second).reshape(BLOCK_TOKENS, BLOCK_D)
            if D != 2 * PAIRS and WHOLE:
                out = tl.where(lane < 2 * PAIRS, out, firsts[j].to(tl.float32))
            if LAST != BLOCK_D:
                mask = mask & (lane < LAST)
            put(to + lane, out, factor, mask, SCALES, ROUND)
            if KEEP:
                kept = where_also(live, head + j < HEADS) & (lane < 2 * PAIRS)
                tl.store(keep_rows + j * D + lane, out.to(keep_rows.dtype.element_ty), mask=kept)


@triton.jit(
    do_not_specialize=[
        "tokens",
        "stride_q",
        "stride_out",
        "stride_k",
        "stride_v",
        "stride_position",
        "max_position",
        "slots_end",
        "k_page",
        "k_slot",
        "k_head",
        "v_page",
        "v_slot",
        "v_head",
        "k_scale_token",
        "k_scale_head",
        "v_scale_token",
        "v_scale_head",
    ],
    do_not_specialize_on_alignment=["positions_ptr", "slots_ptr", "k_scale_ptr", "v_scale_ptr"],
)
def mrope_kv_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    positions_ptr,
    table_ptr,
    k_cache_ptr,
    v_cache_ptr,
    slots_ptr,
    k_scale_ptr,
    v_scale_ptr,
    out_ptr,
    tokens,
    stride_q,
    stride_out,
    stride_k,
    stride_v,
    stride_position,
    max_position,
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
    Q_HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAIRS: tl.constexpr,
    T_PAIRS: tl.constexpr,
    H_PAIRS: tl.constexpr,
    ORDER: tl.constexpr,
    NEOX: tl.constexpr,
    PAGE: tl.constexpr,
    SCALES: tl.constexpr,
    ROUND: tl.constexpr,
    KEEP_K: tl.constexpr,
    OUTPUT: tl.constexpr,
    ALIGN: tl.constexpr,
    CACHE_ALIGN: tl.constexpr,
    BLOCK_TOKENS: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    EARLY: tl.constexpr,
    TRIGGER_FIRST: tl.constexpr,
    OVERLAP: tl.constexpr,
):
    Q_GROUPS: tl.constexpr = (Q_HEADS + BLOCK_Q - 1) // BLOCK_Q
    GROUPS: tl.constexpr = Q_GROUPS + (KV_HEADS + BLOCK_KV - 1) // BLOCK_KV
    BLOCK_D: tl.constexpr = triton.next_power_of_2(D)
    TAIL: tl.constexpr = D - 2 * PAIRS if NEOX else 0
    END: tl.constexpr = PAIRS if NEOX else D
    program = tl.program_id(0)
    group = program % GROUPS
    token = (program // GROUPS).to(tl.int64) * BLOCK_TOKENS + tl.arange(0, BLOCK_TOKENS)[:, None]
    live = token < tokens
    is_kv = group >= Q_GROUPS
    pair = tl.arange(0, triton.next_power_of_2(PAIRS) if NEOX else BLOCK_D // 2)[None, :]
    lane = pair if NEOX else tl.arange(0, BLOCK_D)[None, :]
    rest = 2 * PAIRS + tl.arange(0, triton.next_power_of_2(TAIL) if TAIL > 0 else 1)[None, :]
    t, h, w, slot, cos, sin = 0, 0, 0, 0, 0, 0
    first_rows = tl.where(is_kv, k_ptr + (group - Q_GROUPS) * (BLOCK_KV * D), q_ptr + group * (BLOCK_Q * D))
    first_rows += token * (tl.where(is_kv, stride_k, stride_q).to(tl.int64) * ALIGN)
    if OVERLAP and TRIGGER_FIRST:
        tl.extra.cuda.gdc_launch_dependents()
    if EARLY == 2:
        t, h, w = positions_guessed(positions_ptr, stride_position, token, live, OVERLAP)
        rows_found(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS, OVERLAP)
        if OVERLAP:
            _found(first_rows + lane)
    if EARLY == 3:  # the caller has said that no kernel which may still run writes these
        t, h, w = positions_of(positions_ptr, stride_position, token, live)
        slot = tl.load(slots_ptr + token, mask=where_also(live, is_kv), other=-1).to(tl.int64)
        cos, sin = cos_sin_of(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
    if OVERLAP:
        tl.extra.cuda.gdc_wait()  # nothing else that a predecessor may write is touched before this
        if not TRIGGER_FIRST:
            tl.extra.cuda.gdc_launch_dependents()
    if EARLY == 1:
        t, h, w = positions_of(positions_ptr, stride_position, token, live)
        slot = tl.load(slots_ptr + token, mask=where_also(live, is_kv), other=-1).to(tl.int64)

    if is_kv:
        k_seconds = ()
        k_tails = ()
        head = (group - Q_GROUPS) * BLOCK_KV
        v_rows = v_ptr + head * D + token * (stride_v.to(tl.int64) * ALIGN)
        k_rows = first_rows
        c, s, place = cos, sin, slot
        if EARLY == 2:
            place = tl.load(slots_ptr + token, mask=live, other=-1).to(tl.int64)
        values = _loaded(v_rows, tl.arange(0, BLOCK_D)[None, :], live, head, KV_HEADS, BLOCK_KV, D, D)
        k_firsts = _loaded(k_rows, lane, live, head, KV_HEADS, BLOCK_KV, D, END)
        if NEOX:
            k_seconds = _loaded(k_rows + PAIRS, lane, live, head, KV_HEADS, BLOCK_KV, D, END)
        if TAIL > 0:
            k_tails = _loaded(k_rows, rest, live, head, KV_HEADS, BLOCK_KV, D, D)
        if EARLY < 3:
            asked_first(OVERLAP and EARLY == 2)
            c, s = cos_sin_of(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
        k_factors = _factors(k_scale_ptr, token, k_scale_token, head, k_scale_head, live, KV_HEADS, BLOCK_KV, SCALES)
        v_factors = _factors(v_scale_ptr, token, v_scale_token, head, v_scale_head, live, KV_HEADS, BLOCK_KV, SCALES)
        write = live & (place.to(tl.uint64, bitcast=True) < slots_end.to(tl.uint64))  # type: ignore[attr-defined]
        if EARLY == 2:  # asked for now, looked at once everything is stored
            asked_first(OVERLAP)
            new_t, new_h, new_w = positions_of(positions_ptr, stride_position, token, live)
        k_head_at = k_head.to(tl.int64) * CACHE_ALIGN
        v_head_at = v_head.to(tl.int64) * CACHE_ALIGN
        k_base = k_cache_ptr + head * k_head_at
        v_base = v_cache_ptr + head * v_head_at
        _turn(
            k_base + slot_at(place, k_slot, k_page, PAGE, CACHE_ALIGN), k_head_at, k_rows, k_firsts, k_seconds, k_tails,
            k_factors, c, s, head, live, write, KV_HEADS, BLOCK_KV, D, PAIRS, NEOX, BLOCK_TOKENS, True, KEEP_K,
            SCALES, ROUND,
        )  # fmt: skip
        _copy(
            v_base + slot_at(place, v_slot, v_page, PAGE, CACHE_ALIGN), v_head_at, values, v_factors, head, write,
            KV_HEADS, BLOCK_KV, D, SCALES, ROUND,
        )  # fmt: skip
        if EARLY == 2:  # noqa: SIM102, decided when it is compiled
            # The guess was wrong: what was stored is overwritten, from the rows that are still held.
            if any_of((new_t ^ t) | (new_h ^ h) | (new_w ^ w), c):
                c, s = cos_sin_of(table_ptr, new_t, new_h, new_w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
                _turn(
                    k_base + slot_at(place, k_slot, k_page, PAGE, CACHE_ALIGN), k_head_at, k_rows, k_firsts, k_seconds,
                    k_tails, k_factors, c, s, head, live, write, KV_HEADS, BLOCK_KV, D, PAIRS, NEOX, BLOCK_TOKENS,
                    True, KEEP_K, SCALES, ROUND,
                )  # fmt: skip
    else:
        q_seconds = ()
        q_tails = ()
        q_head = group * BLOCK_Q
        q_rows = first_rows
        out_rows = out_ptr + q_head * D + token * (stride_out.to(tl.int64) * ALIGN)
        q_firsts = _loaded(q_rows, lane, live, q_head, Q_HEADS, BLOCK_Q, D, END)
        if NEOX:
            q_seconds = _loaded(q_rows + PAIRS, lane, live, q_head, Q_HEADS, BLOCK_Q, D, END)
        if TAIL > 0 and OUTPUT:
            q_tails = _loaded(q_rows, rest, live, q_head, Q_HEADS, BLOCK_Q, D, D)
        c, s = cos, sin
        if EARLY < 3:
            asked_first(OVERLAP and EARLY == 2)
            c, s = cos_sin_of(table_ptr, t, h, w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
        if EARLY == 2:  # asked for now, looked at once everything is stored
            asked_first(OVERLAP)
            new_t, new_h, new_w = positions_of(positions_ptr, stride_position, token, live)
        _turn(
            out_rows, D, q_rows, q_firsts, q_seconds, q_tails, (1.0,), c, s, q_head, live, live, Q_HEADS, BLOCK_Q, D,
            PAIRS, NEOX, BLOCK_TOKENS, OUTPUT, False, 0, ROUND,
        )  # fmt: skip
        if EARLY == 2:  # noqa: SIM102
            if any_of((new_t ^ t) | (new_h ^ h) | (new_w ^ w), c):
                c, s = cos_sin_of(table_ptr, new_t, new_h, new_w, max_position, pair, ORDER, PAIRS, T_PAIRS, H_PAIRS)
                _turn(
                    out_rows, D, q_rows, q_firsts, q_seconds, q_tails, (1.0,), c, s, q_head, live, live, Q_HEADS,
                    BLOCK_Q, D, PAIRS, NEOX, BLOCK_TOKENS, OUTPUT, False, 0, ROUND,
                )  # fmt: skip
