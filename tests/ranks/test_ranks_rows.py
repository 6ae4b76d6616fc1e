from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.ranks.ranks import ranks_report
from rope_prof.analysis.ranks.rows import ROWS, no_rows, rank_of, row_set
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.gaps import CAUSES
from rope_prof.model.trace import Trace
from tests.builders import trace
from tests.ranks.drawn_ranks import ALL_REDUCE, BASE, HOP_NS, rank_trace


def rows(drawn: Trace, name: str = "t.json") -> pl.DataFrame:
    return row_set(drawn, analyze(drawn), Fixes(), name=name)


def test_the_rows_say_what_the_analysis_says() -> None:
    drawn = rank_trace(1, late={1: 700})
    answer = analyze(drawn)
    held = rows(drawn)
    assert dict(held.schema) == ROWS
    (device,) = held.filter(pl.col("row") == "device").iter_rows(named=True)
    (use,) = answer.devices
    for field in ("kernels", "kernel_ns", "busy_ns", "span_ns", "idle_ns"):
        assert device[field] == getattr(use, field)
    assert sum(device[f"idle_{cause}_ns"] or 0 for cause in CAUSES) == use.idle_ns
    assert use.communication is not None
    assert (device["communication_ns"], device["exposed_ns"]) == (
        use.communication.busy_ns,
        use.communication.exposed_ns,
    )
    assert held["outside_kernels"][0] == (answer.outside_ranges.kernels if answer.outside_ranges else None)
    ranges = held.filter(pl.col("row") == "range").rows_by_key("name", named=True, unique=True)
    assert set(ranges) == {use.name for use in answer.ranges}
    assert ranges["rope"]["call_median_ns"] == 5_700.0
    (shared,) = held.filter(pl.col("row") == "collective").iter_rows(named=True)
    assert shared["name"] == ALL_REDUCE
    assert [end - start for start, end in zip(shared["starts_ns"], shared["ends_ns"], strict=True)] == [HOP_NS] * 8


def test_times_are_on_the_wall_where_the_file_says_its_base() -> None:
    plain, based = rows(rank_trace(0)), rows(replace(rank_trace(0), base_time_ns=BASE))
    assert based["start_ns"][0] - plain["start_ns"][0] == BASE
    assert (based["wall_clock"][0], plain["wall_clock"][0]) == (True, False)


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("rank3.json", 3),
        ("trace_rank-12.json.gz", 12),
        ("1751410836-TP-2.trace.json.gz", 2),
        ("fused.eager.cold.28b-tp8-n973-bf16-image.r5.trace.json.gz", 5),
        ("resnet50.json", None),
        ("host_1234.pt.trace.json", None),
    ],
)
def test_a_name_may_say_the_rank(name: str, rank: int | None) -> None:
    assert rank_of(None, name) == rank


def test_the_file_knows_better_than_its_name() -> None:
    told = replace(trace(), metadata={"distributedInfo": {"rank": 7}})
    assert rank_of(told, "rank3.json") == 7
    assert rank_of(replace(told, own={"key": {"name": "k.r5", "rank": 5}}), "rank3.json") == 5


def test_a_range_of_ours_has_one_name_on_every_rank() -> None:
    key = "unfused.eager.cold.28b-tp1-n8-bf16-text"
    for rank in (0, 1):
        drawn = rank_trace(rank, range_name=f"{key}.r{rank}#0")
        held = rows(replace(drawn, own={"key": {"name": f"{key}.r{rank}", "rank": rank}}))
        assert set(held.filter(pl.col("row") == "range")["name"]) == {"step#*", "call #0"}


def test_a_recording_of_ours_is_named_in_words() -> None:
    """No key is a heading, and no loss lies in one."""
    name = "fused.graph.cold.28b-tp1-n973-bf16-image.r0"
    case = {"model": "28b", "tp": 1, "tokens": 973, "dtype": "bf16", "prompt": "image"}
    key = {"name": name, "case": case, "path": "fused", "mode": "graph", "l2": "cold", "rank": 0}
    drawn = replace(rank_trace(0, range_name=f"{name}#0"), own={"key": key, "capture": "light"})
    held = rows(drawn).with_columns(folder=pl.lit("runs"), source=pl.lit("a.json"))
    (found,) = ranks_report(held).recordings
    assert found.name.endswith("fused · graph · cold L2 · 28b · tp 1 · tokens 973 · bf16 · image · light capture")
    assert found.key == f"{name.removesuffix('.r0')}.light"
    assert {one.name for one in found.ranges} == {"step#*", "call #0"}
    assert found.name.startswith("runs · ") and "cold.28b" not in str(held.drop("key").rows())


def test_a_light_capture_is_no_second_recording_of_its_key() -> None:
    own = {"key": {"name": "fused.eager.cold.c.r1", "rank": 1}, "capture": "light"}
    assert set(rows(replace(rank_trace(1), own=own))["key"]) == {"fused.eager.cold.c.light"}
    assert set(rows(replace(rank_trace(1), own=own | {"capture": "full"}))["key"]) == {"fused.eager.cold.c"}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("fused.eager.cold.c.r1.trace.json.gz", "fused.eager.cold.c"),
        ("fused.graph.hot.c.r1.light.trace.json.gz", "fused.graph.hot.c.light"),
        ("somebody.elses.r1.trace.json.gz", None),
        ("rank1.json", None),
    ],
)
def test_a_capture_that_cannot_be_read_stays_with_its_ranks(name: str, key: str | None) -> None:
    held = no_rows("done", "unreadable", "why", name=name)
    assert (held["key"][0], held["rank"][0]) == (key, 1)


def test_an_unusable_trace_is_a_row_with_its_verdict() -> None:
    (row,) = rows(trace()).iter_rows(named=True)
    assert (row["row"], row["verdict"], row["status"]) == ("trace", "unusable", "done")
    assert "no GPU events" in row["reason"]


def test_a_trace_that_was_not_read_has_the_same_columns() -> None:
    held = no_rows("failed", None, "why", name="rank4.json")
    assert dict(held.schema) == ROWS
    assert held["rank"].to_list() == [4]
