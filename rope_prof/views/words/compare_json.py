"""A comparison as the JSON document of `compare --json`, for machines. Draws what `compare` found, no statistics.

JSON of `compare --json`, version 1: `base`, `cand` (as typed), `paired` (both of one run), `command`, `machines` (one
line each: baseline, candidate), `method` (the notes), `differences` (what differs and was let pass): `what`, `base`,
`cand`; `unlike`: what of the machines, versions, commits and clocks of two runs differs, the same three; `verdicts`:
one object per pair of keys and metric: `case`, `base`, `cand` (key names), `metric` (wall, device, kernels, bubble),
`word`, `ratio` {`median`, `lo`, `hi`, `n`} of baseline / candidate or null, `reason` or null, `before`, `after`
(medians: ns per call, of kernels their number; null where there is none); of two runs `within` (the ratio by their
rounds alone) and `between` {`factor`, `how`} (how far runs of the same code differ, which `ratio` holds); `p_value`
(how likely such a difference is of sides without any) and `chance` (it is no more than so many comparisons give);
`untimed` (a key that neither side's device can time); `before_parts`, `after_parts` {`host`, `queue`} of a bubble, ns
per call: wall less the device time with a full queue, and that less busy, as in `show --json`; else null;
`families`: per metric `judged`, `differ`, `by_chance`, `kept`;
`gates`: `metric`, `percent`, `held` (holds, fails, undecided), `base` and `cand` of each bound asked for;
`allow_unknown`: whether bounds that are undecided pass.
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
