"""How long a call is, by the rows (tokens x heads) that it moves: what a kernel's cut depends on beside its shape.

Four lengths serve all. A launch that overlaps its predecessor starts some 0.8 programs a nanosecond, so a long call
wants large programs; a short one, whose programs wait for what they load, wants more of them; and where all of a call's
programs find room beside those of its predecessor (`decode`), its dependents may be let go before it waits itself. A
`step` is so short that it takes the smallest programs.
Whoever compiles one length compiles all, so that no new prompt length does.
"""

from __future__ import annotations

from typing import Literal

Length = Literal["step", "decode", "short", "long"]
LENGTHS: tuple[Length, ...] = ("step", "decode", "short", "long")
_STEP_ROWS = 2_048
_DECODE_ROWS = 8_192
_SHORT_ROWS = 32_768


def length_of(rows: int) -> Length:
    """The length of a call that moves so many rows."""
    ends = zip(LENGTHS, (_STEP_ROWS, _DECODE_ROWS, _SHORT_ROWS), strict=False)
    return next((length for length, end in ends if rows <= end), "long")


def divisor(heads: int, wanted: int, most: int = 8) -> int:
    """The divisor of `heads` nearest to `wanted`, the larger of two; as even a cut as can be where none is near."""
    even = [n for n in range(1, most + 1) if heads % n == 0 and 2 * n > wanted]
    if even:
        return min(even, key=lambda n: (abs(n - wanted), -n))
    return -(-heads // max(1, round(heads / wanted)))
