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

from rope_prof.io.perfetto.blocks import Block, Bytes, Int64s, varints
from rope_prof.io.perfetto.match import Matcher
from rope_prof.io.perfetto.shapes import BLOB, DOUBLE, TEXT, ArgKey, Shape

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

    def text_list(self) -> list[str]:
        return [text.decode("utf-8", errors="replace") for text in self.texts]


_Part = tuple[Int64s, npt.NDArray[np.int32], dict[str, Int64s]]
_WANTED: Final = {"events": EVENT_FIELDS, "stages": STAGE_FIELDS, "others": OTHER_FIELDS}


def scan(blocks: Iterable[Block]) -> Scan:
    """Read all blocks."""
    found, matcher = Scan(), Matcher()
    numbers: dict[int, int] = {}
    parts: dict[str, list[_Part]] = {"events": [], "stages": [], "others": []}
    for block in _ahead(blocks):
        here: dict[str, list[tuple[Shape, Int64s, Int64s]]] = {kind: [] for kind in parts}
        for shape, rows in matcher.of(block):
            if id(shape) not in numbers:
                numbers[id(shape)] = len(found.shapes)
                found.shapes.append(shape)
            ordinals, starts = rows + block.first, block.starts[rows]
            _note(found, shape, ordinals, starts, block.lengths[rows], block.data)
            table = "stages" if shape.stage else "events" if shape.kind in (BEGIN, END) else "others"
            here[table].append((shape, ordinals, starts))
            if table != "others":
                _arguments(found, shape, ordinals, starts, block.data)
        here["others"] = [one for one in here["others"] if one[0].sequence in found.stepped and "at" in one[0].values]
        for kind, wanted in _WANTED.items():
            if here[kind]:
                parts[kind].append(_columns(here[kind], wanted, numbers, block.data))
        found.packets += len(block.starts)
    for kind, wanted in _WANTED.items():
        setattr(found, kind, _joined(wanted, parts[kind]))
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


def _note(found: Scan, shape: Shape, ordinals: Int64s, starts: Int64s, lengths: Int64s, data: Bytes) -> None:
    """What a packet says beside its event."""
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
    if shape.rare:
        rows = zip(ordinals.tolist(), starts.tolist(), lengths.tolist(), strict=True)
        found.rare += ((number, data[start : start + length].tobytes()) for number, start, length in rows)


def _columns(
    here: list[tuple[Shape, Int64s, Int64s]], wanted: tuple[str, ...], numbers: dict[int, int], data: Bytes
) -> _Part:
    ordinal = np.concatenate([ordinals for _, ordinals, _ in here])
    shape = np.concatenate([np.full(len(rows), numbers[id(one)], np.int32) for one, rows, _ in here])
    values = {}
    for name in wanted:
        places = [
            starts + one.values[name] if name in one.values else np.full(len(starts), -1) for one, _, starts in here
        ]
        values[name] = _read(data, np.concatenate(places))
    return ordinal, shape, values


def _read(data: Bytes, places: Int64s) -> Int64s:
    there = places >= 0
    if there.all():
        return varints(data, places)[0]
    out = np.full(len(places), ABSENT, np.int64)
    if there.any():
        out[there] = varints(data, places[there])[0]
    return out


def _arguments(found: Scan, shape: Shape, ordinals: Int64s, starts: Int64s, data: Bytes) -> None:
    for offset, length in shape.texts.values():
        found.names.append(ScannedArgument(ordinals, _texts(found, data, starts + offset, length)))
    for key, offset, length in shape.args:
        places = starts + offset
        values: npt.NDArray[Any]
        if key[2] in (TEXT, BLOB):
            values = _texts(found, data, places, length)
        elif key[2] == DOUBLE:
            values = np.ndarray((len(data) - 7,), np.dtype("<f8"), data, strides=(1,))[places]
        else:
            values = varints(data, places)[0]
        found.args[shape.sequence, key].append(ScannedArgument(ordinals, values))


def _texts(found: Scan, data: Bytes, places: Int64s, length: int) -> Int64s:
    """The numbers of the texts of that length at these places; each distinct one is looked at once."""
    if not length:
        return np.full(len(places), found.texts.setdefault(b"", len(found.texts)))
    taken = np.ndarray((len(data) - length + 1,), f"S{length}", data, strides=(1,))[places]
    each, which = np.unique(taken, return_inverse=True)
    known = [found.texts.setdefault(text, len(found.texts)) for text in each.tolist()]
    return np.array(known, np.int64)[which]


def _joined(wanted: tuple[str, ...], parts: list[_Part]) -> ScannedTable:
    """All blocks as one, in the file's order."""
    table = _table(wanted, *([part[k] for part in parts] for k in range(3)))  # type: ignore[arg-type]
    if not len(table):
        return table
    where = np.full(int(table.ordinal.max()) + 1, -1, np.int64)
    where[table.ordinal] = np.arange(len(table))
    order = where[where >= 0]
    return ScannedTable(table.ordinal[order], table.shape[order], {k: v[order] for k, v in table.values.items()})


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
