"""Which position row turns which pair: every order by hand, and the laws that hold for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rope_prof.kernels.mrope.shape import (
    AXIS_H,
    AXIS_T,
    AXIS_W,
    ERNIE_28B,
    ERNIE_424B,
    PRESETS,
    QWEN2_VL_7B,
    QWEN3_VL_8B,
    MropeShape,
)


def shape(sections: tuple[int, int, int], **more: object) -> MropeShape:
    defaults = {"model": "test", "q_heads": 2, "kv_heads": 1, "hidden": 256, "layers": 1}
    return MropeShape(**(defaults | {"rotary_dim": 2 * sum(sections), "sections": sections} | more))  # type: ignore[arg-type]


def test_ernie_alternates_h_and_w_then_ends_in_t() -> None:
    assert "".join("thw"[a] for a in shape((3, 2, 2)).axes()) == "hwhwttt"
    assert ERNIE_28B.axes() == (AXIS_H, AXIS_W) * 22 + (AXIS_T,) * 20


def test_chunked_is_t_then_h_then_w() -> None:
    assert "".join("thw"[a] for a in shape((3, 2, 1), order="chunked").axes()) == "ttthhw"


def test_interleaved_takes_turns_until_h_and_w_are_spent() -> None:
    assert "".join("thw"[a] for a in shape((4, 2, 2), order="interleaved").axes()) == "thwthwtt"


@given(h=st.integers(0, 16), t=st.integers(0, 16), order=st.sampled_from(["ernie", "chunked", "interleaved"]))
def test_each_axis_turns_as_many_pairs_as_its_section_says(h: int, t: int, order: str) -> None:
    t = max(t + (h if order == "interleaved" else 0), 1)
    axes = shape((t, h, h), order=order).axes()
    assert tuple(axes.count(a) for a in (AXIS_T, AXIS_H, AXIS_W)) == (t, h, h)
    assert len(axes) == t + 2 * h


def test_presets_are_the_published_models() -> None:
    assert list(PRESETS) == ["28b", "424b", "qwen2-vl-7b", "qwen3-vl-8b"]
    assert (PRESETS["28b"], PRESETS["424b"]) == (ERNIE_28B, ERNIE_424B)
    assert (ERNIE_28B.heads, ERNIE_28B.row, ERNIE_28B.pairs) == (24, 3584, 64)
    assert (ERNIE_424B.heads, ERNIE_424B.row) == (72, 10240)
    assert "".join("thw"[a] for a in QWEN2_VL_7B.axes()) == "t" * 16 + "h" * 24 + "w" * 24
    assert "".join("thw"[a] for a in QWEN3_VL_8B.axes()) == "thw" * 20 + "tttt"
    assert (QWEN2_VL_7B.row, QWEN3_VL_8B.row) == (36 * 128, 48 * 128)
    assert {QWEN2_VL_7B.pairing, QWEN3_VL_8B.pairing} == {"neox"}


@pytest.mark.parametrize(
    ("model", "ranks", "heads"),
    [("28b", 2, (10, 2)), ("28b", 4, (5, 1)), ("424b", 2, (32, 4)), ("424b", 4, (16, 2)), ("424b", 8, (8, 1))],
)
def test_a_rank_has_its_share_of_the_heads(model: str, ranks: int, heads: tuple[int, int]) -> None:
    rank = PRESETS[model].tp(ranks)
    assert (rank.q_heads, rank.kv_heads, rank.parallel) == (*heads, ranks)
    assert rank.axes() == PRESETS[model].axes()


def test_two_cuts_are_one() -> None:
    assert ERNIE_424B.tp(2).tp(4) == ERNIE_424B.tp(8)


@pytest.mark.parametrize("ranks", [0, -1, 3, 8])
def test_a_cut_that_does_not_divide_the_heads_names_those_that_do(ranks: int) -> None:
    sentence = rf"tp {ranks} does not divide \(20, 4\) heads of 28b; expected one of 1, 2, 4"
    with pytest.raises(ValueError, match=sentence):
        ERNIE_28B.tp(ranks)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"rotary_dim": 7}, "rotary_dim 7; expected an even number from 2 to head_dim 128"),
        ({"rotary_dim": 130}, "rotary_dim 130; expected an even number"),
        ({"rotary_dim": 128}, r"sections \(3, 2, 2\) sum to 7; expected .* rotary_dim/2 = 64"),
        ({"sections": (9, -1, -1)}, "sum to 7"),
        ({"sections": (3, 3, 1)}, "expected as many h as w pairs"),
        ({"sections": (1, 3, 3), "order": "interleaved"}, "at least as many t as h pairs"),
        ({"kv_heads": 0}, r"\(2, 0\) heads; expected at least one of each"),
    ],
)
def test_an_impossible_shape_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        shape(**({"sections": (3, 2, 2)} | change))  # type: ignore[arg-type]
