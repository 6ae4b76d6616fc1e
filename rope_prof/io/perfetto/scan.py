"""All packets of a file as columns: events with their times, tracks and words, and the values of their arguments.

Nothing is looked up yet: names are numbers of words, times are those of their own clocks. `ordinal` is the number of a
packet in the file; what one packet says carries it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import Block, Bytes, Int64s, numbers
from rope_prof.io.perfetto.match import Matcher
from rope_prof.io.perfetto.notes import Notes
from rope_prof.io.perfetto.shapes import BLOB, DOUBLE, TEXT, ArgKey, Shape
from rope_prof.io.perfetto.texts import distinct

BEGIN, END = 1, 2
#: The values of an event; those of a render stage.
EVENT_FIELDS: Final = ("at", "track", "name_iid")
STAGE_FIELDS: Final = (
    *("at", "duration", "gpu", "queue_iid", "stage_iid", "kernel_iid", "name_iid", "context"),
    *(f"{side}_{dim}" for side in ("grid", "block") for dim in "xyz"),
)
#: Of packets that are read for their times alone, since the next packet's time may count from theirs.
OTHER_FIELDS: Final = ("at",)
#: Stands for a value that is not there.
ABSENT: Final = -(1 << 63)


@dataclass
class ScannedTable:
    """Columns of one kind of packet, in the file's order; `shape` numbers `Scan.shapes`."""

    ordinal: Int64s
    shape: npt.NDArray[np.int32]
    values: dict[str, Int64s]

    def __len__(self) -> int:
        return len(self.ordinal)


@dataclass(frozen=True, slots=True)
class ScannedArgument:
    """The values of one argument in some packets: numbers, or numbers of `Scan.texts`."""

    ordinal: Int64s
    values: npt.NDArray[Any]


@dataclass
class Scan:
    """What a file says, before anything is looked up."""

    shapes: list[Shape] = field(default_factory=list)
    texts: dict[bytes, int] = field(default_factory=dict)
    events: ScannedTable = field(default_factory=lambda: _table(EVENT_FIELDS, [], [], []))
    stages: ScannedTable = field(default_factory=lambda: _table(STAGE_FIELDS, [], [], []))
    others: ScannedTable = field(default_factory=lambda: _table(OTHER_FIELDS, [], [], []))
    args: dict[tuple[int, ArgKey], list[ScannedArgument]] = field(default_factory=lambda: defaultdict(list))
    names: list[ScannedArgument] = field(default_factory=list)  # written out, not as the number of a word
    stepped: set[int] = field(default_factory=set)  # sequences with defaults: each time there may count from the last
    rare: list[tuple[int, bytes]] = field(default_factory=list)
    resets: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    packets: int = 0
    counted: int = 0  # events and stages
    damaged: int = 0
    dropped: int = 0
    wanted: frozenset[str] | None = None  # the arguments that are read by their names; None: all

    def text_list(self) -> list[str]:
        return [text.decode("utf-8", errors="replace") for text in self.texts]


_Part = tuple[Int64s, npt.NDArray[np.int32], dict[str, Int64s]]
_WANTED: Final = {"events": EVENT_FIELDS, "stages": STAGE_FIELDS, "others": OTHER_FIELDS}


def scan(blocks: Iterable[Block], wanted: frozenset[str] | None = None) -> Scan:
    """Read all blocks. `wanted`: only the arguments of these names, as far as a name is known when its packets come."""
    found, matcher, notes = Scan(wanted=wanted), Matcher(), Notes(wanted)
    numbered: dict[int, int] = {}
    parts: dict[str, list[_Part]] = {kind: [] for kind in _WANTED}
    for block in _ahead(blocks):
        here: dict[str, list[tuple[Shape, Int64s, Int64s]]] = {kind: [] for kind in parts}
        for shape, rows in matcher.of(block):
            if id(shape) not in numbered:
                numbered[id(shape)] = len(found.shapes)
                found.shapes.append(shape)
            ordinals, starts = rows + block.first, block.starts[rows]
            told = _note(found, shape, ordinals, starts, block.lengths[rows], block.data)
            notes.learn(shape.sequence, told)
            table = "stages" if shape.stage else "events" if shape.kind in (BEGIN, END) else "others"
            here[table].append((shape, ordinals, starts))
        for shape, ordinals, starts in (*here["events"], *here["stages"]):
            _arguments(found, notes, shape, ordinals, starts, block.data)
        here["others"] = [one for one in here["others"] if one[0].sequence in found.stepped and "at" in one[0].values]
        for kind, fields in _WANTED.items():
            if here[kind]:
                parts[kind].append(_columns(here[kind], fields, numbered, block))
        found.packets += len(block.starts)
    for kind, fields in _WANTED.items():
        setattr(found, kind, _table(fields, *([part[k] for part in parts[kind]] for k in range(3))))  # type: ignore[arg-type]
    found.rare.sort(key=lambda packet: packet[0])
    for resets in found.resets.values():
        resets.sort()
    return found


def _ahead(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, the next one made by another thread while the one at hand is scanned."""
    each = iter(blocks)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, each, None)
        while (block := coming.result()) is not None:
            coming = pool.submit(next, each, None)
            yield block


def _note(found: Scan, shape: Shape, ordinals: Int64s, starts: Int64s, lengths: Int64s, data: Bytes) -> list[bytes]:
    """What a packet says beside its event; the packets that name things."""
    if shape.damaged:
        found.damaged += len(ordinals)
    if shape.dropped:
        found.dropped += len(ordinals)
    if shape.kind or shape.stage:
        found.counted += len(ordinals) if shape.kind != END else 0
    if shape.flags & 1:
        found.resets[shape.sequence] += ordinals.tolist()
    if shape.defaults:
        found.stepped.add(shape.sequence)
    if not shape.rare:
        return []
    places = zip(starts.tolist(), lengths.tolist(), strict=True)
    rare = [data[start : start + length].tobytes() for start, length in places]
    found.rare += zip(ordinals.tolist(), rare, strict=True)
    return rare


def _columns(
    here: list[tuple[Shape, Int64s, Int64s]], wanted: tuple[str, ...], numbered: dict[int, int], block: Block
) -> _Part:
    """One kind of packet of a block, in the file's order."""
    there = np.zeros(len(block.starts), bool)
    for _, ordinals, _ in here:
        there[ordinals - block.first] = True
    rank = np.cumsum(there, dtype=np.int64) - 1
    rows = [rank[ordinals - block.first] for _, ordinals, _ in here]
    shape = np.empty(np.count_nonzero(there), np.int32)
    for (one, _, _), row in zip(here, rows, strict=True):
        shape[row] = numbered[id(one)]
    values = {}
    for name in wanted:
        values[name] = np.full(len(shape), ABSENT, np.int64)
        by_length: dict[int, list[tuple[Int64s, Int64s]]] = defaultdict(list)
        for (one, _, starts), row in zip(here, rows, strict=True):
            if name in one.values:
                offset, length = one.values[name]
                by_length[length].append((row, starts + offset))
        for length, parts in by_length.items():
            row, places = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
            values[name][row] = numbers(block.data, places, length)
    return np.flatnonzero(there) + block.first, shape, values


def _arguments(found: Scan, notes: Notes, shape: Shape, ordinals: Int64s, starts: Int64s, data: Bytes) -> None:
    for offset, length in shape.texts.values():
        found.names.append(ScannedArgument(ordinals, _texts(found, data, starts + offset, length)))
    for key, offset, length in shape.args:
        if not notes.reads(shape.sequence, key[:2], found.resets):
            continue
        places = starts + offset
        values: npt.NDArray[Any]
        if key[2] in (TEXT, BLOB):
            values = _texts(found, data, places, length)
        elif key[2] == DOUBLE:
            values = np.ndarray((len(data) - 7,), np.dtype("<f8"), data, strides=(1,))[places]
        else:
            values = numbers(data, places, length)
        found.args[shape.sequence, key].append(ScannedArgument(ordinals, values))


def _texts(found: Scan, data: Bytes, places: Int64s, length: int) -> Int64s:
    """The numbers of the texts of that length at these places."""
    texts, which = distinct(data, places, length)
    known = [found.texts.setdefault(text, len(found.texts)) for text in texts]
    return np.array(known, np.int64)[which]


def _table(
    wanted: tuple[str, ...],
    ordinals: list[Int64s],
    shapes: list[npt.NDArray[np.int32]],
    values: list[dict[str, Int64s]],
) -> ScannedTable:
    empty = np.zeros(0, np.int64)
    return ScannedTable(
        np.concatenate([empty, *ordinals]),
        np.concatenate([empty.astype(np.int32), *shapes]),
        {name: np.concatenate([empty, *(one[name] for one in values)]) for name in wanted},
    )
