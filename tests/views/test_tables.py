"""The documented JSON and the table: every field there, missing is null or a dash, doubt is marked."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl
import pytest
from rich.console import Console
from runs import RIGHT, WRONG, facts, key, run, samples

from rope_prof.analysis.summary import CaptureFigures, Row, summary
from rope_prof.model.run import Run
from rope_prof.views import tables
from rope_prof.views.tables import notes, run_json, run_tables

CONTRACT = {
    *("case", "path", "mode", "l2", "status", "kernels_per_call", "kernel_ns", "bubble_raw_ns"),
    *("bubble_corrected_ns", "wall_ns", "device_ns", "inflation", "speedup", "max_error"),
}


@pytest.fixture
def made() -> tuple[Run, tuple[Row, ...]]:
    planned = run(
        facts("unfused", accuracy=RIGHT),
        facts("fused", accuracy=RIGHT),
        facts("per-token", status="wrong", accuracy=WRONG, reason="max error 0.5 is over the limit of 0.02"),
        facts("unfused", "graph", "unavailable", reason="needs a GPU"),
    )
    frame = samples(unfused_eager=[300_000.0] * 6, fused_eager=[20_000.0] * 6, per_token_eager=[1_000.0] * 6)
    capture = CaptureFigures(
        calls=28, kernels_per_call=25.0, kernel_ns=77_000, busy_ns=77_000, period_ns=660_000, bubble_raw_ns=583_000
    )
    return planned, summary(planned, frame, {key("unfused").name: capture})


def document(made: tuple[Run, tuple[Row, ...]]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_json(*made))
    return found


def text(made: tuple[Run, tuple[Row, ...]]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=160)
    for table in run_tables(made[1]):
        console.print(table)
    return out.getvalue()


def test_hot_and_cold_are_told_apart_and_why_rounds_ended_is_said() -> None:
    from dataclasses import replace

    cold = facts("unfused", accuracy=RIGHT, stopped="budget of 5 s spent")
    planned = run(cold, replace(cold, key=replace(cold.key, l2="hot")), settings={"precision": 0.01})
    frame = samples(unfused_eager=[300_000.0] * 6).with_columns(throttled=pl.Series([True, False] * 3))
    made = planned, summary(planned, frame, {})
    assert "unfused eager cold" in text(made)
    assert "unfused eager hot" in text(made)
    said = notes(*made)
    assert "unfused eager cold n64: budget of 5 s spent" in " ".join(said).replace(f"n{cold.key.case.tokens}", "n64")
    assert "3 of 6 samples were taken while power or heat held the clock down" in said
    row = document(made)["keys"][0]
    assert (row["stopped"], row["samples"], row["throttled_samples"]) == ("budget of 5 s spent", 6, 3)
    assert made[1][1].throttled is None


def test_the_json_keeps_its_contract(made: tuple[Run, tuple[Row, ...]]) -> None:
    found = document(made)
    assert found["schema_version"] == 1
    assert found["machine"]["device_name"] == "Test GPU"
    assert [row["path"] for row in found["keys"]] == ["unfused", "fused", "per-token", "unfused"]
    for row in found["keys"]:
        assert row.keys() >= CONTRACT
    first = found["keys"][0]
    assert first["wall_ns"] == {"median": 300_000, "lo": 300_000, "hi": 300_000, "n": 6}
    assert first["kernels_per_call"] == 25
    assert found["keys"][1]["speedup"] == 15


def test_every_field_is_documented(made: tuple[Run, tuple[Row, ...]]) -> None:
    for field in document(made)["keys"][0]:
        assert f"`{field}`" in (tables.__doc__ or ""), field


def test_missing_is_null_never_zero(made: tuple[Run, tuple[Row, ...]]) -> None:
    last = document(made)["keys"][3]
    assert last["status"] == "unavailable"
    given = {"key", "case", "path", "mode", "l2", "rank", "status", "reason"}
    assert {field for field, value in last.items() if value is not None} == given


def test_the_table_marks_wrong_paths_and_distrusted_bubbles(made: tuple[Run, tuple[Row, ...]]) -> None:
    shown = text(made)
    assert "per-token eager (wrong)" in shown
    assert "583?" in shown
    assert "15.0x" in shown
    assert "device µs" not in shown, "a column without a figure is left out"
    wrong = next(line for line in shown.splitlines() if "per-token" in line)
    assert "x" not in wrong.partition("(wrong)")[2]


def test_notes_give_each_reason_once(made: tuple[Run, tuple[Row, ...]]) -> None:
    said = notes(*made)
    assert "unfused graph n64: needs a GPU" in said
    assert any("trust the corrected one" in line for line in said)
