"""Which packet of a block has which shape: shapes that are known are found by comparison, new ones are walked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import Block, Int64s
from rope_prof.io.perfetto.shapes import Shape, shape_of

#: So many shapes of one length are told apart by comparison; what is none of them is walked packet by packet.
MOST_SHAPES: Final = 256
_WORD: Final = 8


class Matcher:
    """Keeps the shapes of a file by the length of their packets."""

    def __init__(self) -> None:
        self._known: dict[int, list[Shape]] = {}

    def of(self, block: Block) -> Iterator[tuple[Shape, Int64s]]:
        """(a shape, the packets of `block` that have it); each packet comes once, a shape can come more than once."""
        small = block.lengths.astype(np.uint16) if block.lengths.max(initial=0) < 1 << 16 else block.lengths
        order = np.argsort(small, kind="stable")
        lengths = block.lengths[order]
        edges = np.flatnonzero(np.diff(lengths)) + 1
        for rows in np.split(order, edges):
            length = int(block.lengths[rows[0]])
            yield from self._bucket(block, rows, length)

    def _bucket(self, block: Block, rows: Int64s, length: int) -> Iterator[tuple[Shape, Int64s]]:
        if not length:
            yield shape_of(b""), rows
            return
        width = -(-length // _WORD) * _WORD
        wide = np.ndarray((len(block.data) - width + 1,), f"V{width}", block.data, strides=(1,))
        images = wide[block.starts[rows]].view(np.uint64).reshape(len(rows), width // _WORD)
        known = self._known.setdefault(length, [])
        for shape in known:
            same = _alike(images, shape)
            if same.any():
                yield shape, rows[same]
                rows, images = rows[~same], images[~same]
            if not len(rows):
                return
        while len(rows):
            start = int(block.starts[rows[0]])
            shape = shape_of(block.data[start : start + length].tobytes())
            if len(known) >= MOST_SHAPES:
                yield shape, rows[:1]
                rows, images = rows[1:], images[1:]
                continue
            if not shape.damaged:
                known.append(shape)
            same = _alike(images, shape)
            yield shape, rows[same]
            rows, images = rows[~same], images[~same]


def _alike(images: npt.NDArray[np.uint64], shape: Shape) -> npt.NDArray[np.bool_]:
    same: npt.NDArray[np.bool_] = (images[:, 0] & shape.mask[0]) == shape.image[0]
    for k in range(1, len(shape.mask)):
        if shape.mask[k]:
            same &= (images[:, k] & shape.mask[k]) == shape.image[k]
    return same
