"""How the kernel's work is cut into programs: a function of shape, item size and length alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import triton
from rope_prof.kernels.mrope.lengths import Length, divisor
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.turning import BEFORE_ROWS

#: Rows (tokens x heads) a program of q, and of k and v each.
_ROWS: Mapping[Length, tuple[int, int]] = MappingProxyType({"decode": (8, 4), "short": (8, 8), "long": (12, 8)})


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


def cut(shape: MropeShape, itemsize: int, length: Length) -> Programs:
    """One warp, whose every lane moves 16 bytes of a row."""
    lanes = triton.next_power_of_2(shape.pairs if shape.pairing == "neox" else shape.head_dim)
    block = max(1, 32 * (16 // itemsize) // lanes)
    q_rows, kv_rows = (max(1, rows // block) for rows in _ROWS[length])
    return Programs(
        block,
        divisor(shape.q_heads, q_rows),
        divisor(shape.kv_heads, min(kv_rows, 4), most=4),
        trigger_first=length == "decode",
    )
