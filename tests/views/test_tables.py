"""The documented JSON and the table: every field there, missing is null or a dash, doubt is marked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.run.rows import Row, summary
from rope_prof.io.run.schema import stopped
from rope_prof.model.run import KeyFacts, Run, Stopped
from rope_prof.views.blocks.run import run_tables
from rope_prof.views.words.notes import light_notes, notes
from rope_prof.views.words.run_json import run_json
from tests.on_terminal import on_terminal
from tests.runs import CASE, RIGHT, WRONG, facts, key, run, samples

SPENT = "budget of 5 s for its case spent after 6 rounds: the interval of its median is 12.21% wide"
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
    return on_terminal(run_tables(made[1]))


def test_hot_and_cold_are_told_apart_and_why_rounds_ended_is_said() -> None:
    cold = facts("unfused", accuracy=RIGHT, stopped=_facts(SPENT))
    planned = run(cold, replace(cold, key=replace(cold.key, l2="hot")), settings={"precision": None})
    frame = samples(unfused_eager=[300_000.0] * 6).with_columns(throttled=pl.Series([True, False] * 3))
    made = planned, summary(planned, frame, {})
    assert "unfused eager cold" in text(made)
    assert "unfused eager hot" in text(made)
    said = notes(*made)
    assert "rounds ended by the budget for 2 of 2 keys, after 6 rounds" in said
    assert f"unfused eager cold: {SPENT}" in said
    assert f"unfused eager hot: {SPENT}" in said
    assert "3 of 6 samples were taken while power or heat held the clock down" in said
    row = document(made)["keys"][0]
    assert (row["stopped"], row["samples"], row["throttled_samples"]) == (SPENT, 6, 3)
    assert made[1][1].throttled is None


def test_the_json_keeps_its_contract(made: tuple[Run, tuple[Row, ...]]) -> None:
    found = document(made)
    assert found["schema_version"] == 1
    assert found["machine"]["device_name"] == "Test GPU"
    assert [row["path"] for row in found["keys"]] == ["unfused", "fused", "per-token", "unfused"]
    for row in found["keys"]:
        assert row.keys() >= CONTRACT
    first = found["keys"][0]
    assert first["wall_ns"] == {"median": 300_000, "lo": 300_000, "hi": 300_000, "n": 6, "over": "rounds"}
    assert first["kernels_per_call"] == 25
    assert found["keys"][1]["speedup"] == 15


def test_every_field_is_documented(made: tuple[Run, tuple[Row, ...]], repository: Path) -> None:
    said = (repository / "docs/json.md").read_text(encoding="utf-8")
    for field in document(made)["keys"][0]:
        assert f"`{field}`" in said, field


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
    assert "unfused graph: needs a GPU" in said
    assert any("trust the corrected one" in line for line in said)


def test_the_table_shows_the_busy_time_that_the_bubble_leaves_out() -> None:
    overlap = CaptureFigures(
        calls=28, kernels_per_call=2.0, kernel_ns=90_000, busy_ns=50_000, period_ns=310_000, bubble_raw_ns=260_000
    )
    planned = run(facts("unfused", accuracy=RIGHT))
    made = planned, summary(planned, samples(unfused_eager=[300_000.0] * 6), {key("unfused").name: overlap})
    shown = text(made)
    assert "busy µs" in shown
    (line,) = [line for line in shown.splitlines() if "unfused eager" in line]
    assert line.split()[3:7] == ["50.0", "260", "250", "300"], "busy + corrected = wall"
    assert (document(made)["keys"][0]["kernel_ns"], document(made)["keys"][0]["busy_ns"]) == (90_000, 50_000)


@pytest.mark.parametrize(("period", "trusted"), [(310_000, True), (449_000, True), (460_000, False), (190_000, False)])
def test_a_raw_bubble_is_doubted_far_above_and_far_below_the_unprofiled_time(period: float, trusted: bool) -> None:
    capture = CaptureFigures(
        calls=28,
        kernels_per_call=25.0,
        kernel_ns=77_000,
        busy_ns=77_000,
        period_ns=period,
        bubble_raw_ns=period - 77_000,
    )
    planned = run(facts("unfused", accuracy=RIGHT), facts("fused", accuracy=RIGHT))
    frame = samples(unfused_eager=[300_000.0] * 6, fused_eager=[20_000.0] * 6)
    made = planned, summary(planned, frame, {key("unfused").name: capture})
    assert ("?" in text(made)) is not trusted
    assert any(line.startswith("? raw bubble") for line in notes(*made)) is not trusted
    assert [row["bubble_raw_trusted"] for row in document(made)["keys"]] == [trusted, None]


def test_a_lighter_capture_that_stretches_more_is_counted() -> None:
    def light(inflation: float, row: Row) -> Row:
        return replace(row, light_inflation=inflation)

    planned = run(*(facts(path, accuracy=RIGHT) for path in ("unfused", "fused", "per-token")))
    frame = samples(unfused_eager=[300_000.0] * 6, fused_eager=[20_000.0] * 6, per_token_eager=[9_000.0] * 6)
    known = [replace(row, inflation=1.4) for row in summary(planned, frame, {})]
    plain = light_notes([light(1.2, row) for row in known])
    assert plain == ["light: inflation of a second capture, without the host's operators"]
    (mixed,) = light_notes([light(1.2, known[0]), light(1.5, known[1]), known[2]])
    assert "for 1 of 2 keys it is the larger one" in mixed
    apart = replace(known[1], mode="graph", light_inflation=9.0)
    assert "larger" not in light_notes([apart])[0]
    assert light_notes(known) == []


def _facts(words: str | None) -> Stopped | None:
    found = None if words is None else stopped(words)
    return None if found is None else Stopped(**found)


def _ended(*said: str | None, precise: bool = False) -> list[str]:
    keys = [
        KeyFacts(key=key(case=CASE.but(tokens=n)), status="measured", stopped=_facts(words))
        for n, words in enumerate(said, 1)
    ]
    planned = run(*keys, settings={"precision": 0.01} if precise else {})
    return [line for line in notes(planned, summary(planned, samples(), {})) if "rounds" in line]


def test_why_rounds_ended_is_one_line_a_reason_and_a_line_a_key_only_where_few() -> None:
    done = "all 12 rounds done: the interval of its median is 3.00% wide"
    late = SPENT.replace("6 rounds", "11 rounds")
    assert _ended(done, done) == [], "nothing else was asked for"
    assert _ended(None, None) == []
    assert _ended(*[SPENT] * 5, late, done) == [
        "rounds ended by the budget for 6 of 7 keys, after 6 to 11 rounds",
        "rounds ended as all were done for 1 of 7 keys, after 12 rounds",
    ]
    assert _ended(late, done, None)[1:2] == [f"unfused eager n1: {late}"]
    assert _ended(done, done, precise=True)[1:] == [f"unfused eager n{n}: {done}" for n in (1, 2)]
