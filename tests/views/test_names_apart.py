"""Kernels whose short names are one are told apart by those parts of their names that differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rope_prof.views.words.names import grid_words, told_apart

CAT = "void at::native::CatArrayBatchedCopy<at::native::OpaqueType<4u>, unsigned int, {}, 64, 64>(unsigned int)"
MUL = "void at::native::vectorized_elementwise_kernel<{}, at::native::{}<float, at::native::MulFunctor<float> > >(int)"
GEMM = "sm80_xmma_gemm_f32f32_f32f32_f32_tn_n_tilesize{}_stage3_warpsize2x2x1_ffma_aligna4_execute_kernel__5x_cublas"


def test_templates_and_tiles_tell_kernels_apart() -> None:
    assert list(told_apart([CAT.format(2), CAT.format(3)]).values()) == [
        "CatArrayBatchedCopy <2>",
        "CatArrayBatchedCopy <3>",
    ]
    names = [MUL.format(width, functor) for width in (2, 4) for functor in ("AUnaryFunctor", "BinaryFunctor")]
    assert [text.partition(" <")[2] for text in told_apart(names, 60).values()] == [
        "2, AUnaryFunctor>",
        "2, BinaryFunctor>",
        "4, AUnaryFunctor>",
        "4, BinaryFunctor>",
    ]
    tiles = told_apart([GEMM.format("128x32x8"), GEMM.format("32x32x8")])
    assert [text.partition(" <")[2] for text in tiles.values()] == ["tilesize128x32x8>", "tilesize32x32x8>"]


def test_what_nothing_is_like_keeps_its_short_name() -> None:
    assert told_apart(["gemm", "gemm", CAT.format(2)]) == {"gemm": "gemm", CAT.format(2): "CatArrayBatchedCopy"}


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=20, unique=True))
def test_numbers_of_a_template_always_tell(numbers: list[int]) -> None:
    assert len(set(told_apart(map(CAT.format, numbers)).values())) == len(numbers)


def test_a_grid_in_words() -> None:
    assert [grid_words(text) for text in ("2433x1x1", "264x2x1", "1x1x1")] == ["grid 2,433", "grid 264 x 2", "grid 1"]
