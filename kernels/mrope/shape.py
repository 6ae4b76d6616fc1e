"""The shape of a multimodal rotary embedding: heads, dims, and which position row turns which pair.

Source: the model configurations of ERNIE-4.5-VL; of Qwen2-VL-7B and Qwen3-VL-8B for the other two orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, get_args

Order = Literal["ernie", "chunked", "interleaved"]
Pairing = Literal["interleaved", "neox"]

#: Rows of `positions [3, N]`.
AXIS_T, AXIS_H, AXIS_W = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MropeShape:
    """One rank's multimodal rotary embedding.

    `sections` counts the frequency pairs of each axis in the order **(t, h, w)** and sums to `rotary_dim / 2`.
    `order` says which pair takes which axis: `ernie` is h, w, h, w, ..., then t to the end; `chunked` is all t, all h,
    all w (Qwen2-VL); `interleaved` is t, h, w, t, h, w, ... until h and w are spent, then t (Qwen3-VL).
    `pairing` says which lanes form pair i: `interleaved` is (2i, 2i+1), `neox` is (i, i + rotary_dim/2).
    """

    model: str
    q_heads: int
    kv_heads: int
    hidden: int
    layers: int
    head_dim: int = 128
    rotary_dim: int = 128
    sections: tuple[int, int, int] = (20, 22, 22)
    order: Order = "ernie"
    pairing: Pairing = "interleaved"
    theta: float = 500_000.0
    max_position: int = 131_072
    parallel: int = 1
    #: What an operator's schema carries: all that a kernel depends on. Written here, since no word can be made of whole
    #: numbers that a tracer holds for unknown.
    word: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "word", _word(self))
        if self.rotary_dim % 2 or not 0 < self.rotary_dim <= self.head_dim:
            raise ValueError(
                f"rotary_dim {self.rotary_dim}; expected an even number from 2 to head_dim {self.head_dim}"
            )
        if sum(self.sections) != self.rotary_dim // 2 or min(self.sections) < 0:
            raise ValueError(
                f"sections {self.sections} sum to {sum(self.sections)}; "
                f"expected (t, h, w) that sum to rotary_dim/2 = {self.rotary_dim // 2}"
            )
        if self.order != "chunked" and self.sections[1] != self.sections[2]:
            raise ValueError(f"sections {self.sections} in order {self.order!r}; expected as many h as w pairs")
        if self.order == "interleaved" and self.sections[0] < self.sections[1]:
            raise ValueError(f"sections {self.sections} interleaved; expected at least as many t as h pairs")
        if min(self.q_heads, self.kv_heads) < 1:
            raise ValueError(f"({self.q_heads}, {self.kv_heads}) heads; expected at least one of each")

    @property
    def pairs(self) -> int:
        """Frequency pairs a head: rotary_dim / 2."""
        return self.rotary_dim // 2

    @property
    def heads(self) -> int:
        """Heads that are rotated: q and k together."""
        return self.q_heads + self.kv_heads

    @property
    def row(self) -> int:
        """Elements of one token in the packed qkv: (Hq + 2 Hkv) * head_dim."""
        return (self.q_heads + 2 * self.kv_heads) * self.head_dim

    def axes(self) -> tuple[int, ...]:
        """The row of `positions` (0 t, 1 h, 2 w) that turns each pair; length `pairs`."""
        t, h, w = self.sections
        if self.order == "ernie":
            return (AXIS_H, AXIS_W) * h + (AXIS_T,) * t
        if self.order == "chunked":
            return (AXIS_T,) * t + (AXIS_H,) * h + (AXIS_W,) * w
        return (AXIS_T, AXIS_H, AXIS_W) * h + (AXIS_T,) * (t - h)

    def tp(self, ranks: int) -> MropeShape:
        """The shape of one of `ranks` tensor-parallel ranks; ValueError where they do not divide the heads."""
        if ranks < 1 or self.q_heads % ranks or self.kv_heads % ranks:
            fits = [n for n in range(1, self.kv_heads + 1) if self.q_heads % n == 0 and self.kv_heads % n == 0]
            raise ValueError(
                f"tp {ranks} does not divide ({self.q_heads}, {self.kv_heads}) heads of {self.model}; "
                f"expected one of {', '.join(map(str, fits))}"
            )
        return replace(
            self,
            q_heads=self.q_heads // ranks,
            kv_heads=self.kv_heads // ranks,
            parallel=self.parallel * ranks,
        )


def _word(shape: MropeShape) -> str:
    q, k, dim, turned = shape.q_heads, shape.kv_heads, shape.head_dim, shape.rotary_dim
    t, h, w = shape.sections
    return f"{q} {k} {dim} {turned} {t} {h} {w} {shape.order} {shape.pairing}"


ERNIE_28B = MropeShape(model="28b", q_heads=20, kv_heads=4, hidden=2560, layers=28)
ERNIE_424B = MropeShape(model="424b", q_heads=64, kv_heads=8, hidden=8192, layers=54)
QWEN2_VL_7B = MropeShape(
    model="qwen2-vl-7b",
    q_heads=28,
    kv_heads=4,
    hidden=3584,
    layers=28,
    sections=(16, 24, 24),
    order="chunked",
    pairing="neox",
    theta=1_000_000.0,
    max_position=32_768,
)
QWEN3_VL_8B = MropeShape(
    model="qwen3-vl-8b",
    q_heads=32,
    kv_heads=8,
    hidden=4096,
    layers=36,
    sections=(24, 20, 20),
    order="interleaved",
    pairing="neox",
    theta=5_000_000.0,
    max_position=262_144,
)
PRESETS = {shape.model: shape for shape in (ERNIE_28B, ERNIE_424B, QWEN2_VL_7B, QWEN3_VL_8B)}


@lru_cache(maxsize=256)
def shape_of(word: str) -> MropeShape:
    """The shape that wrote `word`: the same object each time, by which a repeated call is known."""
    *numbers, order, pairing = word.split()
    q, k, dim, turned, t, h, w = map(int, numbers)
    if order not in get_args(Order) or pairing not in get_args(Pairing):
        raise ValueError(f"order {order!r} and pairing {pairing!r}; expected {get_args(Order)} and {get_args(Pairing)}")
    return MropeShape(
        model="operator", q_heads=q, kv_heads=k, hidden=q * dim, layers=1, head_dim=dim, rotary_dim=turned,
        sections=(t, h, w), order=order, pairing=pairing,  # type: ignore[arg-type]
    )  # fmt: skip
