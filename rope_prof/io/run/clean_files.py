"""What a file of a run looks like once nothing private is in it, by its content; or why it cannot be had.

Text and JSON are edited, SQLite cell by cell, Parquet column by column, a Perfetto trace packet by packet, a picture
keeps its pixels alone, what gzip or zstd has packed is unpacked, cleaned and packed again. A report of NVIDIA's tools
is searched, since it cannot be edited. Any other file of bytes is left out: no search sees what is packed inside it.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import polars as pl
import zstandard

from rope_prof.errors import RunError
from rope_prof.io.bombs import LIMITS, is_bomb, read_parquet
from rope_prof.io.layout import COMPUTE_SUFFIX, SYSTEMS_SUFFIX
from rope_prof.io.perfetto.blocks import holds_packets
from rope_prof.io.run.clean_json import PRIVATE_NAME, clean_json, clean_word
from rope_prof.io.run.clean_sqlite import clean_sqlite
from rope_prof.io.run.redact import PrivateWords, kinds_in
from rope_prof.io.run.secrets import BLANK
from rope_prof.io.trace.unpack import GZIP_MAGIC, ZSTD_MAGIC

#: Reports that are searched, by the end of their name.
REPORTS: Final = (SYSTEMS_SUFFIX, COMPUTE_SUFFIX)
MAX_UNPACKED: Final = 8 << 30
_PIECE: Final = 4 << 20
_HEAD: Final = 64 << 10
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_gzipped = partial(gzip.compress, compresslevel=6, mtime=0)  # without a name or a time
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
    if data.startswith(GZIP_MAGIC):
        return _clean_packed(gzip.GzipFile(fileobj=io.BytesIO(data)), data, words, _gzipped)
    if data.startswith(ZSTD_MAGIC):
        unpacks = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        return _clean_packed(unpacks, data, words, zstandard.compress)
    if data[:16] == b"SQLite format 3\x00":
        return Clean(clean_sqlite(data, words))
    if data[:4] == b"PAR1":
        return Clean(clean_parquet(data, words))
    if data[:8] == _PNG:
        return Clean(clean_png(data))
    if name.endswith(REPORTS):
        return _searched(data, words)
    if holds_packets(data[:_HEAD]):
        return Clean(clean_perfetto(data, words.blank))
    try:
        if b"\x00" not in data:
            return _clean_json(data, words) if _is_json(data) else Clean(words.blank(data.decode()).encode())
    except UnicodeDecodeError:
        pass
    return Clean(None, "it is neither text nor of a format that can be cleaned")


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


def _clean_packed(file: Any, data: bytes, words: PrivateWords, pack: Callable[[bytes], bytes]) -> Clean:
    """What `file` unpacks out of `data`, cleaned and packed again."""
    inner = _unpacked(file, len(data))
    if inner.startswith((GZIP_MAGIC, ZSTD_MAGIC)):
        return Clean(None, "it is packed twice")
    made = clean_file("", inner, words)
    return made if made.data is None else Clean(pack(made.data), made.note)


def _unpacked(file: Any, packed: int) -> bytes:
    """Errors: RunError for damage, and past the limits against bombs."""
    out = bytearray()
    try:
        while piece := file.read(_PIECE):
            out += piece
            if len(out) > MAX_UNPACKED or is_bomb(len(out), packed):
                raise RunError(f"a packed file of the run unpacks to {LIMITS}; delete it from the run")
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
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
        frame = read_parquet(io.BytesIO(data), len(data))
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
    numbers = {
        note.iid
        for packet in trace.packet
        for note in packet.interned_data.debug_annotation_names
        if _private(note.name)
    }
    seen: dict[str, str] = {}
    for packet in trace.packet:
        _clean_message(packet, blank, seen, numbers)
    return bytes(trace.SerializeToString())


def _private(name: str | bytes) -> bool:
    return PRIVATE_NAME.fullmatch(_as_text(name)) is not None


def _as_text(told: str | bytes) -> str:
    """Where a text is no UTF-8 the library gives its bytes."""
    return told if isinstance(told, str) else told.decode("utf-8", errors="replace")


def _clean_message(
    message: Any, blank: Callable[[str], str], seen: dict[str, str], numbers: set[int], within: bool = False
) -> None:
    """`numbers`: of words that name what is private; `within`: the message is the value of such a name."""
    named = getattr(message, "name", "")
    within |= isinstance(named, str | bytes) and _private(named)
    within |= getattr(message, "name_iid", 0) in numbers and hasattr(message, "string_value")
    for field, value in message.ListFields():
        many = not isinstance(value, str | bytes) and hasattr(value, "append")
        if field.type == field.TYPE_STRING:
            gone = _private(field.name) or (within and field.name != "name")
            texts = list(value) if many else [value]
            cleaned = [BLANK if gone else _once(_as_text(text), blank, seen) for text in texts]
            if cleaned == texts:
                continue
            if many:
                del value[:]
                value.extend(cleaned)
            else:
                setattr(message, field.name, cleaned[0])
        elif field.type == field.TYPE_BYTES:
            message.ClearField(field.name)  # packed packets and programs: they cannot be looked into
        elif field.type == field.TYPE_MESSAGE:
            for one in value if many or hasattr(value, "add") else (value,):
                _clean_message(one, blank, seen, numbers, within)


def _once(text: str, blank: Callable[[str], str], seen: dict[str, str]) -> str:
    after = seen.get(text)
    if after is None:
        after = seen[text] = clean_word(text, blank)
    return after
