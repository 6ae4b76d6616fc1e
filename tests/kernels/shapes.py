"""Small shapes that the tests of the kernels share: every order and pairing, uneven heads, partial rotary dims."""

from __future__ import annotations

from rope_prof.kernels.mrope.shape import MropeShape, Order, Pairing

ORDERS: tuple[Order, ...] = ("ernie", "chunked", "interleaved")
PAIRINGS: tuple[Pairing, ...] = ("interleaved", "neox")
_SECTIONS: dict[tuple[Order, int], tuple[int, int, int]] = {
    ("ernie", 128): (20, 22, 22),
    ("chunked", 128): (16, 24, 24),
    ("interleaved", 128): (24, 20, 20),
    ("ernie", 56): (8, 10, 10),
    ("chunked", 56): (11, 9, 8),
    ("interleaved", 56): (10, 9, 9),
}


def small(
    q_heads: int = 3,
    kv_heads: int = 2,
    order: Order = "ernie",
    pairing: Pairing = "interleaved",
    rotary_dim: int = 128,
    max_position: int = 1024,
) -> MropeShape:
    """A shape with a short table; sections as the models of that order have them."""
    return MropeShape(
        model="small",
        q_heads=q_heads,
        kv_heads=kv_heads,
        hidden=q_heads * 128,
        layers=1,
        rotary_dim=rotary_dim,
        sections=_SECTIONS[order, rotary_dim],
        order=order,
        pairing=pairing,
        max_position=max_position,
    )
