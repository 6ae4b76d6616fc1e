"""The args of many events of one kind, decoded in one go into columns."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from rope_prof.io.kineto_events import Scalar, too_deep


class GpuArgs(msgspec.Struct, gc=False):
    """Args of a kernel, copy or set, in the spellings of 2021 and later."""

    device: Scalar = None
    stream: Scalar = None
    correlation: Scalar = None
    external: Scalar = msgspec.field(name="External id", default=None)
    external_2021: Scalar = msgspec.field(name="external id", default=None)
    registers: Scalar = msgspec.field(name="registers per thread", default=None)
    shared: Scalar = msgspec.field(name="shared memory", default=None)
    graph: Scalar = msgspec.field(name="graph id", default=None)
    graph_node: Scalar = msgspec.field(name="graph node id", default=None)
    bytes: Scalar = None
    grid: msgspec.Raw = msgspec.Raw(b"")
    block: msgspec.Raw = msgspec.Raw(b"")


class CallArgs(msgspec.Struct, gc=False):
    """Args of a runtime or driver call."""

    correlation: Scalar = None


class OpArgs(msgspec.Struct, gc=False):
    """Args of an operator: its id, and its inputs' shapes and types as the file's own JSON text."""

    external: Scalar = msgspec.field(name="External id", default=None)
    external_2021: Scalar = msgspec.field(name="external id", default=None)
    dims: msgspec.Raw = msgspec.field(name="Input Dims", default=msgspec.Raw(b""))
    types: msgspec.Raw = msgspec.field(name="Input type", default=msgspec.Raw(b""))


def decode_args(raws: list[Any], kind: type[Any]) -> tuple[list[Any], bytes]:
    """One struct per args text (an empty one where there is none or it is no object), and the joined text."""
    joined = b",".join([raw or b"{}" for raw in map(bytes, raws)])
    try:
        return msgspec.json.decode(b"[" + joined + b"]", type=list[kind]), joined  # type: ignore[valid-type]
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return [_lenient(bytes(raw), kind) for raw in raws], joined


def _lenient(raw: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return kind()


def ints(name: str, values: list[Any]) -> pl.Series:
    """Int64 column; a quoted or whole float number counts as its integer, anything else is null."""
    try:
        return pl.Series(name, values, dtype=pl.Int64, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        return pl.Series(name, [as_int(value) for value in values], dtype=pl.Int64)


def as_int(value: object) -> int | None:
    """`7`, `"7"`, `7.0` and `"stream 7"` are 7; what is no whole number that fits Int64 is None."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, str):
        digits = value.removeprefix("stream ").strip()
        value = int(digits) if len(digits) < 20 and digits.removeprefix("-").isdecimal() else None
    return value if isinstance(value, int) and -(1 << 63) <= value < 1 << 63 else None
