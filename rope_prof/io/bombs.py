"""How much a file may hold that is packed: the one limit for gzip, zstd, archives, tables and whatever else unpacks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from rope_prof.errors import TraceError

if TYPE_CHECKING:
    import polars as pl

MAX_BYTES: Final = 32 << 30
#: Real traces pack 15 to 60 times.
MAX_RATIO: Final = 400
RATIO_FROM: Final = 64 << 20
LIMITS: Final = f"over {MAX_RATIO} times its size or {MAX_BYTES >> 30} GiB, the limits against bombs"
_CELL: Final = 8


def is_bomb(size: int, packed: int) -> bool:
    """Whether `size` bytes out of `packed` are more than is believed."""
    return size > MAX_BYTES or (size > RATIO_FROM and size > MAX_RATIO * packed)


def whole(chunks: Iterable[bytes], limit: int, what: str, instead: str = "") -> bytearray:
    """All chunks together. Errors: TraceError past the limit: `what` holds too much, and what to do `instead`."""
    text = bytearray()
    for chunk in chunks:
        text += chunk
        if len(text) > limit:
            raise TraceError(f"{what} of more than {limit >> 20} MiB, the limit{instead}")
    return text


def columns_of(frame: pl.LazyFrame, packed: int, columns: Iterable[str] | None = None) -> pl.DataFrame:
    """The columns of a table that takes `packed` bytes; None: all.

    Errors: pl.exceptions.ComputeError for one that its own count of rows, or its texts, make a bomb, or over whose
    damage polars' own code panics.
    """
    import polars as pl

    try:
        names = list(frame.collect_schema() if columns is None else columns)
        rows = frame.select(pl.len()).collect().item()
        size = rows * max(len(names), 1) * _CELL
        if not is_bomb(size, packed):
            found = frame.select(names).collect()
            texts = [found[name].str.len_bytes().sum() for name, kind in found.schema.items() if kind == pl.String]
            size += sum(texts)
            if not is_bomb(size, packed):
                return found
    except pl.exceptions.PanicException as error:
        raise pl.exceptions.ComputeError(f"it cannot be decoded: {error}") from error
    raise pl.exceptions.ComputeError(f"{rows:,} rows in {packed:,} bytes unpack to {LIMITS}")


def read_parquet(source: Path | IO[bytes], packed: int, columns: Iterable[str] | None = None) -> pl.DataFrame:
    """As `columns_of`, of a Parquet file of `packed` bytes."""
    import polars as pl

    return columns_of(pl.scan_parquet(source, hive_partitioning=False), packed, columns)
