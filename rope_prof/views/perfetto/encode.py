"""Protocol buffers' wire format, as far as tracks need it: numbers, texts and messages with their field's key.

By hand, since a trace has a packet for each event and the library takes several times as long to build one. Source:
protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

import numpy as np

_ALL: Final = (1 << 64) - 1
_VARINT, _FIXED, _BLOCK = 0, 1, 2


def varint(value: int) -> bytes:
    """Seven bits a byte, the low ones first; negative numbers as 64 bits of two's complement."""
    value &= _ALL
    if value < 0x80:
        return _ONE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80)) + _high(value >> 21)


_ONE: Final = [bytes([value]) for value in range(0x80)]


@cache
def _key(field: int, kind: int) -> bytes:
    return varint(field << 3 | kind)


@lru_cache(1 << 12)
def _high(value: int) -> bytes:
    """The high bits, which instants near each other share."""
    return varint(value)


@lru_cache(1 << 14)
def _small(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + varint(value)


def number(field: int, value: int) -> bytes:
    """An integer or enum."""
    if 0 <= value < 1 << 14:
        return _small(field, value)
    return _key(field, _VARINT) + varint(value)


def fixed(field: int, value: int) -> bytes:
    """An integer of 64 bits as it is."""
    return _key(field, _FIXED) + value.to_bytes(8, "little")


def double(field: int, value: float) -> bytes:
    """A floating-point number."""
    return _key(field, _FIXED) + struct.pack("<d", value)


def block(field: int, data: bytes) -> bytes:
    """A message or a text in UTF-8."""
    return head(field, len(data)) + data


@lru_cache(1 << 12)
def head(field: int, size: int) -> bytes:
    """What stands before so many bytes of a `block`."""
    return _key(field, _BLOCK) + varint(size)


def numbers(field: int, values: Sequence[int]) -> list[bytes]:
    """`number` of each value, which fits in 64 bits: all at once, since a trace has two instants for each slice."""
    left = np.array(values, np.int64).view(np.uint64)[:, np.newaxis]
    rest = left >> np.minimum(7 * np.arange(10), 63).astype(np.uint64)
    there = np.concatenate((np.ones_like(left), rest[:, 1:]), axis=1) != 0
    bits = (rest & np.uint64(0x7F)).astype(np.uint8)
    bits[:, :-1] |= there[:, 1:].astype(np.uint8) << 7
    ends = np.cumsum(there.sum(axis=1)).tolist()
    key, flat = _key(field, _VARINT), bits[there].tobytes()
    return [key + flat[begin:end] for begin, end in pairwise((0, *ends))]
