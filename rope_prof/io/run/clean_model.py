"""What was read, without what is private, before anything is made of it: a run's own words, the names in a trace.

Keys keep their names, by which samples, files and figures are found; who writes them down cleans what is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from rope_prof.io.run.clean_json import clean_word
from rope_prof.io.run.folder import RunFolder
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.run.requests import EndToEndFolder, read_end_to_end
from rope_prof.model.end_to_end import PathFacts
from rope_prof.model.run import Key, Run
from rope_prof.model.trace import Trace

if TYPE_CHECKING:
    from rope_prof.model.nsight import Nsight

#: Facts that name files or places of the model, not people.
_KEPT = frozenset(("key", "case", "status", "trace", "light_trace", "traces", "sqlite", "reports", "created"))


class CleanFolder(RunFolder):
    """A run folder of which every text that somebody could have written is cleaned as it is read; `blank` does it."""

    blank: Callable[[str], str] = str

    @property
    def nsight(self) -> Nsight | None:
        """As `RunFolder.nsight`."""
        found = read_nsight(self.path)
        return None if found is None else _clean(found, self.blank)

    @property
    def end_to_end(self) -> EndToEndFolder | None:
        """As `RunFolder.end_to_end`; paths keep their names, by which samples and files are found."""
        found = read_end_to_end(self.path)
        return None if found is None else replace(found, facts=_clean(found.facts, self.blank))


def clean_folder(folder: RunFolder, blank: Callable[[str], str]) -> CleanFolder:
    """`folder` with its own words cleaned, and whatever is read of it later."""
    run = clean_run(folder.run, blank)
    return CleanFolder(folder.path, run, folder.samples, folder.dropped_rows, blank)


def clean_run(run: Run, blank: Callable[[str], str]) -> Run:
    """`run` with every text that somebody could have written cleaned."""
    made = _clean(run, blank)
    assert isinstance(made, Run)
    return made


def _clean(value: Any, blank: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return blank(value)
    if isinstance(value, tuple):
        return tuple(_clean(item, blank) for item in value)
    if isinstance(value, dict):
        return {name: _clean(item, blank) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type | Key):
        kept = _KEPT | {"path"} if isinstance(value, PathFacts) else _KEPT
        held = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in kept}
        changed = {name: after for name, item in held.items() if (after := _clean(item, blank)) != item}
        return replace(value, **changed) if changed else value
    return value


def clean_trace(trace: Trace, blank: Callable[[str], str]) -> Trace:
    """`trace` with the texts of all its frames cleaned, each different one once."""
    held = {one.name: getattr(trace, one.name) for one in fields(trace)}
    frames = {name: frame for name, frame in held.items() if isinstance(frame, pl.DataFrame) and frame.height}
    columns = [column for frame in frames.values() for column in frame.iter_columns() if column.dtype == pl.String]
    changed = _changed(columns, blank)
    cleaned: dict[str, Any] = {name: _replaced(frame, changed) for name, frame in frames.items()} if changed else {}
    return replace(trace, **cleaned)


def clean_whole_trace(trace: Trace, blank: Callable[[str], str]) -> Trace:
    """The same with the texts of its facts, for a file that holds them."""
    return replace(
        clean_trace(trace, partial(clean_word, blank=blank)),  # shapes and types of operators are JSON texts
        device_names=_clean_facts(trace.device_names, blank),
        metadata=_clean_facts(trace.metadata, blank),
        own=_clean_facts(trace.own, blank),
        findings=_clean(trace.findings, blank),
    )


def _clean_facts(facts: Any, blank: Callable[[str], str]) -> Any:
    """What JSON can hold, also without the values of fields that name a machine or a person."""
    return json.loads(clean_word(json.dumps(facts), blank), strict=False)


def clean_frame(frame: pl.DataFrame, blank: Callable[[str], str]) -> pl.DataFrame:
    """`frame` with the texts of its columns cleaned, each different one once."""
    return _replaced(frame, _changed([one for one in frame.iter_columns() if one.dtype == pl.String], blank))


def _changed(columns: list[pl.Series], blank: Callable[[str], str]) -> dict[str, str]:
    """text -> what becomes of it, of those that change."""
    texts = pl.concat([column.rename("") for column in columns]).unique().drop_nulls() if columns else ()
    return {text: after for text in texts if (after := blank(text)) != text}


def _replaced(frame: pl.DataFrame, changed: dict[str, str]) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.String).replace(changed)) if changed else frame
