"""The packets of a native Perfetto file: where each begins and how long it is, some megabytes at a time.

A file is `Trace.packet` again and again: the byte 0x0A, a length, that many bytes. Packets packed inside one
(`compressed_packets`) are unpacked where they stand. Anything else ends the reading: what stands before it counts.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from rope_prof.errors import TraceError
from rope_prof.model.frozen import Frozen

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

#: So much is looked at together: the shapes of its packets are found once for all of it.
BLOCK_BYTES: Final = 16 << 20
#: So much where no shapes are looked for: it stays in a core's cache.
SMALL_BLOCK_BYTES: Final = 4 << 20
MOST_PACKET_BYTES: Final = 64 << 20
MOST_PACKED: Final = 4 << 30
_MOST_RATIO: Final = 400
#: Bytes behind the last packet, so that eight can be taken anywhere.
PAD: Final = 16
_PADDING: Final = bytes(PAD)
#: So much of a file is looked at to tell what it is; a first packet can be longer.
_HEAD: Final = 64 << 10
_PACKET_TAG: Final = 0x0A
#: Field 50 (`compressed_packets`) at the very start of a packet.
_PACKED_TAG: Final = b"\x92\x03"


class Block(Frozen):
    """`starts` and `lengths` of whole packets in `data`; the first of them is the file's packet number `first`."""

    data: Bytes
    starts: Int64s
    lengths: Int64s
    first: int


class Framed(Frozen):
    """`starts` and `lengths` of the whole packets that follow one another; `end`: where the last one ends.

    `packed`: whether one of them begins as packets packed inside one do; it can be yes where none does.
    """

    starts: Int64s
    lengths: Int64s
    end: int
    packed: bool


class PacketBlocks:
    """Iterate for the blocks; afterwards `broken` says why the reading ended early (None: it did not) and `packets`
    how many there were. `frame`: `framed`, or what gives the same."""

    def __init__(self, chunks: Iterator[bytes], source: str, frame: Callable[[bytes], Framed] | None = None) -> None:
        self._chunks = chunks
        self._frame = frame or framed
        self._block_bytes = BLOCK_BYTES if frame is None else SMALL_BLOCK_BYTES
        self._source = source
        self._inflated = 0
        self.broken: str | None = None
        self.cut_bytes = 0
        self.packets = 0

    def __iter__(self) -> Iterator[Block]:
        parts: list[bytes] = []
        size = rest = 0
        for chunk in self._chunks:
            parts.append(chunk)
            size += len(chunk)
            if size < self._block_bytes + rest:
                continue
            left = yield from self._take(b"".join((*parts, _PADDING)))
            parts, size, rest = [left], len(left), len(left)
            if self.broken is not None:
                return
        left = yield from self._take(b"".join((*parts, _PADDING)))
        self.cut_bytes = 0 if self.broken is not None else len(left)

    def _take(self, data: bytes) -> Generator[Block, None, bytes]:
        """Yield what is whole in `data`, which ends in padding; what is left of it."""
        found = self._frame(data)
        self.broken = _broken(data, found.end)
        yield from self._unpacked(data, found)
        left = data[found.end : -PAD]
        if len(left) > MOST_PACKET_BYTES:
            raise TraceError(
                f"{self._source!r} holds a packet of over {MOST_PACKET_BYTES >> 20} MiB, the limit; "
                "no profiler writes that"
            )
        return left

    def _unpacked(self, data: bytes, told: Framed, inside: bool = False) -> Iterator[Block]:
        """The block of `data`, cut where packets are packed inside one; inside those, none is packed again."""
        held, starts, lengths = np.frombuffer(data, np.uint8), told.starts, told.lengths
        begin = 0
        first = held[starts] == _PACKED_TAG[0] if not inside and told.packed else np.zeros(0, bool)
        for k in np.flatnonzero(first).tolist():
            if not data.startswith(_PACKED_TAG, starts[k]):
                continue
            yield from self._block(held, starts[begin:k], lengths[begin:k])
            inner = self._inflate(data[starts[k] : starts[k] + lengths[k]])
            begin = k + 1
            if inner is not None:
                found = self._frame(inner + _PADDING)
                broken = _broken(inner + _PADDING, found.end)
                if broken or found.end < len(inner):
                    self.broken = broken or "packed packets are cut"
                yield from self._unpacked(inner + _PADDING, found, inside=True)
        yield from self._block(held, starts[begin:], lengths[begin:])

    def _block(self, data: Bytes, starts: Int64s, lengths: Int64s) -> Iterator[Block]:
        if not len(starts):
            return
        first, self.packets = self.packets, self.packets + len(starts)
        yield Block(data, starts, lengths, first)

    def _inflate(self, packet: bytes) -> bytes | None:
        length, at = varint(packet, len(_PACKED_TAG))
        if at < 0 or at + length > len(packet):
            self.broken = "a packet of packed packets is damaged"
            return None
        engine = zlib.decompressobj()
        most = max(_MOST_RATIO * length, 1 << 20)
        try:
            inner = engine.decompress(packet[at : at + length], most + 1)
        except zlib.error as error:
            self.broken = f"packed packets are damaged ({error})"
            return None
        self._inflated += len(inner)
        if len(inner) > most or self._inflated > MOST_PACKED:
            raise TraceError(
                f"{self._source!r} holds packets that unpack to over {_MOST_RATIO} times their size or "
                f"{MOST_PACKED >> 30} GiB, the limits against bombs"
            )
        return inner


def _broken(data: bytes, end: int) -> str | None:
    """What stops the packets before the end of `data`: None where that is reached, or lies inside a packet."""
    if end == len(data) - PAD or data[end] == _PACKET_TAG:
        return None
    return f"byte {data[end]:#04x} where a packet begins"


def framed(data: bytes) -> Framed:
    """The packets from the beginning of `data` on, which ends in padding.

    Every byte that could be a tag is asked where the packet would end that it began; the chain from the first one is
    then followed in strides, so that a packet takes no step of Python.
    """
    end = len(data) - PAD
    held = np.frombuffer(data, np.uint8)
    tags = np.flatnonzero(held[:end] == _PACKET_TAG).astype(np.int32)
    none = np.zeros(0, np.int64)
    if not end or held[0] != _PACKET_TAG:
        return Framed(none, none, 0, packed=False)
    after = _behind(held, tags)
    number = np.empty(end + 1, np.int32)  # of the tag at a place, where there is one
    number[tags] = np.arange(len(tags), dtype=np.int32)
    goes_on = (after < end) & (held[np.minimum(after, end)] == _PACKET_TAG)
    last = np.int32(len(tags))
    following = np.append(np.where(goes_on, number[np.minimum(after, end)], last), last)
    chain = tags[_chained(following)].astype(np.int64)
    behind = int(after[number[chain[-1]]])
    if behind > end:  # it ends inside its last packet
        behind, chain = int(chain[-1]), chain[:-1]
    lengths, sizes = varints(held, chain + 1)
    return Framed(chain + 1 + sizes, lengths, behind, packed=_PACKED_TAG in data)


def _behind(held: Bytes, tags: npt.NDArray[np.int32]) -> Int64s:
    """Where the packet would end that each tag began; the last number of 64 bits for one whose length has no end."""
    first, second = held[tags + 1].astype(np.int64), held[tags + 2].astype(np.int64)
    two = first > 0x7F
    after: Int64s = tags.astype(np.int64) + np.where(two, 3 + (first & 0x7F) + (second << 7), 2 + first)
    long = np.flatnonzero(two & (second > 0x7F))
    if len(long):
        lengths, sizes = varints(held, tags[long] + np.int64(1))
        fits = (lengths >= 0) & (lengths < 1 << 40)
        after[long] = np.where(fits, tags[long] + 1 + sizes + np.where(fits, lengths, 0), np.iinfo(np.int64).max)
    return after


def _chained(following: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The numbers from 0 on, each followed by the one that `following` has for it, up to the last that has one."""
    none = len(following) - 1
    far, strides = following, 6
    for _ in range(strides):
        far = far[far]
    heads, at = [], 0
    while at != none:
        heads.append(at)
        at = int(far[at])
    rows = [np.array(heads, np.int32)]
    for _ in range((1 << strides) - 1):
        rows.append(following[rows[-1]])
    chain = np.stack(rows, axis=1).ravel()
    found: npt.NDArray[np.int32] = chain[chain != none]
    return found


def holds_packets(head: bytes) -> bool:
    """Whether a file that begins so is a native trace: packets of known wire types, one behind the other.

    Text can begin with the same byte, a blank line; what follows it chains to nothing.
    """
    if head[:1] != b"\x0a" or len(head) < 4:
        return False
    found = framed(head + _PADDING)
    first, start = varint(head, 1)
    tag = varint(head, start)[0] if start > 0 else 0
    if start < 0 or first < 2 or tag >> 3 == 0 or tag & 7 not in (0, 1, 2, 5):
        return False
    whole = len(found.starts)
    return whole > 2 if _broken(head + _PADDING, found.end) else whole > 0 or len(head) >= _HEAD


def varint(data: bytes, at: int) -> tuple[int, int]:
    """(the number at `at`, where what follows it begins); -1 for the second where it has no end."""
    value = shift = 0
    for place in range(at, min(at + 10, len(data))):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    return value, -1


def varints(data: Bytes, at: Int64s) -> tuple[Int64s, Int64s]:
    """(the numbers at these places, how many bytes each takes), all at once; eight bytes of `data` follow each place.

    A number without an end within ten bytes is what its ten bytes say.
    """
    words = np.ndarray((len(data) - 7,), np.dtype("<u8"), data, strides=(1,))
    raw = words[at]
    ends = ~raw & np.uint64(0x8080808080808080)
    last = ends & (~ends + np.uint64(1))  # the lowest: the top bit of the number's last byte
    value = raw & (last - np.uint64(1)) & np.uint64(0x7F7F7F7F7F7F7F7F)
    for low, high, shift in _FOLDS:
        value = (value & low) | ((value & high) >> shift)
    sizes = _SIZES[(last % np.uint64(_SIZE_OF)).astype(np.int64)]
    long = np.flatnonzero(ends == 0)
    if len(long):
        ninth, tenth = (data[at[long] + k].astype(np.uint64) for k in (8, 9))
        goes_on = ninth > 0x7F
        value[long] |= (ninth & np.uint64(0x7F)) << np.uint64(56)
        value[long] |= np.where(goes_on, (tenth & np.uint64(1)) << np.uint64(63), np.uint64(0))
        sizes[long] = np.where(goes_on, 10, 9)
    return value.view(np.int64), sizes


def numbers(data: Bytes, at: Int64s, length: int) -> Int64s:
    """The numbers at these places, which all take `length` bytes: no looking for their ends."""
    if length > _WORD:
        return varints(data, at)[0]
    if length == 1:
        return data[at].astype(np.int64)
    value = np.ndarray((len(data) - _WORD + 1,), np.dtype("<u8"), data, strides=(1,))[at]
    value &= np.uint64(0x7F7F7F7F7F7F7F7F & ((1 << 8 * length) - 1))
    for (low, high, shift), most in zip(_FOLDS, (1, 2, 4), strict=True):
        if length > most:
            moved = value & high
            moved >>= shift
            value &= low
            value |= moved
    return value.view(np.int64)


_WORD: Final = 8
#: Seven bits of each byte moved together: pairs, fours, eights.
_FOLDS: Final = tuple(
    (np.uint64(low), np.uint64(high), np.uint64(shift))
    for low, high, shift in (
        (0x007F007F007F007F, 0x7F007F007F007F00, 1),
        (0x00003FFF00003FFF, 0x3FFF00003FFF0000, 2),
        (0x000000000FFFFFFF, 0x0FFFFFFF00000000, 4),
    )
)
#: The top bit of the k-th byte modulo this prime tells k: no two of the eight powers are alike.
_SIZE_OF: Final = 19
_SIZES: Final = np.zeros(_SIZE_OF, np.int64)
_SIZES[[(1 << (8 * k + 7)) % _SIZE_OF for k in range(8)]] = range(1, 9)
