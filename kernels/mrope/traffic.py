"""Least bytes and flops of the operation, and what each kernel of the unfused chain moves. Arithmetic, no tensors."""

from __future__ import annotations

from dataclasses import dataclass

from rope_prof.kernels.mrope.shape import MropeShape

_TABLE_ITEM = 4  # the cos/sin table is fp32
_POSITION_ITEM = 8  # positions are int64


@dataclass(frozen=True, slots=True)
class KernelTraffic:
    """Bytes one kernel must read and write when each operand moves once."""

    name: str
    read_bytes: int
    write_bytes: int


def least_bytes(shape: MropeShape, tokens: int, itemsize: int) -> int:
    """Bytes that any in-place implementation moves: the rotated lanes of q and k, read once and written once.

    12,288 a token for 28B at TP 1 in bf16. Positions and table rows (shared by all layers, hot in the L2) are left out.
    """
    return 2 * tokens * shape.heads * shape.rotary_dim * itemsize


def least_flops(shape: MropeShape, tokens: int) -> int:
    """Six a pair: four products, a difference, a sum."""
    return 6 * tokens * shape.heads * shape.pairs


def unfused_traffic(shape: MropeShape, tokens: int, itemsize: int) -> tuple[KernelTraffic, ...]:
    """The chain of `kernels.mrope.unfused` for positions `[3, N]` in order `ernie`, kernel by kernel as it is launched.

    At rotary_dim = head_dim it is 25 kernels: the last concatenation has an empty tail but still copies.
    """
    pairs, table = shape.pairs, 3 * tokens * shape.rotary_dim * _TABLE_ITEM
    mixed = tokens * (shape.sections[1] + shape.sections[2]) * _TABLE_ITEM
    row = tokens * pairs * _TABLE_ITEM
    gather = KernelTraffic("gather rows", table + 3 * tokens * _POSITION_ITEM, table)
    reorder = tuple(
        step
        for name in ("cos", "sin")
        for step in (
            KernelTraffic(f"{name} h,w stack", mixed, mixed),
            KernelTraffic(f"{name} hw,t cat", row, row),
        )
    )
    kernels = [gather, *reorder]
    for name, heads in (("q", shape.q_heads), ("k", shape.kv_heads)):
        cast = tokens * pairs * itemsize
        half, whole = tokens * heads * pairs * itemsize, tokens * heads * shape.head_dim * itemsize
        kernels += [KernelTraffic(f"{name} cast {part}", row, cast) for part in ("cos", "sin")]
        kernels += [KernelTraffic(f"{name} product {n}", half + cast, half) for n in (1, 2)]
        kernels += [KernelTraffic(f"{name} difference", 2 * half, half)]
        kernels += [KernelTraffic(f"{name} product {n}", half + cast, half) for n in (3, 4)]
        kernels += [
            KernelTraffic(f"{name} sum", 2 * half, half),
            KernelTraffic(f"{name} stack", 2 * half, 2 * half),
        ]
        kernels += [KernelTraffic(f"{name} cat tail", whole, whole)]
    return tuple(kernels)


def path_bytes(path: str, shape: MropeShape, tokens: int, itemsize: int) -> int | None:
    """Bytes that all kernels of our own `path` read and write; None for a path we do not know."""
    if path == "unfused":
        if shape.order != "ernie":
            return None
        return sum(k.read_bytes + k.write_bytes for k in unfused_traffic(shape, tokens, itemsize))
    return least_bytes(shape, tokens, itemsize) if path in ("per-token", "fused") else None
