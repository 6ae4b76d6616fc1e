"""Hand-drawn whole requests beside a run: facts, samples and small profiles, on an invented GPU or a CPU."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from rope_prof.io.run.folder import write_run
from rope_prof.io.run.requests import end_to_end_schema, write_end_to_end
from rope_prof.io.run.schema import MROPE
from rope_prof.model.end_to_end import (
    SCHEMA_VERSION,
    Deviation,
    EndToEnd,
    ModelFacts,
    PathFacts,
    RequestFacts,
    RequestSubject,
)
from rope_prof.model.run import SCHEMA_VERSION as RUN_VERSION
from rope_prof.model.run import Machine, Run
from tests.builders import Drawn, kernel, kineto_json, op, range_, trace
from tests.dashboard.drawn_run import machine

LAYERS = 2
STEPS = {"prefill": 2, "decode": 3}
#: Kernels of a rope call by path; all others make one.
ROPE = {"unfused": 5}
#: Unprofiled ms of a prefill, a decoded token, and one under a CUDA graph.
TIMES = {"stock": (0.20, 0.20, 0.10), "unfused": (0.22, 0.22, 0.11), "per-token": (0.18, 0.18, 0.1)}
OTHER = (0.16, 0.16, 0.095)
#: Samples are of this many calls, so that a ns of them is exact.
CALLS = 10


def write_requests(
    folder: Path,
    *,
    paths: tuple[str, ...] = ("stock", "unfused", "per-token", "fused"),
    profiled: tuple[str, ...] = ("unfused", "fused"),
    device: str = "cuda",
    names: tuple[str, ...] = ("add", "mul"),
    rounds: int = 16,
) -> Path:
    """`end_to_end.json`, its samples and a profile of each phase of `profiled`, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    on_cpu = device == "cpu"
    rows = [row for path in paths for row in _samples(path, rounds, graphs=not on_cpu)]
    facts = EndToEnd(
        schema_version=SCHEMA_VERSION,
        created="2026-01-01T00:00:00+00:00",
        command="python -m rope_prof model --preset tiny",
        seed=0,
        rounds=rounds,
        machine=cpu() if on_cpu else machine(),
        model=ModelFacts(
            preset="tiny",
            layers=LAYERS,
            parameters=1_000_000,
            weights_bytes=2_000_000,
            dtype="bf16",
            experts="grouped_mm",
            attention="sdpa",
            transformers="5.17.0",
        ),
        request=RequestFacts(prompt_tokens=97, image_tokens=81, decode_tokens=10, sample_tokens=2),
        memory=None,
        spread=(Deviation(largest=0.2, rms=0.1),),
        paths=tuple(_facts(path, path in profiled) for path in paths),
        complete=True,
    )
    write_end_to_end(folder, facts, pl.DataFrame(rows, schema=end_to_end_schema(), orient="row"))
    for path in profiled:
        for phase, steps in STEPS.items():
            drawn = list(_cpu_profile(path, phase, steps) if on_cpu else _profile(path, phase, steps, names))
            data = kineto_json(trace(drawn), rope_prof={"schema_version": 1, "device": device})
            (folder / _file(path, phase)).write_bytes(gzip.compress(data, mtime=0))
    return folder


def write_keyless_run(folder: Path, **more: Any) -> Path:
    """What `model` makes of a new folder: a run without keys, and whole requests."""
    write_requests(folder, **more)
    run = Run(
        schema_version=RUN_VERSION,
        name=folder.name,
        created="2026-01-01T00:00:00+00:00",
        rope_prof="0.1.0",
        command="python -m rope_prof model --preset tiny",
        seed=0,
        machine=cpu() if more.get("device") == "cpu" else machine(),
        operation=MROPE,
        keys=(),
        complete=True,
    )
    write_run(folder, run)
    return folder


def cpu() -> Machine:
    """A machine without a GPU."""
    return Machine(
        device="cpu", device_name="Hand-drawn CPU", python="3.12", platform="Linux", cpu_name="Hand-drawn CPU",
        cpu_cores=2, torch="2.13.0",
    )  # fmt: skip


def _file(path: str, phase: str) -> str:
    safe = "".join(c if c.isalnum() or c in "-." else "_" for c in path)
    return f"end_to_end.{safe}.{phase}.trace.json.gz"


def _facts(path: str, profiled: bool) -> PathFacts:
    return PathFacts(
        path=path,
        status="measured",
        rope_calls=LAYERS,
        deviation=Deviation(largest=0.1, rms=0.05),
        tokens=(1, 2, 3),
        margins=(0.5, 0.4, 0.3),
        traces={phase: _file(path, phase) for phase in STEPS} if profiled else None,
    )


def _samples(path: str, rounds: int, *, graphs: bool) -> Iterator[tuple[str, int, str, int, int]]:
    prefill, token, graph = TIMES.get(path, OTHER)
    subjects = [("prefill", "eager", prefill), ("decode", "eager", token)]
    subjects += [("decode", "graph", graph)] if graphs else []
    for number in range(rounds):
        drift = 1 + 0.01 * (number % 3)
        for phase, mode, ms in subjects:
            key = RequestSubject(path=path, phase=phase, mode=mode).name  # type: ignore[arg-type]
            yield key, number, "wall", CALLS, round(ms * drift * CALLS * 1e6)


def _profile(path: str, phase: str, steps: int, names: tuple[str, ...]) -> Iterator[Drawn]:
    """Layers count from 2 on, as in a recording whose first step was not kept; a launch takes 4 of 10 µs."""
    stem = f"{path.replace(':', '@')}.{phase}"
    at, number, correlation = 1_000_000, 0, 1
    for step in range(steps):
        begin = at
        for _ in range(LAYERS):
            layer = at
            for part, count in (("other", 3), ("rope", ROPE.get(path, 1)), ("other", 3)):
                inside = at
                for k in range(count):
                    name = names[k % len(names)] if part == "rope" else "gemm"
                    launch = (at + 2_000, at + 6_000)
                    yield kernel(at + 9_000, at + 12_000, name=name, launched=launch, correlation=correlation)
                    at, correlation = at + 10_000, correlation + 1
                if part == "rope":
                    yield range_(f"{stem}.rope#{number}", inside, at)
            yield range_(f"{stem}.layer#{number + LAYERS}", layer, at)
            number += 1
        at += 5_000
        yield range_(f"{stem}.step#{step}", begin, at)


def _cpu_profile(path: str, phase: str, steps: int) -> Iterator[Drawn]:
    stem = f"{path.replace(':', '@')}.{phase}"
    at, number = 1_000_000, 0
    for step in range(steps):
        begin = at
        for _ in range(LAYERS):
            layer = at
            yield op("aten::mm", at + 1_000, at + 6_000)
            yield range_(f"{stem}.rope#{number}", at + 7_000, at + 17_000)
            yield op("aten::mul", at + 8_000, at + 11_000)
            yield op("aten::add", at + 12_000, at + 16_000)
            at += 20_000
            yield range_(f"{stem}.layer#{number}", layer, at)
            number += 1
        yield range_(f"{stem}.step#{step}", begin, at)
