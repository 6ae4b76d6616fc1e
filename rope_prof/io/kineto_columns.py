"""The events of one piece of Kineto text as columns: small, picklable, with names as numbers of a table of texts.

Knows the categories and spellings of the files. One piece's columns depend on its text alone, so pieces can be read
in any order and by any process; `io.kineto` puts them together in the file's order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import compress
from typing import Any, Final

import polars as pl

from rope_prof.io.digits import microseconds_to_ns, whole_microseconds
from rope_prof.io.kineto_args import ints
from rope_prof.io.kineto_events import NO_ARGS, Args, Event, Piece, read_piece

_GPU: Final = {
    "kernel": "kernel",
    "gpu_memcpy": "memcpy",
    "gpu_memset": "memset",
    "memcpy": "memcpy",
    "memset": "memset",
}
_CALLS: Final = {
    **dict.fromkeys(("cuda_runtime", "hip_runtime", "xpu_runtime", "privateuse1_runtime", "runtime"), "runtime"),
    **dict.fromkeys(("cuda_driver", "hip_driver", "xpu_driver", "privateuse1_driver", "driver"), "driver"),
}
_OPS: Final = ("cpu_op", "operator")
#: The frames that are built; events of other categories are counted alone.
FRAMES: Final = ("gpu", "call", "range", "op", "overhead")
COUNTED: Final = ("mended", "lost", "lost_bytes", "duplicates")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What one piece holds. A UInt32 column numbers `texts`."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    texts: pl.Series
    events: int
    counts: dict[str, int]
    whole_us: bool
    window_end: bool
    tail: bytes | None


def read_columns(text: bytes, last: bool) -> Columns:
    """The columns of a piece of the event array; see `kineto_events.read_piece`."""
    piece = read_piece(text, last)
    counts = {code: getattr(piece, code) for code in COUNTED}
    counts["unreadable_times"] = 0
    names = _Numbers()
    frames: dict[str, pl.DataFrame] = {}
    whole_us = True
    for frame, (group, kinds) in _groups(piece).items():
        starts = [event.ts for event in group]
        whole_us = whole_us and whole_microseconds(starts)
        batch, unreadable = _frame(frame, group, kinds, starts, names)
        frames[frame] = batch
        counts["unreadable_times"] += unreadable
    return Columns(
        frames=frames,
        texts=pl.Series(list(map(_plain, names)), dtype=pl.String),
        events=piece.count,
        counts=counts,
        whole_us=whole_us,
        window_end=piece.window_end,
        tail=piece.tail,
    )


def _role(category: str | None) -> tuple[str, str]:
    """What a category is to us: (frame, kind), by its lower-case spelling."""
    name = (category or "").lower()
    if name in _GPU:
        return "gpu", _GPU[name]
    if name in _CALLS:
        return "call", _CALLS[name]
    if name in _OPS:
        return "op", ""
    if name == "user_annotation":
        return "range", "record_function"
    return ("overhead", "") if name == "overhead" else ("", name)


def _groups(piece: Piece) -> dict[str, tuple[list[Event], list[str]]]:
    """The events of each frame that is built, and the kind of each."""
    categories = [event.cat for event in piece.events]
    roles = {category: _role(category) for category in set(categories)}
    by_frame: dict[str, dict[str | None, str]] = defaultdict(dict)
    for category, (frame, kind) in roles.items():
        by_frame[frame][category] = kind
    groups = {}
    for frame in FRAMES:
        if kinds := by_frame.get(frame):
            chosen = list(map(kinds.__contains__, categories))
            of_each = [kinds[category] for category in compress(categories, chosen)]
            groups[frame] = list(compress(piece.events, chosen)), of_each
    return groups


class _Numbers(dict[Any, int]):
    """Each distinct value once, numbered as it comes."""

    def __missing__(self, value: Any) -> int:
        number = self[value] = len(self)
        return number

    def column(self, name: str, values: list[Any]) -> pl.Series:
        return pl.Series(name, list(map(self.__getitem__, values)), dtype=pl.UInt32)

    def told(self, name: str, values: list[Any], tell: Callable[[Any], Any]) -> pl.Series:
        """The column of `tell(value)`, which is asked once for each distinct value."""
        known = {value: self[tell(value)] for value in dict.fromkeys(values)}
        return pl.Series(name, list(map(known.__getitem__, values)), dtype=pl.UInt32)


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _frame(
    frame: str, group: list[Event], kinds: list[str], starts: list[Any], names: _Numbers
) -> tuple[pl.DataFrame, int]:
    """The rows of one frame, and how many are left out for their times."""
    start, start_good = microseconds_to_ns(starts)
    dur, dur_good = microseconds_to_ns([event.dur for event in group])
    good = start_good & dur_good
    columns = [
        names.column("name", [event.name for event in group]),
        pl.Series("start_ns", start),
        pl.Series("dur_ns", dur),
    ]
    thread = ints("thread", [event.tid for event in group])
    if frame != "gpu":  # of a GPU event the file names the device, not the process
        columns += [ints("process", [event.pid for event in group]), thread]
    if frame in ("gpu", "call", "op"):
        args = [event.args or NO_ARGS for event in group]
        if frame == "gpu":
            columns += [*_gpu(group, args, thread, names), names.column("kind", kinds)]
        elif frame == "call":
            columns += [ints("correlation", [a.correlation for a in args]), names.column("api", kinds)]
        else:
            columns += _op(args, names)
    batch = pl.DataFrame(columns)
    unreadable = len(good) - int(good.sum())
    return (batch.filter(pl.Series(good)) if unreadable else batch), unreadable


def _external(args: list[Args]) -> pl.Series:
    return ints("external", [a.external if a.external is not None else a.external_2021 for a in args])


def _op(args: list[Args], names: _Numbers) -> list[pl.Series]:
    return [
        _external(args),
        names.told("input_dims", [bytes(a.dims) for a in args], _text),
        names.told("input_types", [bytes(a.types) for a in args], _text),
    ]


def _gpu(group: list[Event], args: list[Args], thread: pl.Series, names: _Numbers) -> list[pl.Series]:
    devices = [a.device if a.device is not None else e.pid for a, e in zip(args, group, strict=True)]
    return [
        names.told("device", devices, _device),
        ints("stream", [a.stream for a in args]).fill_null(thread),
        ints("correlation", [a.correlation or None for a in args]),
        _external(args),
        ints("registers", [a.registers for a in args]),
        ints("shared_bytes", [a.shared for a in args]),
        ints("graph", [a.graph or None for a in args]),
        ints("graph_node", [a.graph_node or None for a in args]),
        ints("bytes", [a.bytes for a in args]),
        names.told("grid", [bytes(a.grid) for a in args], _shape),
        names.told("block", [bytes(a.block) for a in args], _shape),
    ]


def _text(raw: bytes) -> str | None:
    return raw.decode("utf-8", errors="replace") if raw else None


def _device(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else "?" if value is None else str(value)


def _shape(raw: bytes) -> str | None:
    """`[8, 1, 1]` -> `8x1x1`; None where the file has none (AMD graph kernels)."""
    sides = raw.strip().strip(b"[]").replace(b" ", b"").replace(b"\n", b"").split(b",")
    return "x".join(side.decode("ascii", errors="replace") for side in sides) if raw and sides != [b""] else None
