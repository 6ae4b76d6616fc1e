"""Laws of repeated words: planted ones are found whole, chance is not, and loops give their turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.repeats import BREAK, find_repeats

WORD = (0, 5, 5, 2, 1, 1, 1, 1, 4, 3, 6, 2, 1, 1, 1, 1, 4, 3, 6, 2)


def _planted(
    rng: np.random.Generator, word: Sequence[int], times: int, filler: int
) -> tuple[np.ndarray, tuple[int, ...]]:
    parts: list[np.ndarray] = []
    starts = []
    at = 0
    for _ in range(times):
        between = rng.integers(0, filler, rng.integers(1, 15))
        starts.append(at + between.size)
        parts += [between, np.array(word)]
        at += between.size + len(word)
    return np.concatenate([*parts, rng.integers(0, filler, 3)]), tuple(starts)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(16, 40), st.integers(5, 40))
def test_a_planted_word_is_found_at_its_boundaries(seed: int, times: int, filler: int) -> None:
    text, starts = _planted(np.random.default_rng(seed), WORD, times, filler)
    first = find_repeats(text)[0]
    assert first.word == WORD
    assert first.starts == starts


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("filler", [3, 9, 30])
def test_a_word_planted_often_is_found_to_the_symbol(seed: int, filler: int) -> None:
    text, starts = _planted(np.random.default_rng(seed), WORD, 40, filler)
    first = find_repeats(text)[0]
    assert first.word == WORD
    assert first.starts == starts


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("size", "alphabet"), [(200, 2), (500, 3), (2000, 5), (5000, 12), (3000, 200)])
def test_chance_is_no_repeat(seed: int, size: int, alphabet: int) -> None:
    assert find_repeats(np.random.default_rng(seed).integers(0, alphabet, size)) == ()


@pytest.mark.parametrize("seed", range(6))
def test_chance_between_breaks_is_no_repeat(seed: int) -> None:
    text = np.random.default_rng(seed).integers(-1, 6, 3000)
    assert find_repeats(text) == ()


@pytest.mark.parametrize("turns", [3, 4, 28, 100])
def test_a_loop_gives_one_turn(turns: int) -> None:
    (only,) = find_repeats(np.tile(np.array(WORD), turns))
    assert only.word == WORD
    assert only.starts == tuple(range(0, turns * len(WORD), len(WORD)))


def test_a_loop_cut_off_at_its_ends_turns_where_the_host_pauses() -> None:
    text = np.concatenate([WORD[13:], np.tile(WORD, 9), WORD[:4]])
    gap = np.where((np.arange(text.size) - 7) % len(WORD) == 0, 90, 10)
    (only,) = find_repeats(text, host_gap=gap)
    assert only.word == WORD
    assert only.starts[0] == 7


def test_a_loop_between_other_words_gives_one_turn() -> None:
    rng = np.random.default_rng(0)
    step = np.concatenate([np.tile(WORD, 28), rng.integers(0, 7, 30)])
    first = find_repeats(np.tile(step, 10))[0]
    assert first.word == WORD
    assert len(first.starts) == 280


def test_no_word_reaches_over_a_break() -> None:
    text = np.tile(np.array([0, 1, 2, BREAK, 3, 4, BREAK]), 30)
    found = find_repeats(text)
    assert {repeat.word for repeat in found} == {(0, 1, 2), (3, 4)}
    assert {len(repeat.starts) for repeat in found} == {30}


@settings(max_examples=60)
@given(st.lists(st.integers(-1, 4), max_size=80), st.integers(1, 4))
def test_places_hold_their_word_and_share_nothing(symbols: list[int], copies: int) -> None:
    text = np.array(symbols * copies, dtype=np.int64)
    taken: set[int] = set()
    for repeat in find_repeats(text):
        assert len(repeat.word) >= 2
        assert len(repeat.starts) >= 2
        assert BREAK not in repeat.word
        for start in repeat.starts:
            assert tuple(text[start : start + len(repeat.word)].tolist()) == repeat.word
            places = set(range(start, start + len(repeat.word)))
            assert not places & taken
            taken |= places


@pytest.mark.parametrize("text", [[], [BREAK], [3], [3, BREAK, 3], [1, 1, 1, 1]])
def test_nothing_to_repeat(text: list[int]) -> None:
    assert find_repeats(np.array(text, dtype=np.int64)) == ()
