"""Positions of prompts with images, strided views of a packed qkv, the table of angles."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rope_prof.kernels.mrope.inputs import (
    PROMPTS,
    cos_sin_cache,
    make_inputs,
    make_ring,
    prompt_positions,
    segments_positions,
    touched_bytes,
)
from rope_prof.kernels.mrope.shape import ERNIE_28B, MropeShape

SMALL = MropeShape(model="small", q_heads=3, kv_heads=2, hidden=384, layers=1, max_position=4096)

segment = st.one_of(st.integers(0, 9), st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5)))


def test_text_image_text_by_hand() -> None:
    rows = segments_positions([2, (1, 2, 3), 1])
    assert rows.tolist() == [
        [0, 1, 2, 2, 2, 2, 2, 2, 5],
        [0, 1, 2, 2, 2, 3, 3, 3, 5],
        [0, 1, 2, 3, 4, 2, 3, 4, 5],
    ]


def test_each_frame_of_a_video_adds_one_to_t() -> None:
    assert segments_positions([1, (2, 1, 2), 1]).tolist() == [
        [0, 1, 1, 2, 2, 3],
        [0, 1, 1, 1, 1, 3],
        [0, 1, 2, 1, 2, 3],
    ]


@given(st.lists(segment, max_size=6))
def test_a_segment_starts_one_past_the_largest_so_far(segments: list[int | tuple[int, int, int]]) -> None:
    rows, start, at = segments_positions(segments), 0, 0
    for part in segments:
        length = part if isinstance(part, int) else math.prod(part)
        if length:
            assert rows[:, at].tolist() == [start] * 3
            start, at = int(rows[:, at : at + length].max()) + 1, at + length
    assert rows.shape == (3, at) and rows.dtype == torch.int64
    assert not at or int(rows.max()) < at


@settings(max_examples=60)
@given(tokens=st.integers(0, 3000))
def test_positions_of_a_prompt_stay_below_its_length(tokens: int) -> None:
    for prompt in ("image", "text"):
        rows = prompt_positions(ERNIE_28B, tokens, prompt)
        assert rows.shape == (3, tokens) and rows.dtype == torch.int64
        if tokens > 1:
            assert int(rows.min()) >= 0 and int(rows.max()) < tokens


@given(tokens=st.integers(0, 200))
def test_text_has_three_equal_rows(tokens: int) -> None:
    rows = prompt_positions(SMALL, tokens, "text")
    assert torch.equal(rows, torch.arange(tokens).expand(3, -1))


def test_973_tokens_hold_an_image_between_text() -> None:
    t, h, w = prompt_positions(ERNIE_28B, 973, "image")
    image = (t != h) | (t != w)
    assert 500 < int(image.sum()) < 973
    assert not image[0] and not image[-1]
    assert (t[1:] < t[:-1]).sum() == 0 and (w[1:] < w[:-1]).any()


@pytest.mark.parametrize("tokens", [1, 64, 973])
def test_the_three_rows_of_an_image_prompt_differ(tokens: int) -> None:
    t, h, w = prompt_positions(ERNIE_28B, tokens, "image")
    assert not torch.equal(t, h) and not torch.equal(t, w) and not torch.equal(h, w)


def test_random_rows_reach_over_the_whole_table_and_repeat_with_their_seed() -> None:
    rows = prompt_positions(SMALL, 5000, "random", seed=3)
    assert 0 <= int(rows.min()) < 40 and SMALL.max_position - 40 < int(rows.max()) < SMALL.max_position
    assert torch.equal(rows, prompt_positions(SMALL, 5000, "random", seed=3))
    assert not torch.equal(rows, prompt_positions(SMALL, 5000, "random", seed=4))


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("tokens", [0, 1, 17])
def test_q_and_k_are_views_of_one_packed_row(tokens: int, prompt: str) -> None:
    x = make_inputs(SMALL, tokens, torch.float32, prompt=prompt)  # type: ignore[arg-type]
    assert x.qkv.shape == (tokens, (3 + 2 * 2) * 128)
    assert x.q.shape == (tokens, 3 * 128) and x.k.shape == (tokens, 2 * 128) and x.positions.shape == (3, tokens)
    assert x.q.stride() == x.k.stride() == x.qkv.stride()
    assert x.k.data_ptr() - x.q.data_ptr() == (3 * 128 * 4 if tokens else 0)


def test_the_buffers_of_a_ring_share_positions_and_table_but_no_memory() -> None:
    ring = make_ring(SMALL, 5, 3, torch.bfloat16)
    assert {x.positions.data_ptr() for x in ring} == {ring[0].positions.data_ptr()}
    assert {x.cos_sin_cache.data_ptr() for x in ring} == {ring[0].cos_sin_cache.data_ptr()}
    starts = [x.qkv.data_ptr() for x in ring]
    assert [b - a for a, b in pairwise(starts)] == [ring[0].qkv.nbytes] * 2
    assert not torch.equal(ring[0].qkv, ring[1].qkv)
    assert touched_bytes(SMALL, 5, torch.bfloat16) == ring[0].q.nbytes + ring[0].k.nbytes


def test_the_table_is_the_float64_angles_rounded_once() -> None:
    table = cos_sin_cache(SMALL)
    assert table.shape == (4096, 128) and table.dtype == torch.float32 and table.is_contiguous()
    for position, pair in [(0, 0), (1, 0), (4095, 0), (4095, 1), (1234, 37), (4095, 63)]:
        angle = position * 500_000.0 ** (-2 * pair / 128)
        for lane, value in ((pair, math.cos(angle)), (64 + pair, math.sin(angle))):
            assert abs(float(table[position, lane]) - value) <= 2**-24
