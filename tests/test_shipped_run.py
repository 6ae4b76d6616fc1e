"""The run that ships: recorded on a GPU, whole, and its traces prove what the README says of launches."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.run.capture import CaptureFigures, call_pattern, figures
from rope_prof.analysis.run.decomposition import Decomposition, decompositions
from rope_prof.analysis.trace.calls import call_events, call_frame
from rope_prof.errors import RunError
from rope_prof.io.run.folder import RunFolder, read_run
from rope_prof.io.trace.read import read_trace
from rope_prof.opened.run import OpenedRun, open_run

RUN = Path(__file__).resolve().parents[1] / "traces/h100-ernie28b"
SWEEP = RUN.with_name("h200-sweep")

#: The served chain, kernel by kernel: what each one is, as the name of its CUDA kernel tells.
GATHER, CAT, CAST, PRODUCT, SUM = "gather", "CatArrayBatchedCopy", "copy_kernel", "BinaryFunctor|MulFunctor", "add"
PER_TENSOR = [CAST, CAST, PRODUCT, PRODUCT, SUM, PRODUCT, PRODUCT, SUM, CAT, CAT]
SERVED = [GATHER, CAT, CAT, CAT, CAT, *PER_TENSOR, *PER_TENSOR]


@pytest.fixture(scope="module")
def shipped() -> RunFolder:
    return read_run(RUN)


def names_of_calls(folder: RunFolder, key: str) -> list[list[str]]:
    path = folder.trace_path(key)
    assert path is not None
    trace = read_trace(path)
    calls = call_frame(trace, call_pattern(key), kind="record_function")
    return [call_events(trace, row).sort("start_ns")["name"].to_list() for row in calls.iter_rows(named=True)]


def test_it_is_whole_and_from_a_gpu(shipped: RunFolder) -> None:
    assert shipped.run.complete
    assert shipped.run.machine.device_name == "NVIDIA H100 80GB HBM3"
    assert {facts.status for facts in shipped.run.keys} == {"measured"}
    assert {facts.key.case["tokens"] for facts in shipped.run.keys} == {1, 64, 973, 8192}
    assert {facts.key.mode for facts in shipped.run.keys} == {"eager", "compile", "graph"}
    assert not any(facts.accuracy is None or facts.accuracy.wrong for facts in shipped.run.keys)


def test_a_fused_call_is_exactly_one_kernel(shipped: RunFolder) -> None:
    eager = [facts.key for facts in shipped.run.keys if facts.key.mode == "eager"]
    keys = [key.name for key in eager if key.path in ("fused", "per-token")]
    assert len(keys) == 8
    for key in keys:
        kernel = "_mrope_kernel" if key.startswith("fused") else "_per_token_kernel"
        assert set(map(tuple, names_of_calls(shipped, key))) == {(kernel,)}, key


def test_the_unfused_chain_is_the_served_one(shipped: RunFolder) -> None:
    keys = [f.key.name for f in shipped.run.keys if f.key.path == "unfused" and f.key.mode == "eager"]
    assert len(keys) == 4
    for key in keys:
        for names in names_of_calls(shipped, key):
            assert len(names) == len(SERVED) == 25, key
            wrong = [(n, s) for n, s in zip(names, SERVED, strict=True) if not re.search(s, n)]
            assert not wrong, key


def test_each_trace_carries_the_figures_that_its_events_give(
    captures: dict[str, CaptureFigures], shipped: RunFolder
) -> None:
    """But for busy time, of which the recording's version took the median call, each call by itself."""
    for facts in shipped.run.keys:
        path = shipped.trace_path(facts.key.name)
        assert path is not None
        trace = read_trace(path)
        assert trace.own is not None
        own, found = trace.own["figures"], captures[facts.key.name]
        union = {"busy_ns", "busy_each_ns", "bubble_raw_ns"}
        assert json.loads(json.dumps({name: getattr(found, name) for name in own if name not in union})) == {
            name: value for name, value in own.items() if name not in union
        }
        assert found.busy_ns == pytest.approx(own["busy_ns"], rel=0.14)


@pytest.fixture(scope="module")
def captures(shipped: RunFolder) -> dict[str, CaptureFigures]:
    paths = {facts.key.name: shipped.trace_path(facts.key.name) for facts in shipped.run.keys}
    return {name: figures(read_trace(path), name) for name, path in paths.items() if path is not None}


def test_launches_that_overlap_are_busy_once(shipped: RunFolder) -> None:
    """The fused kernel's next launch starts while this one runs: a call is not busy for longer than it lasts."""
    rows = {(row.path, row.mode, row.case["tokens"]): row for row in OpenedRun(shipped).rows}
    fused = rows["fused", "eager", 8192]
    assert fused.busy_ns == pytest.approx(36_166, abs=1)
    assert fused.wall_ns is not None and fused.device_ns is not None
    assert fused.busy_ns < fused.device_ns.median < fused.wall_ns.median
    assert fused.bubbles_agree


def test_a_bubble_is_that_of_the_host_and_that_of_the_queue(shipped: RunFolder) -> None:
    """At 8,192 tokens four fifths of what the unfused chain idles lie between kernels launched long before."""
    for row in OpenedRun(shipped).rows:
        assert row.bubble_host_ns is not None and row.bubble_queue_ns is not None
        assert row.bubble_host_ns + row.bubble_queue_ns == pytest.approx(row.bubble_corrected_ns)
        if (row.path, row.mode) == ("unfused", "eager"):
            share = row.bubble_queue_ns / (row.bubble_corrected_ns or 1)
            assert (share > 0.75) == (row.case["tokens"] == 8192)


def _closed(found: tuple[Decomposition, ...]) -> list[bool]:
    return [one.closes for one in found if one.residual is not None and one.cand.mode != "compile"]


def test_device_time_adds_up_on_each_side_of_all_pairs_but_two(
    captures: dict[str, CaptureFigures], shipped: RunFolder
) -> None:
    found = decompositions(shipped.run, shipped.samples, captures)
    assert all(one.residual is not None for one in found)
    open_ = [(one.cand.path, one.cand.case["tokens"]) for one in found if one.cand.mode != "compile" and not one.closes]
    assert len(_closed(found)) == 16
    assert open_ == [("per-token", 1), ("fused", 1)]


@pytest.mark.parametrize("path", ["unfused", "fused"])
def test_ten_times_the_bytes_close_nowhere(captures: dict[str, CaptureFigures], shipped: RunFolder, path: str) -> None:
    keys = tuple(
        replace(facts, bytes_moved=10 * (facts.bytes_moved or 0)) if facts.key.path == path else facts
        for facts in shipped.run.keys
    )
    found = decompositions(replace(shipped.run, keys=keys), shipped.samples, captures)
    touched = [one for one in found if path in {one.base.path, one.cand.path}]
    assert len(_closed(tuple(touched))) == (16 if path == "unfused" else 8)
    assert not any(_closed(tuple(touched)))
    assert all("is said to move" in (one.reason or "") for one in touched if one.cand.mode != "compile")


def test_device_gaps_of_nothing_close_no_chain_whose_gaps_are_a_part_of_it(
    captures: dict[str, CaptureFigures], shipped: RunFolder
) -> None:
    """A launch, or a node, that costs no more than its own busy time: every chain fails but one of 0.7 % gaps."""
    for one in decompositions(shipped.run, gapless(shipped), captures):
        if one.cand.mode == "compile":
            continue
        assert all(abs(side.gaps_ns) < 0.001 * side.device_ns for side in one.sides)
        assert one.closes == ((one.cand.mode, one.cand.case["tokens"]) == ("graph", 8192)), one.cand.name


def gapless(folder: RunFolder) -> pl.DataFrame:
    """Its samples as if a launch, and a node, took no more than its own busy time."""
    busy = {one.key_name: one.busy_ns for one in folder.run.ceilings if one.busy_ns is not None}
    empty = {
        one.key_name: next(c.busy_ns for c in folder.run.ceilings if c.method == "serial" and c.case == one.case)
        for one in folder.run.ceilings
        if one.name == "empty_launch"
    }
    known = pl.col("key").replace_strict(busy | empty, default=None, return_dtype=pl.Float64)
    on_device = known.is_not_null() & (pl.col("clock") == "device")
    ns = pl.when(on_device).then(known * pl.col("calls")).otherwise(pl.col("ns")).round().cast(pl.Int64)
    return folder.samples.with_columns(ns=ns)


@pytest.mark.parametrize("name", ["h200-qwen", "h200-mrope-kv"])
def test_the_chains_of_an_h200_close_in_every_mode_and_without_gaps_in_no_stream(name: str) -> None:
    """There the profiler lengthens a node beyond its period, which is the most that an empty kernel takes."""
    opened = open_run(RUN.with_name(name))

    def closed(samples: pl.DataFrame) -> dict[str, bool]:
        found = decompositions(opened.run, samples, opened.captures)
        return {one.base.name: one.sides[0].closes for one in found if one.residual is not None}

    found, without = closed(opened.folder.samples), closed(gapless(opened.folder))
    assert {name.split(".")[1] for name in found} == {"eager", "compile", "graph"}
    assert all(found.values())
    assert not any(closes for name, closes in without.items() if ".graph." not in name)


def test_of_todays_kernels_what_the_readme_says_of_the_h200_is_so() -> None:
    opened = open_run(RUN.with_name("h200-ernie28b"))
    assert opened.run.complete and opened.run.machine.device_name == "NVIDIA H200"
    assert {facts.status for facts in opened.run.keys} == {"measured"} and len(opened.run.keys) == 36
    assert not any(facts.accuracy is None or facts.accuracy.wrong for facts in opened.run.keys)
    compiled = [step for one in opened.headlines if one.path == "fused" for step in one.same]
    gains = [step.ratio for step in compiled if step.cand_mode == "compile"]
    assert [f"{gain.median:.2f}" for gain in gains] == ["1.56", "1.57", "1.59", "1.66"]
    assert all(gain.lo is not None and gain.lo > 1.45 for gain in gains), "it copies nothing any more"
    sides = {(one.path, one.mode, one.case["tokens"]): one for one in opened.rows}
    assert {one.kernels_per_call for (path, _, _), one in sides.items() if path == "fused"} == {1}
    open_ = [
        (one.cand.path, one.cand.mode, one.cand.case["tokens"])
        for one in opened.numbers.decompositions
        if not one.closes
    ]
    assert len(opened.numbers.decompositions) == 24
    assert sorted(open_) == [
        ("fused", mode, tokens) for mode, tokens in (("compile", 1), ("eager", 1), ("eager", 64), ("graph", 1))
    ]
    for tokens, times in {1: 5.4, 64: 5.2, 973: 3.3, 8192: 1.9}.items():
        compiled_ns, fused_ns = sides["unfused", "compile", tokens].device_ns, sides["fused", "graph", tokens].wall_ns
        assert compiled_ns and fused_ns and round(compiled_ns.median / fused_ns.median, 1) == times


def test_the_sweep_is_whole_and_every_cell_has_an_interval() -> None:
    swept = read_run(SWEEP)
    assert swept.run.complete and swept.run.machine.device_name == "NVIDIA H200"
    assert {facts.status for facts in swept.run.keys} == {"measured"}
    assert len(swept.run.keys) == 9 * 7 * 3 * 2, "lengths, shards, paths, modes"
    assert all(row.wall_ns is not None and row.wall_ns.lo is not None for row in OpenedRun(swept).rows)


@pytest.mark.parametrize(
    "run", sorted(path.parent for path in RUN.parent.glob("*/run.json")), ids=lambda path: path.name
)
def test_nothing_private_ships(run: Path) -> None:
    for path in run.iterdir():
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for secret in (b"hostname", b"host_name", b"/home/", b"/root/", b"/Users/"):
            assert secret not in data, (path.name, secret)


def test_a_cut_trace_gives_no_figures(shipped: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(RUN, copy)
    trace = next(copy.glob("unfused.eager*n973*.r0.trace.json.gz"))
    trace.write_bytes(trace.read_bytes()[:60_000])
    with pytest.raises(RunError, match="damaged"):
        _ = open_run(copy).rows
    trace.unlink()
    assert len(open_run(copy).rows) == len(shipped.run.keys)
