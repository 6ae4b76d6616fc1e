"""The events of one piece of Kineto text as columns: small, picklable, with names as numbers of a table of texts.

One piece's columns depend on its text alone, so pieces can be read in any order and by any process; `io.kineto` puts
them together in the file's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from rope_prof.io.kineto.args import as_int, ints
from rope_prof.io.kineto.categories import FRAMES
from rope_prof.io.kineto.digits import microseconds_to_ns, whole_microseconds
from rope_prof.io.kineto.events import read_piece
from rope_prof.io.kineto.groups import Group
from rope_prof.io.kineto.identity import processes
from rope_prof.io.kineto.seen import Seen, told
from rope_prof.model.trace import NAMED

COUNTED: Final = ("mended", "lost", "lost_bytes", "lost_unread", "duplicates", "duplicates_unread")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What one piece holds. A UInt32 column numbers `texts`."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    texts: pl.Series
    events: int
    counts: dict[str, int]
    proofs: dict[str, list[Seen]]  # of a count the first events
    whole_us: bool
    window_end: bool
    window_end_ns: int | None
    tail: bytes | None


def read_columns(text: bytes, last: bool) -> Columns:
    """The columns of a piece of the event array; see `kineto_events.read_piece`."""
    piece = read_piece(text, last)
    counts = {code: getattr(piece, code) for code in COUNTED}
    proofs = piece.proofs
    names = Numbered()
    frames: dict[str, pl.DataFrame] = {}
    whole_us = True
    for frame in FRAMES:
        group = piece.groups[frame]
        if not group.count:
            continue
        whole_us = whole_us and whole_microseconds(group.columns["ts"])
        frames[frame], unreadable = _frame(group, names)
        left = {"unreadable_times": unreadable, "odd_places": _odd_places(group.columns) if frame == "gpu" else []}
        for what, rows in left.items():
            counts[what] = counts.get(what, 0) + len(rows)
            proofs.setdefault(what, []).extend(_told(group, rows[:NAMED]))
    return Columns(
        frames=frames,
        texts=names.series(),
        events=piece.count,
        counts=counts,
        proofs=proofs,
        whole_us=whole_us,
        window_end=piece.window_end,
        window_end_ns=piece.window_end_ns,
        tail=piece.tail,
    )


class Numbered(dict[Any, int]):
    """Each distinct value once, numbered as it comes."""

    def series(self) -> pl.Series:
        """The values as texts, in the order of their numbers."""
        return pl.Series(list(map(_plain, self)), dtype=pl.String)

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


def _told(group: Group, rows: Sequence[int]) -> list[Seen]:
    held = group.columns
    category = "kernel" if group.frame == "gpu" else None
    return [told(category, held["name"][k], held["ts"][k], held["dur"][k]) for k in rows]


def _frame(group: Group, names: Numbered) -> tuple[pl.DataFrame, list[int]]:
    """The rows of one frame, and those that are left out for their times."""
    held = group.columns
    start, start_good = microseconds_to_ns(held["ts"])
    dur, dur_good = microseconds_to_ns(held["dur"])
    good = start_good & dur_good
    called = _copies_named(held) if group.frame == "gpu" else held["name"]
    columns = [names.column("name", called), pl.Series("start_ns", start), pl.Series("dur_ns", dur)]
    thread = ints("thread", held["tid"])
    if group.frame == "gpu":  # of a GPU event the file names the device, not the process
        columns += [*_gpu(held, thread, names), names.column("kind", group.kinds)]
    else:
        columns += [processes("process", held["pid"]), thread]
    if group.frame == "call":
        columns += [ints("correlation", held["correlation"]), names.column("api", group.kinds)]
    elif group.frame == "op":
        columns += _op(held, names)
    elif group.frame == "memory":
        columns += _memory(held, names)
    batch = pl.DataFrame(columns)
    unreadable: list[int] = (~good).nonzero()[0].tolist()
    return (batch.filter(pl.Series(good)) if unreadable else batch), unreadable


def _memory(held: dict[str, list[Any]], names: Numbered) -> list[pl.Series]:
    """Bytes and totals; the device as GPU events name it, the host's as `cpu`."""
    kinds = ints("kind", held["device_kind"])
    devices = ["cpu" if kind == 0 else told for kind, told in zip(kinds, held["device"], strict=True)]
    return [
        *(
            ints(f"{name}_bytes" if name != "bytes" else name, held[name])
            for name in ("bytes", "allocated", "reserved")
        ),
        names.column("device", devices),
    ]


def _copies_named(held: dict[str, list[Any]]) -> list[Any]:
    """The names, of a bare `Memcpy` with what torch's own exporter says beside it: `Memcpy HtoD (Pinned -> Device)`."""
    if not any(held["copy_kind"]):
        return held["name"]
    rows = zip(held["name"], held["copy_kind"], held["source"], held["target"], strict=True)
    return [copy_named(*row) for row in rows]


def copy_named(name: Any, kind: Any, source: Any, target: Any) -> Any:
    """The name of one copy, of what the file says of it."""
    if name != "Memcpy" or not kind:
        return name
    ends = f" ({source} -> {target})".title() if isinstance(source, str) and isinstance(target, str) else ""
    return f"{name} {kind}{ends}"


def _odd_places(held: dict[str, list[Any]]) -> list[int]:
    """Events that name a device or a stream which is no whole number."""
    places = {*held["device"], *held["stream"]}
    odd = {place for place in places if place is not None and as_int(place) is None}
    pairs = zip(held["device"], held["stream"], strict=True) if odd else ()
    return [k for k, (device, stream) in enumerate(pairs) if device in odd or stream in odd]


def _op(held: dict[str, list[Any]], names: Numbered) -> list[pl.Series]:
    return [
        *(ints(name, held[name]) for name in ("external", "sequence", "forward_thread")),
        names.told("input_dims", held["dims"], text_of),
        names.told("input_types", held["types"], text_of),
    ]


def _gpu(held: dict[str, list[Any]], thread: pl.Series, names: Numbered) -> list[pl.Series]:
    devices = held["device"]
    if None in devices:
        devices = [pid if device is None else device for device, pid in zip(devices, held["pid"], strict=True)]
    return [
        names.told("device", devices, device_text),
        processes("owner", held["pid"]),
        names.told("owner_text", held["pid"], device_text),
        ints("stream", held["stream"]).fill_null(thread),
        ints("external", held["external"]),
        *(ints(name, [number or None for number in held[name]]) for name in ("correlation", "graph", "graph_node")),
        *(ints(name, held[field]) for name, field in (("registers", "registers"), ("shared_bytes", "shared"))),
        ints("bytes", held["bytes"]),
        names.told("collective", held["collective"], _plain),
        names.told("group", held["group"], _plain),
        names.told("grid", held["grid"], shape),
        names.told("block", held["block"], shape),
    ]


def text_of(raw: bytes) -> str | None:
    return raw.decode("utf-8", errors="replace") if raw else None


def device_text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else "?" if value is None else str(value)


def shape(raw: bytes) -> str | None:
    """`[8, 1, 1]` -> `8x1x1`; None where the file has none (AMD graph kernels)."""
    sides = raw.strip().strip(b"[]").replace(b" ", b"").replace(b"\n", b"").split(b",")
    return "x".join(side.decode("ascii", errors="replace") for side in sides) if raw and sides != [b""] else None
