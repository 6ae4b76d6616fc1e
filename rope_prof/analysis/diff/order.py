"""Two sequences aligned: the longest one that both hold in this order, found bit by bit (Hyyrö 2004) in windows.

Knows tokens that can be told apart; knows no kernel, no time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

#: So many tokens of each side are aligned at a time: its table is a bit a pair, 8 MiB.
WINDOW: Final = 8192


def aligned(left: Sequence[Hashable], right: Sequence[Hashable], window: int = WINDOW) -> list[tuple[int, int]]:
    """Pairs of places of equal tokens, rising on both sides, as many as there can be inside a window.

    Of longer sequences the pairs of the first three quarters of a window stand, and the next begins behind them.
    """
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(left) and j < len(right):
        last = len(left) - i <= window and len(right) - j <= window
        pairs = _longest(left[i : i + window], right[j : j + window])
        if not last:
            pairs = [pair for pair in pairs if max(pair) < window * 3 // 4]
        found += [(i + one, j + other) for one, other in pairs]
        if last:
            break
        i, j = (found[-1][0] + 1, found[-1][1] + 1) if pairs else (i + window // 2, j + window // 2)
    return found


def _longest(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Bit `j` of the table's row `k` is 0 where `left[:k + 1]` shares more with `right[:j + 1]` than with one less."""
    places: dict[Hashable, int] = {}
    for place, token in enumerate(right):
        places[token] = places.get(token, 0) | 1 << place
    full = row = (1 << len(right)) - 1
    rows = []
    for token in left:
        hit = row & places.get(token, 0)
        row = ((row + hit) | (row - hit)) & full
        rows.append(row)
    pairs = []
    i, j = len(left), len(right)
    while i and j:
        if rows[i - 1] >> (j - 1) & 1:
            j -= 1
            continue
        i -= 1
        if i and not rows[i - 1] >> (j - 1) & 1:  # the row above has it too: this token is not needed
            continue
        j -= 1
        pairs.append((i, j))
    return pairs[::-1]
