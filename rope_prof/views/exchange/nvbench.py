"""The JSON of NVBench 1.0.0: device times of each key, for `nvbench-compare` and its like.

Source: what cuda-bench 0.3.0 reads. A benchmark is a path and mode, a state one case of it; NVBench knows one L2 state
(`cold`) and names all its device times so: a hot key is a benchmark of its own that says so. Times are seconds a call.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rope_prof.analysis.stats import middle
from rope_prof.errors import RunError
from rope_prof.model.run import Run
from rope_prof.units import SECOND
from rope_prof.views.exchange.timed import Exchanged, TimedKey
from rope_prof.views.words.labels import AxisValue, axes

#: Of `meta.version.json`: readers take files of the same major version.
SCHEMA = {"major": 1, "minor": 0, "patch": 0, "string": "1.0.0"}
#: What a device time of a key is called there: (tag, name, hint).
_TIME = "nv/cold/time/gpu"


def nvbench(found: Exchanged) -> str:
    """The file's text. Errors: RunError where no key has a device time, as in a run on a CPU."""
    groups: dict[str, list[TimedKey]] = {}
    for one in found.keys:
        if one.device_ns:
            groups.setdefault(_title(found.run, one), []).append(one)
    if not groups:
        raise RunError(
            f"no device time in run '{found.run.name}' (recorded on {found.run.machine.device_name}), and NVBench's "
            "files hold device times; export --to pytest-benchmark, github-benchmark or openmetrics, which hold wall "
            "times"
        )
    document = {
        "meta": {"argv": [], "version": {"json": SCHEMA, "rope_prof": {"string": found.run.rope_prof}}},
        "devices": _devices(found),
        "benchmarks": [_benchmark(index, title, keys) for index, (title, keys) in enumerate(groups.items())],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def _title(run: Run, one: TimedKey) -> str:
    return f"{run.operation.name}: {one.row.path} {one.row.mode} {one.row.l2}"


def _devices(found: Exchanged) -> list[dict[str, Any]]:
    """One device a rank; what the run does not know of it is left out."""
    machine = found.run.machine
    known = {
        "number_of_sms": machine.multiprocessors,
        "l2_cache_size": machine.l2_bytes,
        "global_memory_size": machine.memory_bytes,
    }
    facts = {name: value for name, value in known.items() if value is not None}
    return [{"id": rank, "name": machine.device_name} | facts for rank in range(found.run.ranks)]


def _benchmark(index: int, title: str, keys: Sequence[TimedKey]) -> dict[str, Any]:
    return {
        "name": title,
        "index": index,
        "min_samples": min(len(one.device_ns) for one in keys),
        "devices": sorted({one.row.rank for one in keys}),
        "axes": list(_axes(keys)),
        "states": [_state(one) for one in keys],
    }


def _axes(keys: Sequence[TimedKey]) -> Iterator[dict[str, Any]]:
    for column in zip(*(axes(one.row.case) for one in keys), strict=True):
        values = {axis.value: axis for axis in column}
        yield {
            "name": column[0].name,
            "type": _type(column[0]),
            "flags": "",
            "values": [{"input_string": str(value), "description": "", "value": value} for value in values],
        }


def _type(axis: AxisValue) -> str:
    return "int64" if isinstance(axis.value, int) else "string"


def _state(one: TimedKey) -> dict[str, Any]:
    case = axes(one.row.case)
    return {
        "name": " ".join([f"Device={one.row.rank}", *(f"{axis.name}={axis.value}" for axis in case)]),
        "device": one.row.rank,
        "type_config_index": 0,
        "axis_values": [{"name": axis.name, "type": _type(axis), "value": str(axis.value)} for axis in case],
        "summaries": list(_summaries(one)),
        "is_skipped": False,
    }


def _summaries(one: TimedKey) -> Iterator[dict[str, Any]]:
    seconds = [ns / SECOND for ns in one.device_ns]
    mean, median = statistics.fmean(seconds), statistics.median(seconds)
    deviation = statistics.stdev(seconds) if len(seconds) > 1 else None
    quartiles = middle(seconds, 0.5) or (median, median)
    yield _summary("nv/cold/sample_size", "Samples", "sample_size", len(seconds))
    yield _summary(f"{_TIME}/min", "Min GPU Time", "duration", min(seconds))
    yield _summary(f"{_TIME}/max", "Max GPU Time", "duration", max(seconds))
    yield _summary(f"{_TIME}/mean", "GPU Time", "duration", mean)
    yield _summary(f"{_TIME}/median", "Median GPU Time", "duration", median)
    yield _summary(f"{_TIME}/q1", "Q1 GPU Time", "duration", quartiles[0])
    yield _summary(f"{_TIME}/q3", "Q3 GPU Time", "duration", quartiles[1])
    yield _summary(f"{_TIME}/iqr/absolute", "IQR", "duration", quartiles[1] - quartiles[0])
    yield _summary(f"{_TIME}/iqr/relative", "Relative IQR", "percentage", (quartiles[1] - quartiles[0]) / median)
    if deviation is not None:
        yield _summary(f"{_TIME}/stdev/absolute", "Deviation", "duration", deviation)
        yield _summary(f"{_TIME}/stdev/relative", "Noise", "percentage", deviation / mean)
    if one.row.bytes_per_s is not None:
        yield _summary("nv/cold/bw/global/bytes_per_second", "GlobalMem BW", "byte_rate", one.row.bytes_per_s)


def _summary(tag: str, name: str, hint: str, value: float) -> dict[str, Any]:
    """A whole number travels as text, as NVBench writes them."""
    kind = "int64" if isinstance(value, int) else "float64"
    said = str(value) if isinstance(value, int) else value
    return {"tag": tag, "name": name, "hint": hint, "data": [{"name": "value", "type": kind, "value": said}]}
