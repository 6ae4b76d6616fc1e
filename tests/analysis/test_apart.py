"""How far two runs of the same code differ: by their reference calls, and what the rounds of six are worth."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.comparison.apart import LEAST_ANCHORS, MARGIN, anchors, widened
from rope_prof.analysis.comparison.compare import compare
from rope_prof.analysis.comparison.sides import Side
from rope_prof.analysis.stats import LEAST_APART, Figure, apart_ratio, one_side
from tests.built_runs import Built, built


def _slower(made: Built, prefix: str, factor: float) -> pl.DataFrame:
    mine = pl.col("key").str.starts_with(prefix)
    return made.samples.with_columns(
        pl.when(mine).then((pl.col("ns") * factor).cast(pl.Int64)).otherwise(pl.col("ns")).alias("ns")
    )


def test_the_reference_calls_say_how_far_two_runs_may_differ() -> None:
    made = built(noise=0.01)
    key = made.key("fused", "eager")
    after = _slower(made, "ceiling.copy", 1.05)
    found = anchors(made.run, made.samples, made.run, after, key, "device")
    assert found is not None
    assert found.factor == pytest.approx(1.05**MARGIN, rel=1e-3)
    few = replace(made.run, ceilings=made.run.ceilings[: LEAST_ANCHORS - 1])
    assert anchors(few, made.samples, made.run, after, key, "device") is None


def test_a_difference_within_that_of_the_reference_calls_is_undecided_and_one_beyond_is_not() -> None:
    made = built(noise=0.01)
    base = Side(label="a", run=made.run, samples=made.samples)
    for factor, word in ((1.08, "UNDECIDED"), (1.5, "SLOWER")):
        slow = _slower(Built(made.run, _slower(made, "ceiling.", 1.06), made.captures), "fused.eager", factor)
        cand = Side(label="b", run=made.run, samples=slow)
        found = {(v.base, v.metric): v.word for v in compare(base, cand, paired=False)}
        assert found[made.key("fused", "eager").name, "wall"] == word


def test_six_rounds_are_judged_by_their_whole_range() -> None:
    six = one_side([10.0, 11.0, 12.0, 13.0, 14.0, 15.0])
    assert six is not None and (six.lo, six.hi) == (10.0, 15.0)
    assert one_side([10.0] * 5) == Figure(10.0, None, None, 5)
    seven = one_side([float(n) for n in range(LEAST_APART)])
    assert seven is not None and (seven.lo, seven.hi) == (0.0, 6.0)
    ratio = apart_ratio(six, one_side([100.0 + n for n in range(6)]))
    assert ratio is not None and ratio.hi is not None and ratio.hi < 0.16


def test_without_a_word_on_the_spread_a_ratio_has_no_interval() -> None:
    assert widened(Figure(1.0, 0.9, 1.1, 20), None) == Figure(1.0, None, None, 20)
