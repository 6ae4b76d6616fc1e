"""Two H200s, recorded by `benchmarks/rank_loops.py`: the late rank is named, with its range and its cost."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.ranks.ranks import Recording, ranks_report
from rope_prof.analysis.ranks.rows import row_set
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.io.trace.read import read_trace
from rope_prof.views.perfetto.ranks import ranks_trace

HERE = Path(__file__).parent / "h200"
LOOPS = ("training", "decode")


@cache
def recorded(loop: str) -> Recording:
    parts = []
    for path in sorted((HERE / loop).glob("rank*.gz")):
        trace = read_trace(path)
        held = row_set(trace, analyze(trace), Fixes(), name=path.name)
        parts.append(held.with_columns(source=pl.lit(str(path)), folder=pl.lit(loop)))
    (one,) = ranks_report(pl.concat(parts)).recordings
    return one


@pytest.mark.parametrize("loop", LOOPS)
def test_the_planted_delay_is_named_with_its_range_and_within_a_tenth(loop: str) -> None:
    truth = json.loads((HERE / loop / "truth.json").read_text())
    late = recorded(loop).stragglers[0]
    assert (late.rank, late.range) == (str(truth["rank"]), truth["range"])
    assert late.on == {"host": "host", "device": "gpu"}[truth["by"]]
    assert late.cost_ns == pytest.approx(truth["ns"], rel=0.1)


@pytest.mark.parametrize("loop", LOOPS)
def test_clocks_lie_within_a_stated_microsecond_and_communication_is_split(loop: str) -> None:
    one = recorded(loop)
    assert max(clock.spread_ns for clock in one.clocks.clocks) < 1_000
    for rank in one.ranks:
        assert rank.verdict == "sound"
        assert rank.communication_ns is not None
        assert rank.exposed_ns is not None
        assert 0 < rank.exposed_ns <= rank.communication_ns


def test_the_backward_pass_hides_most_of_what_training_sends_and_decode_hides_nothing() -> None:
    shares = {loop: [rank.exposed_ns / rank.communication_ns for rank in recorded(loop).ranks] for loop in LOOPS}  # type: ignore[operator]
    assert all(share < 0.4 for share in shares["training"])
    assert all(share > 0.95 for share in shares["decode"])


def test_one_perfetto_file_holds_both_ranks() -> None:
    one = recorded("decode")
    data = ranks_trace([(one, {rank.label: read_trace(Path(rank.source)) for rank in one.ranks})]).data
    assert all(f"rank {rank.label}".encode() in data for rank in one.ranks)
