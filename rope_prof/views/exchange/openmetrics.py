"""OpenMetrics text: every key's times, kernels and bubbles as gauges in base units, for Prometheus and its like.

Source: OpenMetrics 1.0 (openmetrics.io): families in one piece each, seconds, labels escaped, `# EOF` at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rope_prof.analysis.run.rows import Row
from rope_prof.units import SECOND
from rope_prof.views.exchange.timed import Exchanged, TimedKey
from rope_prof.views.words.labels import axes

#: (further labels, value) of a key in one family.
_Samples = Iterator[tuple[dict[str, str], float]]


@dataclass(frozen=True, slots=True)
class _Family:
    """One metric: its name without the product's, its unit, what it says, and its samples of a key."""

    name: str
    unit: str
    help: str
    samples: Callable[[Row], _Samples]

    @property
    def full(self) -> str:
        return f"rope_prof_{self.name}" + (f"_{self.unit}" if self.unit else "")


def _time(field: str) -> Callable[[Row], _Samples]:
    """A figure with the ends of its interval."""

    def samples(row: Row) -> _Samples:
        found = getattr(row, field)
        for bound, ns in () if found is None else (("median", found.median), ("lo", found.lo), ("hi", found.hi)):
            if ns is not None:
                yield {"bound": bound}, ns / SECOND

    return samples


def _one(field: str, scale: float = 1.0) -> Callable[[Row], _Samples]:
    def samples(row: Row) -> _Samples:
        value = getattr(row, field)
        if value is not None:
            yield {}, value / scale

    return samples


FAMILIES = (
    _Family("wall", "seconds", "Wall time of a call, unprofiled: median and its 95 % interval.", _time("wall_ns")),
    _Family("device", "seconds", "Device time of a call behind a full queue, unprofiled.", _time("device_ns")),
    _Family("busy", "seconds", "Union of the GPU events of the captured calls, a call.", _one("busy_ns", SECOND)),
    _Family(
        "bubble", "seconds", "Wall less busy time of a call; may be negative.", _one("bubble_corrected_ns", SECOND)
    ),
    _Family("kernels", "", "Kernels of a call.", _one("kernels_per_call")),
    _Family("rounds", "", "Rounds that were measured.", _one("samples")),
    _Family("speedup", "ratio", "Wall of the baseline, eager, over wall, of the same rounds.", _one("speedup")),
    _Family("error_max", "", "Largest absolute error against the float64 reference.", _one("max_error")),
)


def openmetrics(found: Exchanged) -> str:
    """The text of a scrape. Labels: run, operation, device, the axes of the case, path, mode, l2, rank."""
    return "\n".join([*(line for family in FAMILIES for line in _lines(found, family)), "# EOF", ""])


def _lines(found: Exchanged, family: _Family) -> Iterator[str]:
    lines = [
        f"{family.full}{_labels(_of(found, one) | more)} {value!r}"
        for one in found.keys
        for more, value in family.samples(one.row)
    ]
    if lines:
        yield f"# TYPE {family.full} gauge"
        if family.unit:
            yield f"# UNIT {family.full} {family.unit}"
        yield f"# HELP {family.full} {family.help}"
        yield from lines


def _of(found: Exchanged, one: TimedKey) -> dict[str, str]:
    row, run = one.row, found.run
    case = {f"axis_{axis.name}": str(axis.value) for axis in axes(row.case)}
    place = {"path": row.path, "mode": row.mode, "l2": row.l2, "rank": str(row.rank)}
    return {"run": run.name, "operation": run.operation.name, "device": run.machine.device_name} | case | place


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
