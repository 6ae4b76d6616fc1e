"""What runs under `nsys` or `ncu`: the calls of a capture in their NVTX ranges, and no profiler of its own.

A child process, started on a plan file in a neutral folder. Everything that must not be
recorded (compilation, building graphs) lies before `cudaProfilerStart`. What it did is written beside the
plan as `done.json`: per key the ranges, the calls in each, or why it failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import groupby
from pathlib import Path

import msgspec
import torch

from rope_prof.model.frozen import decodable
from rope_prof.model.run import Key
from rope_prof.record.bench.operations import Operations
from rope_prof.record.bench.subjects import Ring, eager_subject, graph_subject, in_mode, prepare_compiler
from rope_prof.record.capture.capture import WARM_CALLS, ranges_of, run_ranged
from rope_prof.record.capture.ranges import CallRange
from rope_prof.record.device.devices import RecordDevice, find_device
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.timing import Subject

PLAN_FILE = "plan.json"
DONE_FILE = "done.json"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the child is to run. `one_call`: one ranged call of each key, for counters; else `calls` of them."""

    device: str
    seed: int
    calls: int
    one_call: bool
    keys: tuple[Key, ...]


class Ranged(msgspec.Struct, frozen=True, kw_only=True):
    """What the child did for one key: `ranges` of `step` calls each, or why not."""

    key: str
    ranges: int = 0
    step: int = 1
    reason: str | None = None


def main(folder: Path) -> None:
    """Run the plan in `folder` and write what was done beside it."""
    plan = msgspec.json.decode((folder / PLAN_FILE).read_bytes(), type=decodable(Plan))
    device, operations = find_device(plan.device), Operations()
    ready: list[tuple[Key, Ring, Subject]] = []
    done: list[Ranged] = []
    for case, keys in groupby(plan.keys, key=lambda key: key.case):
        try:
            ring = Ring(operations.of(case.operation), case, device, plan.seed, least=GRAPH_CALLS)
        except Exception as error:
            done += [_failed(key, error) for key in keys]
            continue
        for key in keys:
            try:
                ready.append((key, ring, _prepared(key, ring, device)))
            except Exception as error:
                done.append(_failed(key, error))
    with recorded(device) if not plan.one_call else nullcontext():
        done += [_run(plan, *subject, device) for subject in ready]
    (folder / DONE_FILE).write_bytes(msgspec.json.encode(done))


def _failed(key: Key, error: Exception) -> Ranged:
    return Ranged(key=key.name, reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


def _prepared(key: Key, ring: Ring, device: RecordDevice) -> Subject:
    """Compiled, captured where it is a graph, and run once in its range."""
    subject = _subject(key, ring, device)
    _ranged(subject, f"warm-up of {key.name}", 1, device)
    return subject


def _run(plan: Plan, key: Key, ring: Ring, subject: Subject, device: RecordDevice) -> Ranged:
    """As in a capture: new values, a few calls ahead, then the calls that count; one call where counters are read."""
    ranges = 1 if plan.one_call else ranges_of(subject, plan.calls)
    try:
        ring.refill(plan.seed)
        _ranged(subject, f"warm-up of {key.name}", WARM_CALLS, device)
        with recorded(device) if plan.one_call else nullcontext():
            _ranged(subject, key.name, ranges, device)
    except Exception as error:
        return _failed(key, error)
    return Ranged(key=key.name, ranges=ranges, step=subject.step)


def _subject(key: Key, ring: Ring, device: RecordDevice) -> Subject:
    if key.mode == "compile":
        prepare_compiler(device)
    call, _ = in_mode(ring.operation, key)
    return graph_subject(key, call, ring, device) if key.mode == "graph" else eager_subject(key, call, ring)


def _ranged(subject: Subject, name: str, ranges: int, device: RecordDevice) -> None:
    marks = [CallRange(name, call) for call in range(ranges)]
    run_ranged(marks, [subject.work(subject.step) for _ in range(ranges)], subject, device)


@contextmanager
def recorded(device: RecordDevice) -> Iterator[None]:
    """What lies inside is recorded by a tool that waits for `cudaProfilerStart`. On a CPU: nothing to tell."""
    if device.kind != "cuda":
        yield
        return
    device.synchronize()
    torch.cuda.profiler.start()
    try:
        yield
        device.synchronize()
    finally:
        torch.cuda.profiler.stop()
