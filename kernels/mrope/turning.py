"""What every rotary kernel here shares, as Triton functions: positions, rows of the table by the order, the turn.

Knows the three orders and how a lane finds its cos and sin, and when positions may be read; knows neither heads nor
where anything is written.

A kernel that overlaps its predecessor's end may touch nothing that one may still write before it has waited. What lies
on the way to the first product are two loads, each waiting for the one before: positions, then rows of the table. A
*guess* takes the first ahead of the wait, and what follows from it is worked out there too. Behind the wait rows are
turned by it and stored at once; then it is held against the positions, which have arrived meanwhile, and where it was
another, the same program stores again over what it wrote: nothing is taken for granted, nobody else reads before the
kernel has ended, and the comparison is in nobody's way. Measured by `benchmarks/cuts.py`.
"""

from __future__ import annotations

import triton
import triton.language as tl
from rope_prof.kernels.mrope.lengths import Length
from rope_prof.kernels.mrope.shape import MropeShape

#: The constant EARLY: positions (and slots) are read behind the rows (the rotary kernel alone), ahead of them, or
#: guessed ahead of the wait; or, where the caller says that nobody still writes them, read ahead of it, the table too.
AFTER_ROWS, BEFORE_ROWS, GUESSED, TABLE_BEFORE_WAIT = range(4)
#: `MropeShape.order` as the kernels' constant ORDER.
_ORDERS = {"ernie": 0, "chunked": 1, "interleaved": 2}


def guesses(shape: MropeShape, length: Length) -> bool:
    """Whether calls of `length` guess: short ones, in orders of fewer than three phases, which take too many registers.

    Only heads of 128 lanes, whose sections end at every fourth pair: elsewhere rows and table lie in different lanes,
    and a guess would be loaded for both, once for the table and once to be held against the positions.
    """
    t, h, _ = shape.sections
    ends = (2 * h, shape.pairs) if shape.order == "ernie" else (t, t + h, shape.pairs)
    by_fours = not any(end % 4 for end in ends)
    return length in ("step", "decode") and shape.order != "interleaved" and shape.head_dim == 128 and by_fours


def turning_constants(shape: MropeShape) -> dict[str, int | bool]:
    """What the functions below are compiled for, of every kernel that turns rows of that shape."""
    return {
        "PAIRS": shape.pairs,
        "T_PAIRS": shape.sections[0],
        "H_PAIRS": shape.sections[1],
        "ORDER": _ORDERS[shape.order],
        "NEOX": shape.pairing == "neox",
    }


@triton.jit
def where_also(mask, flag):
    """`mask`, false everywhere where the scalar `flag` is. A block made of a comparison of scalars is no mask to Triton
    3.9's interpreter but a number; so the number is compared, which costs no instruction where it is compiled."""
    return mask & (tl.full((1, 1), flag.to(tl.int32), tl.int32) != 0)


@triton.jit
def positions_of(positions_ptr, stride_position, token, live):
    """(t, h, w) int64 of each token; 0 where it is not live."""
    at = positions_ptr + token
    last = at + 2 * stride_position.to(tl.int64)
    t = tl.load(at, mask=live, other=0).to(tl.int64)
    h = tl.load(at + stride_position, mask=live, other=0).to(tl.int64)
    w = tl.load(last, mask=live, other=0).to(tl.int64)
    return t, h, w


@triton.jit
def guessed(at, live, other, OVERLAP: tl.constexpr):
    """int64 of `at` ahead of the wait, while it may still be written: the L1 keeps none of it.

    What is loaded here is what is used and what is held against the settled value: no compiler loads it again.
    """
    value = tl.load(at, mask=live, other=other, cache_modifier=".cg").to(tl.int64)
    if OVERLAP:
        value = tl.inline_asm_elementwise("mov.b64 $0, $1;", "=l,l", [value], dtype=tl.int64, is_pure=False, pack=1)
    return value


@triton.jit
def positions_guessed(positions_ptr, stride_position, token, live, OVERLAP: tl.constexpr):
    """What `positions_of` gives, `guessed`."""
    at = positions_ptr + token
    last = at + 2 * stride_position.to(tl.int64)
    t = guessed(at, live, 0, OVERLAP)
    return t, guessed(at + stride_position, live, 0, OVERLAP), guessed(last, live, 0, OVERLAP)


@triton.jit
def asked_first(OVERLAP: tl.constexpr):
    """What has been loaded is asked for ahead of what follows; the compiler would have the longest chain begin. Within
    a warp it costs no instruction."""
    if OVERLAP:
        tl.inline_asm_elementwise(
            "bar.warp.sync 0xffffffff; // dummy $0", "=r", [], dtype=tl.int32, is_pure=False, pack=1
        )


@triton.jit
def any_of(differences, cos):
    """Whether one of the int64 is not 0. `cos` has them compared in the lanes that took the table's rows (no cosine is
    2): in others the compiler would load the guess again, and another one may then be compared than was taken."""
    return tl.max(tl.where(differences != 0, 1, tl.where(cos == 2.0, 1, 0))) != 0


@triton.jit
def cos_sin_of(
    table_ptr,
    t,
    h,
    w,
    max_position,
    pair,
    ORDER: tl.constexpr,
    PAIRS: tl.constexpr,
    T_PAIRS: tl.constexpr,
    H_PAIRS: tl.constexpr,
):
    """cos and sin of each pair; NaN for a token with a position outside the table, which must hold < 2^31 elements.

    The row of each pair is found once for every phase of the order (pair i takes phase i % 1, 2 or 3): within a phase
    it changes only at section borders, so that four neighbouring pairs load as one vector.
    """
    known = _known(t, h, w, max_position, pair, PAIRS)
    t, h, w = t.to(tl.int32), h.to(tl.int32), w.to(tl.int32)
    row_0, row_1, row_2 = _rows(t, h, w, pair, ORDER, T_PAIRS, H_PAIRS)
    cos_0, sin_0 = _row(table_ptr, row_0, known, pair, PAIRS)
    cos_1, sin_1 = cos_0, sin_0
    cos_2, sin_2 = cos_0, sin_0
    if ORDER != 1:
        cos_1, sin_1 = _row(table_ptr, row_1, known, pair, PAIRS)
    if ORDER == 2:
        cos_2, sin_2 = _row(table_ptr, row_2, known, pair, PAIRS)
    return _of_phase(pair, cos_0, cos_1, cos_2, ORDER), _of_phase(pair, sin_0, sin_1, sin_2, ORDER)


@triton.jit
def rows_found(
    table_ptr, t, h, w, max_position, pair, ORDER: tl.constexpr, PAIRS: tl.constexpr, T_PAIRS: tl.constexpr,
    H_PAIRS: tl.constexpr, OVERLAP: tl.constexpr,
):  # fmt: skip
    """Where `cos_sin_of` will look is worked out here, ahead of the wait, and not behind it, where it is in the way.

    Nothing is read: these loads are for a table of -2^31 positions, which no compiler knows that no caller has.
    """
    if OVERLAP:
        never = where_also(_known(t, h, w, max_position, pair, PAIRS), max_position == -2147483648)
        row_0, row_1, _ = _rows(t.to(tl.int32), h.to(tl.int32), w.to(tl.int32), pair, ORDER, T_PAIRS, H_PAIRS)
        tl.load(table_ptr + (row_0 * (2 * PAIRS) + pair), mask=never, volatile=True)
        if ORDER != 1:
            tl.load(table_ptr + (row_1 * (2 * PAIRS) + pair), mask=never, volatile=True)


@triton.jit
def _known(t, h, w, max_position, pair, PAIRS: tl.constexpr):
    """Whether all three positions lie in the table, and the pair among those that are turned."""
    known = _below(t, max_position) & _below(h, max_position) & _below(w, max_position)
    if triton.next_power_of_2(PAIRS) != PAIRS:
        known = known & (pair < PAIRS)
    return known


@triton.jit
def _below(index, end):
    """Whether `0 <= index < end`, in one comparison of unsigned numbers."""
    return index.to(tl.uint64, bitcast=True) < end.to(tl.uint64)


@triton.jit
def _rows(t, h, w, pair, ORDER: tl.constexpr, T_PAIRS: tl.constexpr, H_PAIRS: tl.constexpr):
    if ORDER == 0:  # h, w, h, w, ..., t
        mixed = pair < 2 * H_PAIRS
        return tl.where(mixed, h, t), tl.where(mixed, w, t), t + 0 * pair
    if ORDER == 1:  # t, then h, then w
        row = tl.where(pair < T_PAIRS, t, tl.where(pair < T_PAIRS + H_PAIRS, h, w))
        return row, row, row
    mixed = pair < 3 * H_PAIRS  # t, h, w, t, h, w, ..., t
    return t + 0 * pair, tl.where(mixed, h, t), tl.where(mixed, w, t)


@triton.jit
def _row(table_ptr, row, known, pair, PAIRS: tl.constexpr):
    at = table_ptr + (row * (2 * PAIRS) + pair)
    nan = float("nan")
    return tl.load(at, mask=known, other=nan), tl.load(at + PAIRS, mask=known, other=nan)


@triton.jit
def _of_phase(pair, first, second, third, ORDER: tl.constexpr):
    if ORDER == 0:
        return tl.where(pair % 2 == 0, first, second)
    if ORDER == 1:
        return first
    return tl.where(pair % 3 == 0, first, tl.where(pair % 3 == 1, second, third))


@triton.jit
def turned(first, second, cos, sin):
    """Both lanes of each pair after the turn, in fp32."""
    a, b = first.to(tl.float32), second.to(tl.float32)
    return a * cos - b * sin, b * cos + a * sin
