"""The analysis of many traces on disk: a Parquet dataset partitioned by run and rank, one file a trace.

    <folder>/fleet.json
    <folder>/run=<folder name>-<hash>/rank=<n>/<hash of the source>.parquet     rank=none where it is unknown

A trace's rows are one file, written to a temporary name and renamed: a killed analysis leaves whole traces only. Its
name is the hash of its source, so that two recordings in one folder never meet. Any Parquet reader that knows Hive
partitions (polars, Dask, DuckDB) reads it as one table.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.bombs import read_parquet
from rope_prof.io.layout import DATASET_FILE

if TYPE_CHECKING:
    import polars as pl

SCHEMA_VERSION: Final = 2
#: Where an analysis of many traces goes that names no folder; the dashboard's page Ranks looks there.
DEFAULT_DATASET: Final = "rope_prof-fleet"


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset folder."""

    path: Path

    def begin(self) -> None:
        """Make the folder, or take one that is there. Errors: RunError for a folder of something else."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{str(self.path)!r} is a file; expected a folder for the analysis: choose another with -o")
        marker = self.path / DATASET_FILE
        if marker.is_file():
            self.check(marker)
        elif self.path.is_dir() and any(self.path.iterdir()):
            raise RunError(
                f"{str(self.path)!r} holds something else ({DATASET_FILE} is missing); choose a new folder with -o"
            )
        else:
            text = json.dumps({"rope_prof": "fleet", "schema_version": SCHEMA_VERSION})
            write_atomic(marker, lambda part: part.write_text(text + "\n"))

    def write(self, rows: bytes, *, source: str, folder: str, rank: int | None) -> None:
        """Put down the rows of one trace, which count from now on; `rows` is a whole Parquet file. Errors: RunError."""
        place = self.path / f"run={_partition(folder)}" / f"rank={'none' if rank is None else rank}"
        path = place / f"{_digest(source)}.parquet"
        write_atomic(path, lambda part: part.write_bytes(rows))

    def known(self) -> dict[str, str]:
        """Source -> stamp of every trace that need not be read again. A damaged file is as none."""
        return {
            row["source"]: row["stamp"]
            for rows in self._files(["row", "source", "stamp", "status"])
            for row in rows.filter((rows["row"] == "trace") & (rows["status"] != "failed")).iter_rows(named=True)
        }

    def rows(self) -> pl.DataFrame | None:
        """All rows, in the order of their sources; None where there are none. What an older version had not is null."""
        import polars as pl

        frames = list(self._files(None))
        return pl.concat(frames, how="diagonal").sort("source", maintain_order=True) if frames else None

    def _files(self, columns: list[str] | None) -> Iterator[pl.DataFrame]:
        """The newest rows of every trace; what is damaged is as if it was not there, and is written anew."""
        newest: dict[str, Path] = {}  # of a trace whose rank came to be known later there are two
        for path in sorted(self.path.glob("run=*/rank=*/*.parquet"), key=lambda path: path.stat().st_mtime_ns):
            newest[path.name] = path
        if not newest:
            return
        from polars.exceptions import PolarsError

        for path in newest.values():
            with contextlib.suppress(PolarsError, OSError):
                yield read_parquet(path, path.stat().st_size, columns)

    def check(self, marker: Path) -> None:
        try:
            said = json.loads(marker.read_text())
            version = int(said["schema_version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{str(marker)!r} is damaged ({error}); choose a new folder with -o") from error
        if version != SCHEMA_VERSION:
            raise RunError(
                f"{str(self.path)!r} has schema version {version}; this rope_prof writes {SCHEMA_VERSION}: "
                "choose a new folder with -o"
            )


def read_dataset(folder: Path) -> pl.DataFrame:
    """All rows of the dataset in `folder` (see `analysis.ranks.rows.ROWS`). Errors: RunError where it is none."""
    dataset = Dataset(folder)
    marker = folder / DATASET_FILE
    if not marker.is_file():
        raise RunError(f"no analysis of many traces in {str(folder)!r}; expected a folder made by `analyze FOLDER -o`")
    dataset.check(marker)
    rows = dataset.rows()
    if rows is None:
        raise RunError(f"the analysis in {str(folder)!r} holds no trace yet; run `rope_prof analyze` again")
    return rows


def is_dataset(folder: Path) -> bool:
    """Whether `folder` holds the analysis of many traces."""
    return (folder / DATASET_FILE).is_file()


def _partition(folder: str) -> str:
    """The folder's name, and what tells it from another of that name."""
    return f"{quote(folder.rpartition('/')[2] or 'root', safe='')}-{_digest(folder)[:8]}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
