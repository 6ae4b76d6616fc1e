"""The end-to-end part of a run folder: what is written reads back, what is damaged is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.errors import RunError
from rope_prof.io.run.folder import read_run, write_run
from rope_prof.io.run.requests import FACTS_FILE, SAMPLES_FILE, end_to_end_schema, read_end_to_end, write_end_to_end
from rope_prof.model.end_to_end import SCHEMA_VERSION, Deviation, EndToEnd, ModelFacts, PathFacts, RequestFacts
from tests.runs import MACHINE
from tests.runs import run as bare_run


def facts(**more: Any) -> EndToEnd:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "created": "2026-01-01T00:00:00+00:00",
        "command": "python -m rope_prof model",
        "seed": 0,
        "rounds": 1,
        "machine": MACHINE,
        "model": ModelFacts(
            preset="tiny",
            layers=2,
            parameters=10,
            weights_bytes=20,
            dtype="bf16",
            experts="eager",
            attention="sdpa",
            transformers="5.17.0",
        ),
        "request": RequestFacts(prompt_tokens=9, image_tokens=4, decode_tokens=2, sample_tokens=2),
        "memory": None,
        "spread": (Deviation(largest=0.1, rms=0.05),),
        "paths": (
            PathFacts(
                path="fused",
                status="measured",
                deviation=Deviation(largest=0.1, rms=0.01),
                tokens=(1, 2),
                margins=(0.5, 0.25),
                traces={"decode": "end_to_end.fused.decode.trace.json.gz"},
            ),
        ),
    }
    return EndToEnd(**(fields | more))


def samples() -> pl.DataFrame:
    return pl.DataFrame([("fused.decode.eager", 0, "wall", 2, 100)], schema=end_to_end_schema(), orient="row")


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    write_run(tmp_path, bare_run())
    assert read_run(tmp_path).end_to_end is None
    write_end_to_end(tmp_path, facts(), samples())
    found = read_run(tmp_path).end_to_end
    assert found is not None
    assert found.facts == facts()
    assert found.samples.equals(samples())
    assert found.trace_path("fused", "decode") is None, "the file is not there"
    (tmp_path / "end_to_end.fused.decode.trace.json.gz").touch()
    assert found.trace_path("fused", "decode") is not None
    assert found.trace_path("fused", "prefill") is None
    assert found.trace_path("stock", "decode") is None


def test_newer_or_outside_names_are_refused(tmp_path: Path) -> None:
    write_end_to_end(tmp_path, facts(schema_version=SCHEMA_VERSION + 1), samples())
    with pytest.raises(RunError, match="install a newer rope_prof"):
        read_end_to_end(tmp_path)
    outside = PathFacts(path="fused", status="measured", traces={"decode": "../secret.json"})
    write_end_to_end(tmp_path, facts(paths=(outside,)), samples())
    with pytest.raises(RunError, match="expected a file of the folder itself"):
        read_end_to_end(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', "\0"])
def test_damaged_facts_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / FACTS_FILE).write_text(text)
    with pytest.raises(RunError, match="is damaged") as caught:
        read_end_to_end(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_or_foreign_samples_are_one_sentence(tmp_path: Path) -> None:
    write_end_to_end(tmp_path, facts(), samples())
    (tmp_path / SAMPLES_FILE).write_bytes(b"PAR1")
    with pytest.raises(RunError, match="is damaged"):
        read_end_to_end(tmp_path)
    samples().drop("clock").write_parquet(tmp_path / SAMPLES_FILE)
    with pytest.raises(RunError, match="has the columns"):
        read_end_to_end(tmp_path)


def test_samples_without_a_time_a_call_are_one_sentence(tmp_path: Path) -> None:
    write_end_to_end(tmp_path, facts(), samples())
    samples().with_columns(calls=pl.lit(0, pl.Int64)).write_parquet(tmp_path / SAMPLES_FILE)
    with pytest.raises(RunError, match=r"row 0 has .* calls 0, .*restore the file or run `model` again"):
        read_end_to_end(tmp_path)


def test_the_facts_are_plain_json(tmp_path: Path) -> None:
    write_end_to_end(tmp_path, facts(), samples())
    document = json.loads((tmp_path / FACTS_FILE).read_text())
    assert document["paths"][0]["tokens"] == [1, 2]
    assert not list(tmp_path.glob("*.part"))
