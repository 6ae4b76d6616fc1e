"""The distinct texts among many of one length, each looked at once."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import Bytes, Int64s

_WORD: Final = 8
#: An odd number that spreads the bits of each word over all 64.
SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
#: Arguments repeat a few texts: so many are looked for by comparison before the rest is sorted.
_FEW: Final = 8


def distinct(data: Bytes, places: Int64s, length: int) -> tuple[list[bytes], Int64s]:
    """(the distinct texts of that length at these places of `data`, the number of each place's)."""
    if not length:
        return [b""], np.zeros(len(places), np.int64)
    words = _words(data, places, length)
    mixed = words[0]
    for word in words[1:]:
        mixed = (mixed ^ (mixed >> np.uint64(29))) * SPREAD + word
    first, which = _numbered(mixed)
    if any((word[first][which] != word).any() for word in words):  # two texts of one sum
        taken = np.ndarray((len(data) - length + 1,), f"S{length}", data, strides=(1,))[places]
        each, which = np.unique(taken, return_inverse=True)
        return [text.ljust(length, b"\0") for text in each.tolist()], which
    starts = places[first].tolist()
    return [data[start : start + length].tobytes() for start in starts], which


def _words(data: Bytes, places: Int64s, length: int) -> list[npt.NDArray[np.uint64]]:
    """The texts as words of eight bytes; `data` goes on for eight bytes behind the last of them."""
    every = np.ndarray((len(data) - _WORD + 1,), np.dtype("<u8"), data, strides=(1,))
    words = [every[places + at] for at in range(0, length, _WORD)]
    spare = -length % _WORD
    words[-1] &= np.uint64((1 << 8 * (_WORD - spare)) - 1)
    return words


def _numbered(values: npt.NDArray[np.uint64]) -> tuple[Int64s, Int64s]:
    """(a row of each distinct value, the number of each row's value)."""
    which = np.zeros(len(values), np.int64)
    rest = np.arange(len(values))
    firsts: list[int] = []
    while len(rest) and len(firsts) < _FEW:
        one = int(rest[0])
        same = values[rest] == values[one]
        which[rest[same]] = len(firsts)
        firsts.append(one)
        rest = rest[~same]
    if not len(rest):
        return np.array(firsts, np.int64), which
    each, numbers = np.unique(values[rest], return_inverse=True)
    some = np.empty(len(each), np.int64)
    some[numbers] = rest
    which[rest] = numbers + len(firsts)
    return np.concatenate([np.array(firsts, np.int64), some]), which
