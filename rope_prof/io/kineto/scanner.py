"""The same columns as `columns`, by a compiled scan (scan.c) where there is one (`io.compiled`).

What it does not take (see scan.c), and everything where there is no compiler, is read in Python; which of the two
reads a piece changes no figure.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.io.compiled import CompiledSource
from rope_prof.io.kineto.categories import FRAMES, READ
from rope_prof.io.kineto.columns import (
    COUNTED,
    Columns,
    Numbered,
    copy_named,
    device_text,
    read_columns,
    shape,
    text_of,
)

Int64s = npt.NDArray[np.int64]

SOURCE: Final = CompiledSource(Path(__file__).with_name("scan.c"))
#: Columns of scan.c, in its order.
_COLUMNS: Final = (
    *("category", "name", "start", "dur", "pid", "tid", "device", "stream", "correlation", "external", "external_2021"),
    *("registers", "shared", "graph", "graph_node", "bytes", "sequence", "forward_thread"),
    *("copy_kind", "source", "target", "collective", "group", "grid", "block", "dims", "types"),
)
_NONE: Final = np.iinfo(np.int64).min
#: An event that is read takes more text than this; where one does not, the piece is read in Python.
_LEAST_BYTES: Final = 64
_TOLD: Final = ("events", "texts", "tail", "window_end", "window_end_ns", "decimals")


def columns_of(text: bytes, last: bool, room: Room | None = None) -> Columns:
    """`columns.read_columns`, by the scan where it takes the piece."""
    if SOURCE.function("scan") is None:
        SOURCE.missed.append(len(text))
    return scanned(text, last, room) or read_columns(text, last)


class Room:
    """Where the scan writes the columns of a piece; one for all pieces of a file, which the next piece overwrites."""

    def __init__(self) -> None:
        self._cells = np.empty(0, np.int64)

    def of(self, cells: int) -> Int64s:
        """So many cells."""
        if len(self._cells) < cells:
            self._cells = np.empty(cells, np.int64)
        return self._cells[:cells]


def scanned(text: bytes, last: bool, room: Room | None = None) -> Columns | None:
    """The columns of a piece of the event array; None where the scan does not take it, or there is none."""
    scan = SOURCE.function("scan")
    if scan is None or not _is_utf8(text):
        return None
    most = len(text) // _LEAST_BYTES + 1
    most_texts = 2 * most
    slots = 1 << (2 * most_texts).bit_length()
    cells = (room or Room()).of((len(_COLUMNS) + 4) * most)
    columns = cells[: len(_COLUMNS) * most].reshape(len(_COLUMNS), most)
    texts = cells[len(_COLUMNS) * most :].reshape(2, most_texts)
    table, told = np.zeros(slots, np.int32), np.zeros(len(_TOLD), np.int64)
    rows = scan(
        *(text, ctypes.c_int64(len(text)), ctypes.c_int64(last), _KNOWN, ctypes.c_int64(_PYTHON)),
        *(columns.ctypes, ctypes.c_int64(most), texts[0].ctypes, texts[1].ctypes, ctypes.c_int64(most_texts)),
        *(table.ctypes, ctypes.c_int64(slots), told.ctypes),
    )
    if rows < 0:
        return None
    facts = dict(zip(_TOLD, told.tolist(), strict=True))
    spans = texts[:, : facts["texts"]].tolist()
    found = _Scanned(
        dict(zip(_COLUMNS, columns[:, :rows], strict=True)),
        [text[at : at + size] for at, size in zip(*spans, strict=True)],
    )
    return Columns(
        frames=found.frames(),
        texts=found.names.series(),
        events=facts["events"],
        counts=dict.fromkeys(COUNTED, 0),
        proofs={},
        whole_us=not facts["decimals"],
        window_end=bool(facts["window_end"]),
        window_end_ns=facts["window_end_ns"] if facts["window_end"] else None,
        tail=text[facts["tail"] :] if last else None,
    )


_KNOWN: Final = b"".join(bytes([len(category)]) + category.encode() for category in READ) + b"\0"
_FRAME_OF: Final = np.array([FRAMES.index(frame) for frame, _ in READ.values()])
_PYTHON: Final = list(READ).index("python_function")


def _is_utf8(text: bytes) -> bool:
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError:
            return False
    return True


class _Scanned:
    """What scan.c gave of one piece: its columns, and its texts as they stand in the file."""

    def __init__(self, columns: dict[str, Int64s], texts: list[bytes]) -> None:
        self._columns = columns
        self._texts = texts
        self.names = Numbered()

    def frames(self) -> dict[str, pl.DataFrame]:
        """As `Columns.frames`."""
        frame = _FRAME_OF[self._columns["category"]]
        found = {}
        for number, name in enumerate(FRAMES):
            rows = np.flatnonzero(frame == number)
            if len(rows):
                found[name] = pl.DataFrame(self._frame(name, rows))
        return found

    def _frame(self, frame: str, rows: Int64s) -> list[pl.Series]:
        """The columns that `columns.read_columns` gives, in its order."""
        thread = self._ints("thread", "tid", rows)
        found = [
            pl.Series("name", self._names(rows), dtype=pl.UInt32),
            *(pl.Series(f"{name}_ns", self._columns[name][rows]) for name in ("start", "dur")),
        ]
        if frame == "gpu":
            return [*found, *self._gpu(rows, thread), self._kinds("kind", rows)]
        found += [self._ints("process", "pid", rows), thread]
        if frame == "call":
            found += [self._ints("correlation", "correlation", rows), self._kinds("api", rows)]
        elif frame == "op":
            found += [self._external(rows), *(self._ints(name, name, rows) for name in ("sequence", "forward_thread"))]
            found += [self._told(name, field, rows, text_of) for name, field in _OP_TEXTS]
        return found

    def _gpu(self, rows: Int64s, thread: pl.Series) -> list[pl.Series]:
        device, owner = self._columns["device"][rows], self._columns["pid"][rows]
        stream = self._ints("stream", "stream", rows)
        return [
            self._numbers("device", np.where(device == _NONE, owner, device)),
            pl.Series("owner", owner),
            self._numbers("owner_text", owner),
            stream.fill_null(thread) if stream.null_count() else stream,
            self._external(rows),
            *(self._ints(name, name, rows, 0) for name in ("correlation", "graph", "graph_node")),
            *(self._ints(name, field, rows) for name, field in _GPU_INTS),
            *(self._told(name, name, rows, _plain) for name in ("collective", "group")),
            *(self._told(name, name, rows, shape) for name in ("grid", "block")),
        ]

    def _ints(self, name: str, field: str, rows: Int64s, none: int = _NONE) -> pl.Series:
        """The integers of a field; null where there is none, or `none` stands."""
        values = self._columns[field][rows]
        without = (values == _NONE) | (values == none)
        if without.all():
            return pl.Series(name, [None], dtype=pl.Int64).new_from_index(0, len(rows))
        series = pl.Series(name, values)
        return series.set(pl.Series(without), None) if without.any() else series

    def _external(self, rows: Int64s) -> pl.Series:
        new, old = (self._columns[name][rows] for name in ("external", "external_2021"))
        values = np.where(new == _NONE, old, new)
        series = pl.Series("external", values)
        return series.set(pl.Series(values == _NONE), None) if np.any(values == _NONE) else series

    def _numbers(self, name: str, values: Int64s) -> pl.Series:
        distinct, which = np.unique(values, return_inverse=True)
        known = np.array([self.names[device_text(value)] for value in distinct.tolist()], np.uint32)
        return pl.Series(name, known[which])

    def _told(self, name: str, field: str, rows: Int64s, tell: Callable[[bytes], str | None]) -> pl.Series:
        """A column of texts, `tell` asked once for each distinct one."""
        return pl.Series(name, self._numbered(self._columns[field][rows], tell))

    def _numbered(self, which: Int64s, tell: Callable[[bytes], str | None]) -> npt.NDArray[np.uint32]:
        used = np.zeros(len(self._texts) + 1, np.bool_)
        places = np.where(which == _NONE, len(self._texts), which)
        used[places] = True
        known = np.zeros(len(used), np.uint32)
        for place in np.flatnonzero(used).tolist():
            known[place] = self.names[tell(self._texts[place]) if place < len(self._texts) else None]
        return known[places]

    def _names(self, rows: Int64s) -> npt.NDArray[np.uint32]:
        found = self._numbered(self._columns["name"][rows], _plain)
        copies = self._columns["copy_kind"][rows]
        for place in np.flatnonzero(copies != _NONE).tolist():
            said = [self._plain_at(name, rows[place]) for name in ("name", "copy_kind", "source", "target")]
            found[place] = self.names[copy_named(*said)]
        return found

    def _plain_at(self, field: str, row: int) -> str | None:
        place = int(self._columns[field][row])
        return None if place == _NONE else _plain(self._texts[place])

    def _kinds(self, name: str, rows: Int64s) -> pl.Series:
        known = np.array([self.names[kind] for _, kind in READ.values()], np.uint32)
        return pl.Series(name, known[self._columns["category"][rows]])


_OP_TEXTS: Final = (("input_dims", "dims"), ("input_types", "types"))
_GPU_INTS: Final = (("registers", "registers"), ("shared_bytes", "shared"), ("bytes", "bytes"))


def _plain(raw: bytes) -> str:
    """The string of what stands between its quotes."""
    return str(msgspec.json.decode(b'"' + raw + b'"')) if b"\\" in raw else raw.decode()
