"""Times of whole requests and the parts of a profiled step, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.requests.requests import agreements, prediction, request_rows, step_parts
from rope_prof.io.run.requests import end_to_end_schema
from rope_prof.model.end_to_end import (
    SCHEMA_VERSION,
    Deviation,
    EndToEnd,
    Memory,
    ModelFacts,
    PathFacts,
    RequestFacts,
    RequestSubject,
)
from tests.builders import kernel, range_, trace
from tests.runs import MACHINE

MODEL = ModelFacts(
    preset="tiny",
    layers=2,
    parameters=10,
    weights_bytes=20,
    dtype="bf16",
    experts="grouped_mm",
    attention="sdpa",
    transformers="5.17.0",
)
MS = 1_000_000


def facts(*paths: PathFacts, **more: Any) -> EndToEnd:
    fields: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "created": "2026-01-01T00:00:00+00:00",
        "command": "python -m rope_prof model",
        "seed": 0,
        "rounds": 6,
        "machine": MACHINE,
        "model": MODEL,
        "request": RequestFacts(prompt_tokens=97, image_tokens=81, decode_tokens=10, sample_tokens=2),
        "memory": Memory(need_bytes=1, free_bytes=2, total_bytes=3),
        "spread": (Deviation(largest=0.2, rms=0.1), Deviation(largest=0.1, rms=0.05)),
        "paths": paths,
        "complete": True,
    }
    return EndToEnd(**(fields | more))


def path(name: str, status: str = "measured", **more: Any) -> PathFacts:
    return PathFacts(path=name, status=status, **more)  # type: ignore[arg-type]


def samples(**ms: list[float]) -> pl.DataFrame:
    """`unfused_decode_eager=[...]`: ms per call in each round, a sample of 10 calls."""
    rows = [
        (name.replace("per_token", "per-token").replace("_", "."), number, "wall", 10, round(value * 10 * MS))
        for name, values in ms.items()
        for number, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=end_to_end_schema(), orient="row")


def test_a_request_is_its_prefill_and_all_its_tokens_of_the_same_round() -> None:
    frame = samples(unfused_prefill_eager=[100.0, 200], unfused_decode_eager=[10.0, 20])
    (graph, eager) = request_rows(facts(path("unfused")), frame)
    assert eager.request_ns is not None
    assert eager.request_ns.median == pytest.approx((200 + 400) / 2 * MS)
    assert graph.request_ns is None
    assert graph.status == "unavailable"


def test_gains_pair_the_rounds_and_leave_the_baseline_alone() -> None:
    """The machine is three times slower in every other round: the gain is 20 % in each."""
    drift = [1.0, 3, 1, 3, 1, 3]
    frame = samples(
        unfused_prefill_eager=[50 * d for d in drift],
        unfused_decode_eager=[10 * d for d in drift],
        fused_prefill_eager=[50 * d for d in drift],
        fused_decode_eager=[8 * d for d in drift],
    )
    rows = {(row.path, row.mode): row for row in request_rows(facts(path("unfused"), path("fused")), frame)}
    gain = rows["fused", "eager"].token_gain
    assert gain is not None
    assert (gain.median, gain.lo, gain.hi) == pytest.approx((0.2, 0.2, 0.2))
    assert rows["unfused", "eager"].token_gain is None
    prefill = rows["fused", "eager"].prefill_gain
    assert prefill is not None
    assert prefill.median == pytest.approx(0)


def test_a_wrong_path_is_timed_but_not_ranked() -> None:
    frame = samples(
        unfused_prefill_eager=[1.0], unfused_decode_eager=[1.0], fused_prefill_eager=[0.1], fused_decode_eager=[0.1]
    )
    rows = request_rows(facts(path("unfused"), path("fused", "wrong", reason="off")), frame)
    (row,) = (row for row in rows if (row.path, row.mode) == ("fused", "eager"))
    assert row.token_ns is not None
    assert row.token_gain is None
    assert row.status == "wrong"


@given(st.lists(st.floats(1, 100), min_size=6, max_size=12), st.floats(0.1, 0.9))
def test_the_interval_of_a_gain_holds_the_gain(base: list[float], share: float) -> None:
    frame = samples(unfused_decode_eager=base, fused_decode_eager=[share * b for b in base])
    rows = request_rows(facts(path("unfused"), path("fused")), frame)
    gain = next(row.token_gain for row in rows if (row.path, row.mode) == ("fused", "eager"))
    assert gain is not None
    assert gain.lo is not None
    assert gain.hi is not None
    assert gain.lo <= gain.median <= gain.hi
    assert gain.median == pytest.approx(1 - share, abs=1e-6)


def test_the_names_of_subjects_survive_a_users_own_path() -> None:
    assert RequestSubject(path="my.mod:rope", phase="decode", mode="eager").name == "my.mod@rope.decode.eager"
    frame = samples(unfused_decode_eager=[10.0]).with_columns(pl.lit("my.mod@rope.decode.eager").alias("key"))
    rows = request_rows(facts(path("my.mod:rope")), frame)
    assert next(row for row in rows if row.mode == "eager").token_ns is not None


def test_tokens_that_differ_carry_the_margin_that_decided() -> None:
    found = agreements(
        facts(
            path("stock", deviation=Deviation(largest=0.1, rms=0.02), tokens=(1, 2, 3), margins=(0.5, 0.001, 0.4)),
            path(
                "fused",
                deviation=Deviation(largest=0.1, rms=0.03),
                tokens=(1, 9, 3),
                margins=(0.5, 0.3, 0.002),
                graph_tokens=(1, 9, 4),
                graph_deviation=Deviation(largest=0.1, rms=0.04),
            ),
            path("per-token", "unavailable"),
        )
    )
    stock, fused = found
    assert (stock.same_tokens, stock.margin) == (3, None)
    assert (fused.same_tokens, fused.margin) == (1, 0.001)
    assert (fused.graph_same_tokens, fused.graph_margin, fused.graph_rms) == (2, 0.002, 0.04)
    assert fused.allowed == pytest.approx(0.2)


def stepped() -> Any:
    """Two steps of two layers: in each layer a kernel, then a rope call of two kernels."""
    drawn: list[Any] = []
    now = layer = 0
    for k in range(2):
        start = now
        for _ in range(2):
            drawn.append(range_(f"unfused.decode.layer#{layer}", now, now + 100))
            drawn.append(kernel(now + 10, now + 40, launched=(now + 1, now + 2)))
            drawn.append(range_(f"unfused.decode.rope#{layer}", now + 20, now + 60))
            drawn.append(kernel(now + 50, now + 55, launched=(now + 30, now + 31)))
            drawn.append(kernel(now + 65, now + 70, launched=(now + 40, now + 41)))
            layer, now = layer + 1, now + 100
        drawn.append(range_(f"unfused.decode.step#{k}", start, now))
    drawn.append(kernel(now + 500, now + 600, launched=(now + 450, now + 451)))
    return trace(drawn)


def test_the_parts_of_a_step_add_up_to_its_span() -> None:
    found = step_parts(stepped(), "unfused", "decode")
    assert found is not None
    assert (found.steps, found.layers, found.rope_calls) == (2, 4, 4)
    assert (found.rope_kernels, found.other_kernels) == (8, 4)
    assert found.rope_busy_ns == 4 * 10
    assert found.rope_bubble_ns == 4 * (10 + 10)
    assert found.other_busy_ns == 4 * 30
    assert found.other_bubble_ns == 3 * 40, "from the rope's last kernel to the next layer's first"
    parts = found.rope_busy_ns + found.rope_bubble_ns + found.other_busy_ns + found.other_bubble_ns
    assert parts == found.span_ns


def test_a_trace_without_steps_has_no_parts() -> None:
    assert step_parts(stepped(), "fused", "decode") is None
    assert step_parts(replace(stepped(), gpu=stepped().gpu.clear()), "unfused", "decode") is None


def test_a_prediction_needs_both_paths_timed() -> None:
    frame = samples(unfused_decode_eager=[200e-6] * 6)
    assert prediction(frame, stepped(), "decode", "fused") is None
    both = samples(unfused_decode_eager=[200e-6] * 6, fused_decode_eager=[150e-6] * 6)
    found = prediction(both, stepped(), "decode", "fused")
    assert found is not None
    assert found.saved_ns == pytest.approx(50)
    assert found.held == (found.bound.lo_ns <= 50 <= found.bound.hi_ns)
