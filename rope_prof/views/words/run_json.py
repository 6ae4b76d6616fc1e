"""A run as the JSON document of `show --json`, for machines. Draws what the analysis computed, no arithmetic.

JSON of `show --json`, version 1. Times are ns per call; a figure that is not there is null, never 0.

- `schema_version`: of this document; grows when a field changes its meaning or goes, not when one joins.
- `run`: `name`, `created`, `command`, `seed`, `complete`, `settings`. `machine`: as recorded.
- `keys`: one object per key, in the order of the run:
  - `key`: its name; `case`: its `name` and a field an axis; `path`; `mode`; `l2`; `rank`;
  - `status`: measured, checked, wrong, unavailable, failed or pending; `reason`: a sentence, or null;
  - `kernels_per_call`, `kernel_ns`, `busy_ns`, `period_ns`, `bubble_raw_ns`: medians over the captured calls, under
    the profiler; `kernel_ns` is the sum of the kernels; `busy_ns`, which the bubbles leave out, is the union of all GPU
    events of the captured calls over their number, so that launches that overlap are counted once; on a CPU a kernel is
    a leaf operator; of a cold graph the period lies inside the replay and its inflation is that over the
    device time;
  - `bubble_raw_trusted`: whether `inflation` lies within 1.5 and 1 / 1.5, so that the raw bubble tells something; null
    where there is no raw bubble or no inflation;
  - `bubble_corrected_ns`: median unprofiled wall less busy; may be negative; it is `bubble_host_ns` (wall less the
    device time of calls that were all in the queue: the device waits for the host) + `bubble_queue_ns` (that device
    time less busy: between kernels launched long before), both null without a device clock; `bubble_by_replay_ns`: the
    same without a profiler, wall less (device time of the graph's replay less its gaps); `bubbles_agree`: within 5 %
    of the wall;
  - `wall_ns`, `device_ns`: {`median`, `lo`, `hi`, `n`}, unprofiled; [lo, hi] holds the true median with 95 % coverage
    (order statistics) and is null under six samples;
  - `p10_ns`, `p90_ns`: tenth and ninetieth percentile of the wall samples;
  - `inflation`: profiled period / unprofiled wall; `light_inflation`, `light_bubble_raw_ns`: of the capture at the
    lowest overhead, without the host's operators;
  - `speedup`: wall of the baseline eager / wall, the median over rounds; `speedup_interval` {`median`, `lo`, `hi`,
    `n`}; null for a path that is wrong; `mode_speedup`: the same against the baseline in the key's own mode;
  - `max_error`, `max_error_limit`, `rounded_share`, `nans`, `error_dtype`: against the float64 oracle;
  - `first_call_ns`: the first call with its compilation; `bytes_moved`: by the path's kernels;
    `bytes_per_s`: those / device time; `byte_floor_ns`: one pass over the views by the best known way;
    `roofline_share`: that / device time;
  - `stopped`: why its rounds ended, with the width of the interval; `samples`: how many there are;
    `throttled_samples`: those taken while power or heat held the clock down, `other_clock_samples`: under a
    clock over 5 % off the run's own; null where the device does not say.
- `comparable`: whether its figures may be compared with another run's, in a sentence.
- `headlines`: per case and path `baseline` (the path that it is held against), `best` (the baseline in its fastest mode
  against the path in its own), `same` (both in one mode), `device` (eager against eager by the device's clock):
  `base_mode`, `cand_mode`, `clock`, `ratio`, `before_ns`, `after_ns`.
- `modes`: per case and path `wall_ns` by mode; `compiler`, `graph`: wall eager / wall in that mode; `fusing` by mode:
  wall of the baseline / wall in the same mode; `after_all`: the baseline in its fastest mode / this path in its
  fastest, `fastest` names the two.
- `ceilings`: per case what the card did by the best known way (`methods`), and every method in `measured`.
- `floors`: per key `launch_ns`, `bytes_ns`, `floor_ns`, `share` (floor / wall) and `won` (part of the achievable win).
- `decompositions`: `base`, `cand`, `total`, `terms`, `residual`, `parts` of the residual (each {`name`, `saved_ns`,
  `lo`, `hi`, `how`}), `residual_share`, `closes`, `reason`; `sides`: of baseline and candidate `key`, `device_ns`,
  `busy_ns`, `gaps_ns`, `residual_ns`, `share` (residual / device), `closes`, `reason`.
- `ranks`: null where one process recorded; `spread`: per case, path, mode and L2 state the fastest, middle and slowest
  rank; `alone_rounds`: how many rounds each rank was timed alone, null where it was not; `at_once`: `wall` and
  `device` at once over alone, the mean over the ranks (`lo`, `hi` null under three); `causes`: per rank `own_wall`,
  `own_device` (alone over the other ranks alone), `shared_wall`, `shared_device` (at once over itself alone), each
  {`ratio`, `keys`, `slow`} or null; `bubble_ns`, `bubble_alone_ns`; `causes`: of `card`, `host`, `self` (no clock tells
  which), `shared host`, `shared card`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, get_args

import msgspec

from rope_prof.analysis.requests.requests import LogitsAgreement, Prediction, RequestRow
from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.rank_causes import By, over_ranks
from rope_prof.analysis.run.rank_spread import rank_spread
from rope_prof.analysis.run.rows import Row
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.model.run import Accuracy, Case, Run
from rope_prof.views.words.comparable import comparable_line
from rope_prof.views.words.requests import Steps
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
        "rows": [asdict(row) for row in rows],
        "agreement": [asdict(one) for one in agreed],
        "steps": [{"path": path, "phase": phase} | asdict(one) for (path, phase), one in steps.items()],
        "predictions": [asdict(one) | {"held": one.held, "reached": one.reached} for one in predicted],
    }


def numbers_json(found: Numbers) -> dict[str, Any]:
    """What stands beside `keys` in the document."""
    return {
        "comparable": comparable_line(found.run),
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
