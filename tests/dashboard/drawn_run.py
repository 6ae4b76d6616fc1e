"""A run folder drawn by hand: the shape of a GPU recording, with Kineto traces of a few calls, invented times.

Nothing of it is a measurement: it exists so that pages can be tested without a GPU.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl

from rope_prof.io.run.folder import append_samples, write_run
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import Accuracy, Key, KeyFacts, Machine, Run
from rope_prof.model.samples import samples_schema

#: Names that a page must show letter for letter.
HOSTILE = (
    "void evil<b>bold</b><a href='http://evil.example/x'>link</a>(int)",
    "![picture](http://evil.example/p.png) :smile: $x^2$ _under_ **star**",
    "<img src=http://evil.example/i.png onerror=alert(1)>",
    "%{x} {{y}} &lt;tag&gt; </style><script>alert(1)</script>",
)
CHAIN = (
    "void at::native::index_elementwise_kernel<128, 4, at::native::gpu_index_kernel<float>>(long)",
    "void at::native::elementwise_kernel<128, 4, at::native::direct_copy_kernel_cuda(at::TensorIteratorBase&)>(int)",
    "void at::native::vectorized_elementwise_kernel<4, at::native::BinaryFunctor<float, float, float, "
    "at::native::binary_internal::MulFunctor<float>>, std::array<char*, 3>>(int)",
    "void at::native::elementwise_kernel<128, 2, at::native::CUDAFunctor_add<c10::BFloat16>>(int)",
    "void at::native::(anonymous namespace)::CatArrayBatchedCopy<at::native::OpaqueType<2u>, unsigned int, 3, 64>"
    "(long)",
)
CALLS = 5


@dataclass(frozen=True)
class Sketch:
    """One key in invented microseconds: its kernels, the time between two launches, the unprofiled call."""

    path: str
    mode: str
    kernels: int
    kernel_us: float
    launch_us: float
    wall_us: float


SKETCHES = (
    Sketch("unfused", "eager", 25, 2.1, 19.0, 320.0),
    Sketch("unfused", "compile", 3, 16.0, 40.0, 156.0),
    Sketch("per-token", "eager", 1, 50.0, 30.0, 54.0),
    Sketch("fused", "eager", 1, 4.9, 45.0, 20.0),
)


def machine() -> Machine:
    return Machine(
        device="cuda",
        device_name="Hand-drawn GPU",
        python="3.12.3",
        platform="Linux",
        cpu_name="Hand-drawn CPU",
        cpu_cores=16,
        torch="2.11.0",
        triton="3.6.0",
        cuda="13.0",
        driver="580.1",
        multiprocessors=132,
        l2_bytes=50 << 20,
        memory_bytes=140 << 30,
    )


def write_gpu_run(
    folder: Path,
    *,
    tokens: tuple[int, ...] = (1, 973),
    names: tuple[str, ...] = CHAIN,
    prompts: tuple[str, ...] = ("image",),
) -> Path:
    """A complete run under `folder`: per token count and prompt four keys, twelve rounds, five captured calls each."""
    random.seed(7)
    keys, samples = [], []
    folder.mkdir(parents=True, exist_ok=True)
    for count, prompt in product(tokens, prompts):
        case = MROPE.case({"model": "28b", "tp": 1, "tokens": count, "dtype": "bf16", "prompt": prompt})
        for sketch in SKETCHES:
            key = Key(case=case, path=sketch.path, mode=sketch.mode, l2="cold")
            keys.append(_facts(key, sketch))
            scale = max(0.3, min(count / 973, 4.0)) if sketch.path == "per-token" else 1.0
            for number in range(12):
                ns = int(sketch.wall_us * scale * 1e3 * 20 * random.uniform(0.97, 1.05))
                samples.append({"key": key.name, "round": number, "clock": "wall", "calls": 20, "ns": ns})
            write_trace(folder / f"{key.name}.trace.json.gz", key.name, sketch, names)
    run = Run(
        schema_version=1,
        name=folder.name,
        created="2026-01-01T00:00:00+00:00",
        rope_prof="0.1.0",
        command="python -m rope_prof record",
        seed=7,
        machine=machine(),
        operation=MROPE,
        keys=tuple(keys),
        complete=True,
    )
    append_samples(folder, pl.DataFrame(samples, schema=samples_schema()))
    write_run(folder, run)
    return folder


def _facts(key: Key, sketch: Sketch) -> KeyFacts:
    error = 0.016 if sketch.path == "unfused" else 0.0078
    return KeyFacts(
        key=key,
        status="measured",
        accuracy=Accuracy(max_error=error, limit=0.032, rounded_share=0.99, nans=0, dtype="bf16"),
        captured_calls=CALLS,
        trace=f"{key.name}.trace.json.gz",
    )


def write_trace(path: Path, key_name: str, sketch: Sketch, names: tuple[str, ...] = CHAIN) -> Path:
    """A Kineto file of `CALLS` calls: ranges, launches, kernels."""
    events: list[dict[str, Any]] = [
        {
            "ph": "X",
            "cat": "Trace",
            "name": "PyTorch Profiler (0)",
            "pid": "Spans",
            "tid": "PyTorch Profiler",
            "ts": 0,
            "dur": 1,
        }
    ]
    host = device = 100.0
    correlation = 1
    for call in range(CALLS):
        begin = host
        for index in range(sketch.kernels):
            host += sketch.launch_us * random.uniform(0.5, 1.5) - 5
            events.append(_launch(host, correlation))
            device = max(device, host + 5.5)
            duration = round(sketch.kernel_us * random.uniform(0.6, 1.6), 3)
            events.append(_kernel(names[index % len(names)], device, duration, correlation))
            device += duration + 0.4
            host += 5
            correlation += 1
        host += 4
        annotation = {"ph": "X", "cat": "user_annotation", "name": f"{key_name}#{call}", "pid": 10, "tid": 10}
        events.append({**annotation, "ts": round(begin, 3), "dur": round(host - begin, 3), "args": {"External id": 1}})
    window = {
        "ph": "i",
        "s": "g",
        "name": "Record Window End",
        "pid": "",
        "tid": "",
        "ts": round(max(host, device) + 9, 3),
    }
    document = {
        "schemaVersion": 1,
        "deviceProperties": [{"id": 0, "name": "Hand-drawn GPU"}],
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": 0,
        "rope_prof": {"schema_version": 1, "device": "cuda"},
        "traceEvents": [*events, window],
        "traceName": path.name,
    }
    path.write_bytes(gzip.compress(json.dumps(document).encode(), mtime=0))
    return path


def _launch(at: float, correlation: int) -> dict[str, Any]:
    event = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 10, "tid": 10}
    return {**event, "ts": round(at, 3), "dur": 4.5, "args": {"correlation": correlation, "cbid": 211}}


def _kernel(name: str, at: float, duration: float, correlation: int) -> dict[str, Any]:
    facts = {"device": 0, "context": 1, "stream": 7, "correlation": correlation, "registers per thread": 32}
    shape = {"shared memory": 0, "grid": [152, 1, 1], "block": [128, 1, 1], "queued": 0}
    event = {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": round(at, 3), "dur": duration}
    return {**event, "args": {**facts, **shape}}
