"""`customSmallerIsBetter` of github-action-benchmark: a list of names, values and units, of which less is better.

Source: the README of benchmark-action/github-action-benchmark, v1. `value` is a median; its `range` is the 95 %
interval of that median, which the action prints as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from rope_prof.analysis.stats import Figure
from rope_prof.units import ends, in_us, number
from rope_prof.views.exchange.timed import Exchanged, TimedKey
from rope_prof.views.words.sampled import counted_over


def github_benchmark(found: Exchanged) -> str:
    """Wall and device time of each key, µs a call."""
    entries = [entry for one in found.keys for entry in _entries(found.run.operation.name, one)]
    return msgspec.json.format(msgspec.json.encode(entries)).decode()


def _entries(operation: str, one: TimedKey) -> Iterator[dict[str, str | float | None]]:
    clocks: tuple[tuple[str, Figure | None], ...] = (("wall", one.row.wall_ns), ("device", one.row.device_ns))
    for clock, figure in clocks:
        if figure is not None:
            yield {
                "name": f"{operation}: {one.label} · {clock}",
                "unit": "µs",
                "value": in_us(figure.median),
                "range": ends(figure.lo, figure.hi) or "no interval",
                "extra": _extra(one, figure),
            }


def _extra(one: TimedKey, figure: Figure) -> str:
    kernels = "" if one.row.kernels_per_call is None else f"{number(one.row.kernels_per_call)} kernels a call, "
    return f"{kernels}median of {counted_over([figure])}, L2 {one.row.l2}"
