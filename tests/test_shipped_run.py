"""The run that ships: recorded on a GPU, whole, and its traces prove what the README says of launches."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from pathlib import Path

import pytest

from rope_prof.analysis.run.decomposition import SMALL_DIFFERENCE
from rope_prof.analysis.run.rows import call_pattern, figures
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
    assert {facts.key.case.tokens for facts in shipped.run.keys} == {1, 64, 973, 8192}
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


def test_each_trace_carries_the_figures_that_its_events_give(shipped: RunFolder) -> None:
    for facts in shipped.run.keys:
        path = shipped.trace_path(facts.key.name)
        assert path is not None
        trace = read_trace(path)
        assert trace.own is not None
        own = trace.own["figures"]
        found = figures(trace, facts.key)
        assert json.loads(json.dumps({name: getattr(found, name) for name in own})) == own


def test_every_fusion_is_explained(shipped: RunFolder) -> None:
    """The terms are measured one by one, and what they leave is under 5 % of the time saved.

    Per-token at 8,192 tokens saves or costs a twentieth of the call: there the residual is a small part of the call.
    """
    split = [found for found in OpenedRun(shipped).numbers.decompositions if found.residual is not None]
    assert [found.cand.mode for found in split].count("eager") == 8
    assert [found.cand.mode for found in split].count("graph") == 8
    walls = {row.key: row.wall_ns for row in OpenedRun(shipped).rows}
    for found in split:
        wall = walls[found.base.name]
        assert wall is not None and found.residual is not None
        if abs(found.total.saved_ns) > SMALL_DIFFERENCE * wall.median:
            assert found.closes, (found.cand.name, found.residual_share)
        else:
            assert (found.cand.path, found.cand.case.tokens) == ("per-token", 8192)
            assert abs(found.residual.saved_ns) < 0.02 * wall.median
            assert "of a call of unfused" in (found.reason or "")


def test_the_sweep_is_whole_and_every_cell_has_an_interval() -> None:
    swept = read_run(SWEEP)
    assert swept.run.complete and swept.run.machine.device_name == "NVIDIA H200"
    assert {facts.status for facts in swept.run.keys} == {"measured"}
    assert len(swept.run.keys) == 9 * 7 * 3 * 2, "lengths, shards, paths, modes"
    assert all(row.wall_ns is not None and row.wall_ns.lo is not None for row in OpenedRun(swept).rows)


@pytest.mark.parametrize("run", [RUN, SWEEP], ids=lambda path: path.name)
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
