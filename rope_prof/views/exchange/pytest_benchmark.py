"""The JSON of pytest-benchmark: one benchmark a key, its wall samples in seconds, grouped by case.

Source: what pytest-benchmark 5.3 writes and its `compare` reads. A round of theirs is a round of ours; `iterations` is
1, since our samples are per call already. The verdicts of its `compare` are its own: it pairs no rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import msgspec

from rope_prof.units import SECOND
from rope_prof.views.exchange.timed import Exchanged, TimedKey
from rope_prof.views.words.labels import axes

#: The version of pytest-benchmark whose files these are like.
VERSION = "5.3.1"


def pytest_benchmark(found: Exchanged) -> str:
    """The file's text. Keys without a wall clock are not in it (there are none: every measured key has one)."""
    machine = found.run.machine
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "machine_info": {
                    "node": "",
                    "processor": machine.cpu_name,
                    "machine": machine.platform,
                    "python_version": machine.python,
                    "cpu": {"brand_raw": machine.cpu_name, "count": machine.cpu_cores},
                    "device": machine.device_name,
                    "torch": machine.torch,
                    "triton": machine.triton,
                },
                "commit_info": {"id": machine.commit, "dirty": machine.dirty, "project": "rope_prof"},
                "benchmarks": [_benchmark(found.run.operation.name, one) for one in found.keys if one.wall_ns],
                "datetime": found.run.created,
                "version": VERSION,
            }
        )
    ).decode()


def _benchmark(operation: str, one: TimedKey) -> dict[str, Any]:
    row = one.row
    return {
        "group": f"{operation}: {row.case.words}",
        "name": f"{row.path} {row.mode} {row.l2} [{row.case.name}.r{row.rank}]",
        "fullname": f"{operation}::{row.key}",
        "params": {axis.name: axis.value for axis in axes(row.case)},
        "param": row.case.name,
        "extra_info": {"kernels_per_call": row.kernels_per_call, "busy_ns": row.busy_ns, "max_error": row.max_error},
        "options": {
            "disable_gc": False,
            "timer": "perf_counter",
            "min_rounds": len(one.wall_ns),
            "max_time": 0.0,
            "min_time": 0.0,
            "warmup": True,
        },
        "stats": _stats([ns / SECOND for ns in one.wall_ns]),
    }


def _quartile(data: Sequence[float]) -> float:
    """The lower quartile of sorted `data`, the upper one of data sorted downwards, by their methods 2 and 3."""
    count, part = len(data), len(data) // 4
    if count == 1:
        return data[0]
    if count % 2 == 0:
        return statistics.median(data[: count // 2])
    if count % 4 == 1:
        return 0.25 * data[part - 1] + 0.75 * data[part]
    return 0.75 * data[part] + 0.25 * data[part + 1]


def _stats(seconds: Sequence[float]) -> dict[str, Any]:
    """Their statistics of the samples, by their rules: quartiles, Tukey's fences."""
    data = sorted(seconds)
    q1, q3 = _quartile(data), _quartile(data[::-1])
    mean, iqr = statistics.fmean(data), q3 - q1
    deviation = statistics.stdev(data) if len(data) > 1 else 0.0
    fences = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    inside = [value for value in data if fences[0] <= value <= fences[1]]
    beyond = sum(not fences[0] <= value <= fences[1] for value in data)
    far = sum(abs(value - mean) > deviation for value in data)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": statistics.median(data),
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond,
        "stddev_outliers": far,
        "outliers": f"{far};{beyond}",
        "ld15iqr": inside[0],
        "hd15iqr": inside[-1],
        "ops": 1 / mean,
        "total": sum(data),
        "data": list(seconds),
        "iterations": 1,
    }
