"""A comparison as the JSON document of `compare --json`, for machines. Draws what `compare` found, no statistics.

Its fields are told in docs/json.md, and their types in docs/schema/compare.json.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from rope_prof.analysis.comparison.compare import families
from rope_prof.views.words.comparison import Comparison, method
from rope_prof.views.words.machine import machine_line

JSON_VERSION = 1


def compare_json(found: Comparison) -> str:
    """The JSON document that this module describes."""
    document = {
        "schema_version": JSON_VERSION,
        "base": found.typed[0],
        "cand": found.typed[1],
        "paired": found.paired,
        "command": found.command,
        "machines": [machine_line(side.run.machine) for side in (found.base, found.cand)],
        "method": method(found),
        "differences": [asdict(one) for one in found.differences],
        "unlike": [asdict(one) for one in found.unlike],
        "verdicts": [asdict(verdict) | {"case": verdict.case.name} for verdict in found.verdicts],
        "families": [asdict(one) for one in families(found.verdicts)],
        "allow_unknown": found.allow_unknown,
        "gates": [asdict(gate) | {"held": held, "base": v.base, "cand": v.cand} for gate, v, held in found.checked],
    }
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
