"""All packets of a file as columns (`scanned`): by compiled functions where they are, else shape by shape.

Shapes that are known are found by comparison, and the values of all packets of a shape are read at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import Block, Bytes, Int64s, numbers
from rope_prof.io.perfetto.compiled import CompiledScan
from rope_prof.io.perfetto.match import Matcher
from rope_prof.io.perfetto.notes import Notes
from rope_prof.io.perfetto.scanned import ABSENT, BEGIN, END, TABLES, Part, Scan, ScannedArgument, table_of
from rope_prof.io.perfetto.shapes import BLOB, DOUBLE, TEXT, Shape
from rope_prof.io.perfetto.texts import distinct


def scan(
    blocks: Iterable[Block],
    wanted: frozenset[str] | None = None,
    only: Callable[[bytes], frozenset[int] | None] = lambda _: None,
) -> Scan:
    """Read all blocks. `wanted`: only the arguments of these names, as far as a name is known when its packets come.

    `only`: asked with each packet that names things until it tells of which tracks events are asked for; those of
    others can be there too.
    """
    found, notes = Scan(wanted=wanted), Notes(wanted)
    compiled, shapes = CompiledScan(found, notes, only), _ShapeScan(found, notes)
    parts: dict[str, list[Part]] = {table: [] for table in TABLES}
    for block in _ahead(blocks):
        told = compiled.read(block)
        for table, part in (shapes.read(block) if told is None else told).items():
            parts[table].append(part)
        found.packets += len(block.starts)
    for table, fields in TABLES.items():
        setattr(found, table, table_of(fields, *([part[k] for part in parts[table]] for k in range(3))))  # type: ignore[arg-type]
    found.rare.sort(key=lambda packet: packet[0])
    for resets in found.resets.values():
        resets.sort()
    return found


@dataclass
class _ShapeScan:
    """Reads blocks into `found`, shape by shape."""

    found: Scan
    notes: Notes
    _matcher: Matcher = field(default_factory=Matcher)
    _numbered: dict[int, int] = field(default_factory=dict)

    def read(self, block: Block) -> dict[str, Part]:
        """The rows of a block by their table."""
        found, numbered = self.found, self._numbered
        here: dict[str, list[tuple[Shape, Int64s, Int64s]]] = {table: [] for table in TABLES}
        for shape, rows in self._matcher.of(block):
            if id(shape) not in numbered:
                numbered[id(shape)] = len(found.shapes)
                found.shapes.append(shape)
            ordinals, starts = rows + block.first, block.starts[rows]
            told = _note(found, shape, ordinals, starts, block.lengths[rows], block.data)
            self.notes.learn(shape.sequence, told)
            table = "stages" if shape.stage else "events" if shape.kind in (BEGIN, END) else "others"
            here[table].append((shape, ordinals, starts))
        for shape, ordinals, starts in (*here["events"], *here["stages"]):
            _arguments(found, self.notes, shape, ordinals, starts, block.data)
        others, here["others"] = here["others"], []
        for shape, ordinals, starts in others:
            stepped = found.steps(shape.sequence, ordinals)
            if "at" in shape.values and stepped.any():
                here["others"].append((shape, ordinals[stepped], starts[stepped]))
        return {table: _columns(rows, TABLES[table], numbered, block) for table, rows in here.items() if rows}


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
        found.step(shape.sequence, int(ordinals.min()))
    if not shape.rare:
        return []
    places = zip(starts.tolist(), lengths.tolist(), strict=True)
    rare = [data[start : start + length].tobytes() for start, length in places]
    found.rare += zip(ordinals.tolist(), rare, strict=True)
    return rare


def _columns(
    here: list[tuple[Shape, Int64s, Int64s]], wanted: tuple[str, ...], numbered: dict[int, int], block: Block
) -> Part:
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
