"""The end-to-end part of a run folder: `end_to_end.json` and `end_to_end.parquet`, beside the run's own files."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import polars as pl

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.bombs import read_parquet
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.run.checks import require_samples
from rope_prof.model.end_to_end import SCHEMA_VERSION, EndToEnd
from rope_prof.model.frozen import Frozen, decodable
from rope_prof.model.samples import samples_schema

FACTS_FILE = "end_to_end.json"
SAMPLES_FILE = "end_to_end.parquet"


class EndToEndFolder(Frozen):
    """What a run folder holds of whole requests. `samples` has the schema of `model.samples.samples_schema`."""

    path: Path
    facts: EndToEnd
    samples: pl.DataFrame

    def trace_path(self, path: str, phase: str) -> Path | None:
        """The profile of `path` in `phase`; None where it was not recorded or the file is gone."""
        for facts in self.facts.paths:
            name = (facts.traces or {}).get(phase) if facts.path == path else None
            if name and (self.path / name).is_file():
                return self.path / name
        return None


def read_end_to_end(folder: Path) -> EndToEndFolder | None:
    """The end-to-end part of the run in `folder`; None where it has none. Errors: RunError where it is damaged."""
    path = folder / FACTS_FILE
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        facts = msgspec.json.decode(data, type=decodable(EndToEnd))
    except (*DAMAGED, OSError) as error:
        raise RunError(f"{str(path)!r} is damaged ({error}); restore the file or run `model` again") from error
    if facts.schema_version > SCHEMA_VERSION:
        raise RunError(
            f"{str(path)!r} has schema version {facts.schema_version}; this rope_prof reads up to {SCHEMA_VERSION}: "
            "install a newer rope_prof"
        )
    for one in facts.paths:
        for name in (one.traces or {}).values():
            if Path(name).name != name or name in {"", ".."}:
                raise RunError(f"{str(path)!r} names the trace {name!r}; expected a file of the folder itself")
    return EndToEndFolder(folder, facts, _samples(folder / SAMPLES_FILE))


def _samples(path: Path) -> pl.DataFrame:
    wanted = end_to_end_schema()
    if not path.is_file():
        return pl.DataFrame(schema=wanted)
    try:
        frame = read_parquet(path, path.stat().st_size)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{str(path)!r} is damaged ({first}); restore the file or run `model` again") from error
    if dict(frame.schema) != wanted:
        raise RunError(f"{str(path)!r} has the columns {dict(frame.schema)}; expected {wanted}: run `model` again")
    require_samples(frame, path, "run `model` again")
    return frame


def end_to_end_schema() -> dict[str, type[pl.DataType]]:
    """The columns of `end_to_end.parquet`: those of a run's samples that every version has."""
    schema = samples_schema()
    return {name: schema[name] for name in ("key", "round", "clock", "calls", "ns")}


def write_end_to_end(folder: Path, facts: EndToEnd, samples: pl.DataFrame) -> None:
    """Write both files atomically, the facts last. Errors: RunError."""
    data = io.BytesIO()
    samples.select(list(end_to_end_schema())).write_parquet(data)
    write_atomic(folder / SAMPLES_FILE, lambda part: part.write_bytes(data.getbuffer()))
    text = msgspec.json.format(msgspec.json.encode(facts), indent=1)
    write_atomic(folder / FACTS_FILE, lambda part: part.write_bytes(text + b"\n"))
