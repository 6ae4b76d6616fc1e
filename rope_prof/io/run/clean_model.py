"""What was read, without what is private, before anything is made of it: a run's own words, the names in a trace.

Keys keep their names, by which samples, files and figures are found; who writes them down cleans what is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import polars as pl

from rope_prof.model.run import Key, Run
from rope_prof.model.trace import Trace

#: Facts that name files or places of the model, not people.
_KEPT = frozenset(("case", "status", "trace", "light_trace", "created"))


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
        held = {field.name: getattr(value, field.name) for field in fields(value) if field.name not in _KEPT}
        changed = {name: after for name, item in held.items() if (after := _clean(item, blank)) != item}
        return replace(value, **changed) if changed else value
    return value


def clean_trace(trace: Trace, blank: Callable[[str], str]) -> Trace:
    """`trace` with the texts of all its frames cleaned, each different one once."""
    return replace(
        trace,
        gpu=_clean_frame(trace.gpu, blank),
        calls=_clean_frame(trace.calls, blank),
        ranges=_clean_frame(trace.ranges, blank),
        ops=_clean_frame(trace.ops, blank),
        overheads=_clean_frame(trace.overheads, blank),
    )


def _clean_frame(frame: pl.DataFrame, blank: Callable[[str], str]) -> pl.DataFrame:
    changes = []
    for name, dtype in frame.schema.items():
        if dtype == pl.String:
            texts = frame[name].drop_nulls().unique().to_list()
            changed = {text: after for text in texts if (after := blank(text)) != text}
            if changed:
                changes.append(pl.col(name).replace(changed))
    return frame.with_columns(changes) if changes else frame
