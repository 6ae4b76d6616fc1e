"""A run folder: `run.json`, `samples.parquet`, one trace per captured key. Files <-> model, nothing else.

Every file is written to a temporary name and renamed; `run.json` comes last and again after each key, so that a
recording killed at any moment leaves a folder that reads. Knows no statistics and needs no torch.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import polars as pl

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.bombs import read_parquet
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.layout import RANKS_FOLDER, RUN_FILE, SAMPLES_FILE
from rope_prof.io.run.checks import require_facts, require_samples, unambiguous
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.run.requests import EndToEndFolder, read_end_to_end
from rope_prof.io.run.schema import decoded, encoded
from rope_prof.model.frozen import Frozen, decodable
from rope_prof.model.nsight import Nsight
from rope_prof.model.run import SCHEMA_VERSION, Run
from rope_prof.model.samples import conditions_schema, samples_schema


class RunFolder(Frozen):
    """One run as it lies on disk. `samples` has the columns of `model.samples`: `samples_schema`, `conditions_schema`.

    `dropped_rows`: rows of the file that are not among them, since two writers left them twice or more.
    """

    path: Path
    run: Run
    samples: pl.DataFrame
    dropped_rows: int = 0

    def trace_path(self, key_name: str, *, light: bool = False) -> Path | None:
        """The trace of the key called `key_name`, or its light one; None where not captured or the file is gone."""
        facts = self.run.facts(key_name)
        name = facts.light_trace if light else facts.trace
        if name is None or not (self.path / name).is_file():
            return None
        return self.path / name

    @property
    def nsight(self) -> Nsight | None:
        """What NVIDIA's own tools said of the run (`nsight.json`); None where none was asked. Errors: RunError."""
        return read_nsight(self.path)

    @property
    def end_to_end(self) -> EndToEndFolder | None:
        """What `model` measured of whole requests, read anew; None where it did not. Errors: RunError."""
        return read_end_to_end(self.path)

    def missing_traces(self) -> tuple[str, ...]:
        """Trace files that `run.json` names and the folder lacks."""
        return tuple(name for name in _trace_names(self.run) if not (self.path / name).is_file())


def is_run(folder: Path) -> bool:
    """Whether `folder` holds a run."""
    return (folder / RUN_FILE).is_file()


def read_run(folder: Path) -> RunFolder:
    """The run in `folder`.

    Errors: RunError for no run, a damaged or newer `run.json`, missing or damaged samples, values that no recording
    writes (`io.run.checks`); one sentence each.
    """
    run = _read_facts(folder)
    path = folder / SAMPLES_FILE
    timed = [facts.key.name for facts in run.keys if facts.status == "measured"]
    if not path.is_file():
        if timed:
            raise RunError(
                f"run {str(folder)!r} has lost its {SAMPLES_FILE} ({len(timed)} measured keys); "
                "restore the file or record again"
            )
        return RunFolder(folder, run, _no_samples())
    samples, dropped = _read_samples(path)
    return RunFolder(folder, run, samples, dropped)


def _read_facts(folder: Path) -> Run:
    path = folder / RUN_FILE
    if not path.is_file():
        seen = "no such folder" if not folder.exists() else f"no {RUN_FILE}"
        ranks = sorted(each.parent.name for each in folder.glob(f"{RANKS_FOLDER}/*/{RUN_FILE}"))
        if ranks:
            raise RunError(
                f"no whole run in {str(folder)!r}: all its ranks were stopped before they were put together; each "
                f"reads by itself ({', '.join(ranks[:4])}{', ...' if len(ranks) > 4 else ''}), "
                f"as {str(folder / RANKS_FOLDER / ranks[0])!r}"
            )
        raise RunError(f"no run in {str(folder)!r} ({seen}); expected a folder made by `rope_prof record`")
    try:
        data = path.read_bytes()
        version = msgspec.json.decode(data, type=decodable(_Version)).schema_version
        if version > SCHEMA_VERSION:
            raise RunError(
                f"run {str(folder)!r} has schema version {version}; this rope_prof reads up to {SCHEMA_VERSION}: "
                "install a newer rope_prof"
            )
        run = decoded(data)
    except DAMAGED as error:
        raise RunError(
            f"{RUN_FILE} of run {str(folder)!r} is damaged ({error}); restore the file or record again"
        ) from error
    except OSError as error:
        raise RunError(f"cannot read {str(path)!r} ({error.strerror}); check its permissions") from error
    require_facts(run, path)
    for name in _trace_names(run):
        if Path(name).name != name or name in {"", ".."}:
            raise RunError(
                f"{RUN_FILE} of run {str(folder)!r} names the trace {name!r}; expected a file of the folder itself"
            )
    return run


def _trace_names(run: Run) -> tuple[str, ...]:
    both = (name for facts in run.keys for name in (facts.trace, facts.light_trace))
    return tuple(name for name in both if name is not None)


@dataclass(frozen=True)
class _Version:
    schema_version: int


def _read_samples(path: Path) -> tuple[pl.DataFrame, int]:
    """(the samples in `path`, how many of its rows are left out because they come twice)."""
    try:
        frame = read_parquet(path, path.stat().st_size)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{str(path)!r} is damaged ({first}); restore the file or record again") from error
    wanted = samples_schema() | conditions_schema()
    frame = _whole(frame)
    if dict(frame.schema) != wanted:
        raise RunError(f"{str(path)!r} has the columns {dict(frame.schema)}; expected {wanted}: record again")
    kept = unambiguous(frame)
    require_samples(kept, path)
    return kept, frame.height - kept.height


def _whole(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame`, with empty columns for what was not asked when it was written."""
    later = {"throttled": pl.Boolean} | conditions_schema()
    missing = {name: kind for name, kind in later.items() if name not in frame.columns}
    return frame.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in missing.items())


def _no_samples() -> pl.DataFrame:
    return pl.DataFrame(schema=samples_schema() | conditions_schema())


def write_run(folder: Path, run: Run) -> None:
    """Write `run.json` atomically, and the folder where it is not there yet. Errors: RunError."""
    data = encoded(run)
    write_atomic(folder / RUN_FILE, lambda part: part.write_bytes(data))


def discard_run(folder: Path) -> None:
    """Take the facts and samples of a run in `folder` away, of which nothing is worth keeping."""
    for name in (RUN_FILE, SAMPLES_FILE):
        (folder / name).unlink(missing_ok=True)


def append_samples(folder: Path, rows: pl.DataFrame) -> None:
    """Add `rows` to the samples of the run in `folder`, atomically. Errors: RunError."""
    path = folder / SAMPLES_FILE
    old = _read_samples(path)[0] if path.is_file() else _no_samples()
    both = pl.concat([old, _whole(rows).select(old.columns).cast(old.schema)])
    data = io.BytesIO()
    both.write_parquet(data)  # in memory: polars turns a full disk into an error of its own
    write_atomic(path, lambda part: part.write_bytes(data.getbuffer()))


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """The run folders among `roots` and their direct children, newest `run.json` first."""
    found: dict[Path, float] = {}
    for root in roots:
        if not root.is_dir():
            continue
        for folder in (root, *sorted(root.iterdir())):
            if is_run(folder):
                found[folder] = (folder / RUN_FILE).stat().st_mtime
    return sorted(found, key=lambda folder: (-found[folder], folder.name))


def shipped_runs() -> Path:
    """The folder of the runs that ship: `traces/` of the repository, `rope_prof/traces` in a wheel."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "traces"
    return inside if inside.is_dir() else package.parent / "traces"
