"""Sequences aligned: pairs rise, pair equal tokens, and are as many as the plain table of the textbook gives."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.diff.order import aligned

WORDS = st.text(alphabet="abcd", max_size=24)


def longest(left: str, right: str) -> int:
    row = [0] * (len(right) + 1)
    for token in left:
        before = row[:]
        for k, other in enumerate(right):
            row[k + 1] = before[k] + 1 if token == other else max(before[k + 1], row[k])
    return row[-1]


@settings(deadline=None)
@given(WORDS, WORDS)
def test_it_is_a_longest_common_subsequence(left: str, right: str) -> None:
    pairs = aligned(left, right)
    assert len(pairs) == longest(left, right)
    assert all(left[i] == right[j] for i, j in pairs)
    assert all(one[0] < two[0] and one[1] < two[1] for one, two in pairwise(pairs))


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(8, 32))
def test_windows_lose_nothing_of_sequences_that_are_alike(layers: int, window: int) -> None:
    left, right = "gxyzn" * layers, "gfn" * layers  # three in the middle of each layer became one
    pairs = aligned(left, right, window)
    assert sum(left[i] == "g" for i, _ in pairs) == sum(left[i] == "n" for i, _ in pairs) == layers
