"""One row per case, path and mode; what loses, and where fusing stops to matter."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.run.rows import summary
from rope_prof.analysis.run.sweep import SWEEP, sweep, turning_points
from rope_prof.io.run.schema import MROPE
from tests.built_runs import FUSED, UNFUSED, Truth, built
from tests.runs import CASE


def swept(factors: dict[int, float], rounds: int = 8) -> pl.DataFrame:
    """A sweep whose fused path is `factor` times as slow as the chain at each token count."""
    frames = []
    for tokens, factor in factors.items():
        chain = Truth(host_ns=0, busy_ns=1000.0 * tokens, kernels=1, bytes_moved=1)
        made = built(
            {"unfused": chain, "fused": replace(chain, busy_ns=chain.busy_ns * factor)},
            rounds=rounds,
            graphs=False,
            case=CASE.but(tokens=tokens),
        )
        frames.append(sweep(summary(made.run, made.samples, made.captures)))
    return pl.concat(frames)


def test_the_schema_holds_and_the_baseline_is_judged_by_nobody() -> None:
    made = built()
    found = sweep(summary(made.run, made.samples, made.captures))
    assert list(found.columns) == [*(axis.name for axis in MROPE.axes), *SWEEP]
    assert found.height == 4
    chain = found.filter(pl.col("path") == "unfused")
    assert chain["speedup"].null_count() == chain["verdict"].null_count() == 2
    fused = found.row(by_predicate=(pl.col("path") == "fused") & (pl.col("mode") == "graph"), named=True)
    assert fused["speedup"] == pytest.approx(UNFUSED.replay_ns / FUSED.replay_ns, rel=1e-3)
    assert fused["roofline_share"] == pytest.approx(4000 / FUSED.replay_ns, rel=1e-3)


def test_fusing_stops_to_matter_where_a_count_first_fails_to_gain() -> None:
    (turn,) = turning_points(swept({1: 0.1, 64: 0.5, 512: 0.995, 4096: 1.5}), MROPE).to_dicts()
    assert (turn["matters_to"], turn["stops_at"], turn["loses_at"]) == (64, 512, [4096])


def test_a_gain_beyond_a_count_that_fails_does_not_move_the_turning_point() -> None:
    (turn,) = turning_points(swept({1: 0.5, 64: 1.5, 512: 0.5}), MROPE).to_dicts()
    assert (turn["matters_to"], turn["stops_at"], turn["loses_at"]) == (1, 64, [64])


def test_too_few_rounds_decide_nothing() -> None:
    (turn,) = turning_points(swept({1: 0.1, 64: 2.0}, rounds=4), MROPE).to_dicts()
    assert (turn["matters_to"], turn["stops_at"], turn["loses_at"], turn["undecided"]) == (None, 1, [], [1, 64])


@settings(max_examples=20)
@given(st.dictionaries(st.sampled_from([1, 4, 16, 64]), st.floats(0.2, 3), min_size=1))
def test_no_count_is_on_both_sides_of_the_turning_point(factors: dict[int, float]) -> None:
    (turn,) = turning_points(swept(dict(sorted(factors.items())), rounds=6), MROPE).to_dicts()
    if turn["matters_to"] is not None and turn["stops_at"] is not None:
        assert turn["matters_to"] < turn["stops_at"]
    assert all(factors[n] > 1 for n in turn["loses_at"])
    gained = [n for n in factors if turn["matters_to"] is not None and n <= turn["matters_to"]]
    assert all(factors[n] < 1 for n in gained)
