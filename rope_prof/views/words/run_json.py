"""A run as the JSON document of `show --json`, for machines. Draws what the analysis computed, no arithmetic.

Its fields are told in docs/json.md, and their types in docs/schema/show.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

import msgspec

from rope_prof.analysis.requests.requests import LogitsAgreement, Prediction, RequestRow, timed_rounds
from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.rank_causes import By, over_ranks
from rope_prof.analysis.run.rank_spread import rank_spread
from rope_prof.analysis.run.rows import Row
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.model.run import Accuracy, Case, Run
from rope_prof.views.words.comparable import comparable_line
from rope_prof.views.words.requests import Steps
from rope_prof.views.words.sampled import interval_line
from rope_prof.views.words.stopped import stopped_words

JSON_VERSION = 1


def run_json(
    run: Run,
    rows: Sequence[Row],
    end_to_end: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> str:
    """The JSON document that this module describes; `end_to_end` only where whole requests were measured.

    `more` joins it at its top: what `numbers_json` makes.
    """
    document: dict[str, Any] = {
        "schema_version": JSON_VERSION,
        "run": {
            "name": run.name,
            "created": run.created,
            "command": run.command,
            "seed": run.seed,
            "complete": run.complete,
            "settings": run.settings,
        },
        "machine": asdict(run.machine),
        "keys": [row_json(row) for row in rows],
    }
    document |= more or {}
    if end_to_end is not None:
        document["end_to_end"] = end_to_end
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def row_json(row: Row) -> dict[str, Any]:
    """One entry of `keys`: every field of the row by its name, but for those that `_OTHERWISE` tells."""
    document: dict[str, Any] = {}
    for name, value in msgspec.to_builtins(row).items():
        if name in _OTHERWISE:
            document |= _OTHERWISE[name](row)
        else:
            document[name] = _whole(value) if name.endswith(_MEASURED) else value
    return document


#: Ends the name of what is measured, which stands without a point where it is whole.
_MEASURED = ("_ns", "_per_call", "_per_s")
#: Fields that stand under another name, or in words.
_OTHERWISE: Mapping[str, Callable[[Row], dict[str, Any]]] = {
    "case": lambda row: {"case": {"name": row.case.name} | dict(row.case.values)},
    "bubble_raw_ns": lambda row: {
        "bubble_raw_ns": _whole(row.bubble_raw_ns),
        "bubble_raw_trusted": None if row.inflation is None or row.bubble_raw_ns is None else row.raw_trusted,
    },
    "accuracy": lambda row: _accuracy(row.accuracy),
    "stopped": lambda row: {"stopped": None if row.stopped is None else stopped_words(row.stopped)},
    "samples": lambda row: {"samples": row.samples or None},
    "throttled": lambda row: {"throttled_samples": row.throttled},
    "other_clock": lambda row: {"other_clock_samples": row.other_clock},
}


def _accuracy(found: Accuracy | None) -> dict[str, Any]:
    names = {"max_error_limit": "limit", "rounded_share": "rounded_share", "nans": "nans", "error_dtype": "dtype"}
    return {name: None if found is None else getattr(found, field) for name, field in names.items()}


def _whole(value: Any) -> Any:
    """25.0 as 25; every digit that a table was written from; what is no number as it is."""
    return int(value) if isinstance(value, float) and value == int(value) else value


def end_to_end_json(
    facts: EndToEnd,
    rows: Sequence[RequestRow],
    agreed: Sequence[LogitsAgreement],
    steps: Steps,
    predicted: Sequence[Prediction],
) -> dict[str, Any]:
    """The object `end_to_end` of `show --json`. Times are ns, gains shares of the unfused chain's time."""
    return {
        "schema_version": facts.schema_version,
        "model": asdict(facts.model),
        "request": asdict(facts.request),
        "rounds": facts.rounds,
        "timed_rounds": timed_rounds(rows),
        "complete": facts.complete,
        "rows": [asdict(row) for row in rows],
        "agreement": [asdict(one) for one in agreed],
        "steps": [{"path": path, "phase": phase} | asdict(one) for (path, phase), one in steps.items()],
        "predictions": [asdict(one) | {"held": one.held, "reached": one.reached} for one in predicted],
    }


def numbers_json(found: Numbers) -> dict[str, Any]:
    """What stands beside `keys` in the document."""
    return {
        "comparable": comparable_line(found.run),
        "intervals": interval_line(found.rows),
        "headlines": [_cased(asdict(one), one.case) for one in found.headlines],
        "modes": [_cased(asdict(row), row.case) for row in found.modes],
        "ceilings": [_ceilings_json(one) for one in found.ceilings if one.measured],
        "floors": [_cased(asdict(floor), floor.case) for floor in found.floors if floor.floor_ns is not None],
        "decompositions": [
            asdict(one)
            | {"base": one.base.name, "cand": one.cand.name}
            | {"sides": [asdict(side) | {"key": side.key.name} for side in one.sides]}
            for one in found.decompositions
        ],
        "ranks": _ranks_json(found),
    }


def _ranks_json(found: Numbers) -> dict[str, Any] | None:
    spread = rank_spread(found.rows)
    if not spread:
        return None
    at_once = ((clock, over_ranks(found.ranks, clock)) for clock in get_args(By))
    return {
        "spread": [_cased(asdict(one), one.case) for one in spread],
        "alone_rounds": found.run.settings.get("alone_rounds"),
        "at_once": {clock: None if one is None else asdict(one) for clock, one in at_once},
        "causes": [asdict(one) for one in found.ranks],
    }


def _ceilings_json(one: Ceilings) -> dict[str, Any]:
    measured = [
        {"name": m.ceiling.name, "method": m.ceiling.method, "clock": m.clock, "ns": asdict(m.ns), "best": m.best}
        | {"bytes_moved": m.ceiling.bytes_moved, "busy_ns": m.ceiling.busy_ns}
        for m in one.measured
    ]
    return _cased(asdict(one), one.case) | {"measured": measured}


def _cased(fields: dict[str, Any], case: Case) -> dict[str, Any]:
    return fields | {"case": case.name}
