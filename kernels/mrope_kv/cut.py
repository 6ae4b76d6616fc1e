"""How the kernel's work is cut into programs: a function of shape, item size and length alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import triton
from rope_prof.kernels.mrope.lengths import Length, divisor
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.turning import BEFORE_ROWS, GUESSED, guesses

#: Rows (tokens x heads) a program of q, and of k and v each.
_ROWS: Mapping[Length, tuple[int, int]] = MappingProxyType(
    {"step": (4, 2), "decode": (8, 4), "short": (8, 4), "long": (12, 8)}
)


@dataclass(frozen=True, slots=True)
class Programs:
    """Tokens, q's heads and kv heads (k and v each) a program; whether its dependents are let go before it waits.

    `early`: when it reads positions (`turning`).
    """

    tokens: int
    q_heads: int
    kv_heads: int
    trigger_first: bool = False
    warps: int = 1
    early: int = BEFORE_ROWS

    def programs(self, shape: MropeShape, tokens: int) -> int:
        """Programs of a call: groups of q's heads, then of kv heads, token block by token block."""
        return -(-tokens // self.tokens) * (-(-shape.q_heads // self.q_heads) + -(-shape.kv_heads // self.kv_heads))


def cut(shape: MropeShape, itemsize: int, length: Length, *, settled: bool = False) -> Programs:
    """One warp, whose every lane moves 16 bytes of a row.

    Dependents are let go first in the shortest calls, and in longer ones that do not guess: theirs would guess before
    there is something to wait for (2.26 against 2.19 µs at 256 tokens of 28B).
    """
    lanes = triton.next_power_of_2(shape.pairs if shape.pairing == "neox" else shape.head_dim)
    block = max(1, 32 * (16 // itemsize) // lanes)
    q_rows, kv_rows = (rows // block for rows in _ROWS[length])
    guess = guesses(shape, length)
    return Programs(
        block,
        divisor(shape.q_heads, max(2 if length == "step" else 1, q_rows)),
        divisor(shape.kv_heads, max(1, min(kv_rows, 4)), most=4),
        trigger_first=length == "step" or (length == "decode" and (settled or not guess)),
        early=GUESSED if guess else BEFORE_ROWS,
    )
