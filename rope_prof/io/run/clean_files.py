"""What a file of a run looks like once nothing private is in it, by its content; or why it cannot be had.

Text and JSON are edited, SQLite cell by cell, Parquet column by column, a Perfetto trace packet by packet, a picture
keeps its pixels alone, a zipped file is unpacked, cleaned and packed again. A report of NVIDIA's tools is searched,
since it cannot be edited. Any other file of bytes is left out: a search cannot see what is packed inside it.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from rope_prof.errors import RunError
from rope_prof.io.layout import COMPUTE_SUFFIX, NATIVE_SUFFIX, SYSTEMS_SUFFIX
from rope_prof.io.run.clean_json import clean_json, clean_word
from rope_prof.io.run.clean_sqlite import clean_sqlite
from rope_prof.io.run.redact import PrivateWords, kinds_in

#: Reports that are searched, by the end of their name.
REPORTS: Final = (SYSTEMS_SUFFIX, COMPUTE_SUFFIX)
MAX_UNPACKED: Final = 8 << 30
_MAX_RATIO: Final = 400
_RATIO_FROM: Final = 64 << 20
_PIECE: Final = 4 << 20
_PNG: Final = b"\x89PNG\r\n\x1a\n"
#: Chunks of a picture that say how to draw it; all others (texts, times, profiles, EXIF) may tell of its maker.
_PNG_CHUNKS: Final = frozenset(
    (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"sRGB", b"cHRM", b"pHYs", b"sBIT")
)


@dataclass(frozen=True, slots=True)
class Clean:
    """`data`: the file for others; None where it is left out, and `note` says why. Else `note` is what is to be known.

    `edited`: it was cleaned; a report is only searched.
    """

    data: bytes | None
    note: str | None = None
    edited: bool = True


def clean_file(name: str, data: bytes, words: PrivateWords) -> Clean:
    """The file called `name` for others. Errors: RunError where a file that can be cleaned is damaged."""
    if data[:2] == b"\x1f\x8b":
        return _clean_gzip(data, words)
    if data[:16] == b"SQLite format 3\x00":
        return Clean(clean_sqlite(data, words))
    if data[:4] == b"PAR1":
        return Clean(clean_parquet(data, words))
    if data[:8] == _PNG:
        return Clean(clean_png(data))
    if name.endswith(REPORTS):
        return _searched(data, words)
    if data[:1] == b"\x0a" and name.endswith(NATIVE_SUFFIX):
        return Clean(clean_perfetto(data, words.blank))
    try:
        if b"\x00" not in data:
            return _clean_json(data, words) if _is_json(data) else Clean(clean_text(data, words))
    except UnicodeDecodeError:
        pass
    return Clean(None, "it is neither text nor of a format that can be cleaned")


def clean_text(data: bytes, words: PrivateWords) -> bytes:
    """JSON or other text: private fields emptied, private words, secrets and paths blanked; all else keeps its bytes.

    Errors: UnicodeDecodeError for bytes that are no text.
    """
    if _is_json(data):
        return clean_json(data, words).data
    return words.blank(data.decode("utf-8")).encode("utf-8")


def _is_json(data: bytes) -> bool:
    return data[:4096].lstrip()[:1] in (b"{", b"[")


def _clean_json(data: bytes, words: PrivateWords) -> Clean:
    made = clean_json(data, words)
    if not made.whole:
        return Clean(made.data, "no whole JSON: cleaned as text, its top-level fields were not checked by name")
    if made.dropped:
        return Clean(made.data, f"top-level fields that its format does not have are removed: {made.dropped}")
    return Clean(made.data)


def _searched(data: bytes, words: PrivateWords) -> Clean:
    kinds = kinds_in(data, words)
    if kinds:
        return Clean(None, f"it cannot be edited and holds private words ({', '.join(kinds)})")
    said = "it cannot be edited; no private word, secret or path stands in it as plain text, what it packs was not seen"
    return Clean(data, said, edited=False)


def _clean_gzip(data: bytes, words: PrivateWords) -> Clean:
    """What is packed, cleaned and packed again without a name or a time."""
    inner = _unpacked(data)
    if inner[:2] == b"\x1f\x8b":
        return Clean(None, "it is packed twice")
    made = clean_file("", inner, words)
    return made if made.data is None else Clean(gzip.compress(made.data, 6, mtime=0), made.note)


def _unpacked(data: bytes) -> bytes:
    """Errors: RunError for damage, and past the limits against bombs."""
    out = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while piece := file.read(_PIECE):
                out += piece
                if len(out) > MAX_UNPACKED or (len(out) > _RATIO_FROM and len(out) > _MAX_RATIO * len(data)):
                    raise RunError(
                        f"a packed file of the run unpacks to over {_MAX_RATIO} times its size or "
                        f"{MAX_UNPACKED >> 30} GiB, the limits against bombs; delete it from the run"
                    )
    except (OSError, EOFError, zlib.error) as error:
        raise RunError(
            f"a packed file of the run is damaged ({error}); restore it, or delete it from the run"
        ) from error
    return bytes(out)


def clean_png(data: bytes) -> bytes:
    """The picture alone: no text, time, profile or EXIF, and nothing behind its end."""
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        if kind in _PNG_CHUNKS:
            kept.append(data[at:end])
        if kind == b"IEND":
            return b"".join(kept)
        at = end
    raise RunError("a picture of the run is cut; make it again, or delete it from the run")


def clean_parquet(data: bytes, words: PrivateWords) -> bytes:
    """The same rows, texts cleaned at any depth; what other writers put beside the columns is gone, bytes are null."""
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except pl.exceptions.PolarsError as error:
        first = str(error).partition("\n")[0]
        raise RunError(f"a parquet file of the run is damaged ({first}); restore it, or delete it") from error
    out = io.BytesIO()
    frame.select(_clean_column(column, words.blank) for column in frame.iter_columns()).write_parquet(out)
    return out.getvalue()


def _clean_column(column: pl.Series, blank: Callable[[str], str]) -> pl.Series:
    dtype, name = column.dtype, blank(column.name)
    if dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.Null):
        return column.alias(name)
    if dtype in (pl.Binary, pl.Object):
        return pl.Series(name, [None] * len(column), dtype=pl.Binary)
    if dtype.is_nested():
        return pl.Series(name, [_deep(value, blank) for value in column.to_list()], dtype=dtype, strict=False)
    texts = column.cast(pl.String)
    changed = {value: after for value in texts.drop_nulls().unique().to_list() if (after := blank(value)) != value}
    return (texts.replace(changed) if changed else texts).alias(name)


def _deep(value: Any, blank: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return blank(value)
    if isinstance(value, dict):
        return {key: _deep(item, blank) for key, item in value.items()}
    if isinstance(value, list):
        return [_deep(item, blank) for item in value]
    return None if isinstance(value, bytes) else value


def clean_perfetto(data: bytes, blank: Callable[[str], str]) -> bytes:
    """A native Perfetto trace with the texts of all its packets cleaned. Errors: RunError where it is damaged."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

    trace = protos.Trace()
    try:
        trace.ParseFromString(data)
    except DecodeError as error:
        raise RunError(f"a Perfetto trace is damaged ({error}); make it again, or delete it from the run") from error
    trace.DiscardUnknownFields()
    seen: dict[str, str] = {}
    for packet in trace.packet:
        _clean_message(packet, blank, seen)
    return bytes(trace.SerializeToString())


def _clean_message(message: Any, blank: Callable[[str], str], seen: dict[str, str]) -> None:
    for field, value in message.ListFields():
        many = not isinstance(value, str | bytes) and hasattr(value, "append")
        if field.type == field.TYPE_STRING:
            cleaned = [_once(text, blank, seen) for text in value] if many else _once(value, blank, seen)
            if many and list(value) != cleaned:
                del value[:]
                value.extend(cleaned)
            elif not many and cleaned != value:
                setattr(message, field.name, cleaned)
        elif field.type == field.TYPE_BYTES:
            message.ClearField(field.name)  # packed packets and programs: they cannot be looked into
        elif field.type == field.TYPE_MESSAGE:
            for one in value if many or hasattr(value, "add") else (value,):
                _clean_message(one, blank, seen)


def _once(text: str, blank: Callable[[str], str], seen: dict[str, str]) -> str:
    after = seen.get(text)
    if after is None:
        after = seen[text] = clean_word(text, blank)
    return after
