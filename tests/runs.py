"""Runs by hand: machines, keys, samples in one line each."""

from __future__ import annotations

from typing import Any

import polars as pl

from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import SCHEMA_VERSION, Accuracy, Case, Key, KeyFacts, Machine, Run
from rope_prof.model.samples import samples_schema

OPERATION = MROPE
CASE = MROPE.case({"model": "28b", "tp": 1, "tokens": 64, "dtype": "bf16", "prompt": "image"})
MACHINE = Machine(
    device="cuda",
    device_name="Test GPU",
    python="3.12.0",
    platform="Linux x86_64",
    cpu_name="Test CPU",
    cpu_cores=2,
    torch="2.11.0",
    triton="3.6.0",
    l2_bytes=50 << 20,
)
RIGHT = Accuracy(max_error=0.01, limit=0.02, rounded_share=0.999, nans=0, dtype="bf16")
WRONG = Accuracy(max_error=0.5, limit=0.02, rounded_share=0.1, nans=0, dtype="bf16")


def key(path: str = "unfused", mode: str = "eager", case: Case = CASE) -> Key:
    return Key(case=case, path=path, mode=mode, l2="cold")  # type: ignore[arg-type]


def facts(path: str = "unfused", mode: str = "eager", status: str = "measured", **more: Any) -> KeyFacts:
    return KeyFacts(key=key(path, mode), status=status, **more)  # type: ignore[arg-type]


def run(*keys: KeyFacts, **more: Any) -> Run:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "name": "test",
        "created": "2026-01-01T00:00:00+00:00",
        "rope_prof": "0.1.0",
        "command": "python -m rope_prof record",
        "seed": 0,
        "machine": MACHINE,
        "operation": MROPE,
        "keys": keys,
        "settings": {"calls": 28, "rounds": 4},
    }
    return Run(**(fields | more))


def samples(**ns_per_call: list[float]) -> pl.DataFrame:
    """`path_mode=[...]`: a wall sample of 10 calls per round and entry."""
    rows = [
        (key(*name.replace("per_token", "per-token").rsplit("_", 1)).name, number, "wall", 10, round(ns * 10), None)
        for name, values in ns_per_call.items()
        for number, ns in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=samples_schema(), orient="row")
