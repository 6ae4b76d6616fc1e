"""Paths in processes of their own on a real GPU: one that breaks its CUDA context costs its own keys alone."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest
import torch

from rope_prof.analysis.run.conditions import channels_apart
from rope_prof.io.run.folder import read_run
from rope_prof.model.run import Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

ROOT = Path(__file__).resolve().parents[2]
#: Seconds of one recording. Each of its processes may have to load torch and its compiler by itself: 13 s on one host.
LIMIT_S = 100.0

PATHS = """
import torch

def poisons(q, k, positions, table, shape):
    far = torch.full((4,), 1 << 40, device=q.device, dtype=torch.int64)
    return q + q.flatten()[far].sum(), k

def fills(q, k, positions, table, shape):
    kept = [torch.empty(1 << 30, dtype=torch.uint8, device=q.device) for _ in range(1 << 10)]
    return q, k

def wrong_when_compiled(q, k, positions, table, shape):
    from rope_prof.kernels.mrope.unfused import unfused
    if torch.compiler.is_compiling():
        return q * 1, k * 1
    return unfused(q, k, positions, table, shape)
"""


def search_path(*folders: Path) -> str:
    """Those folders ahead of what is searched anyway."""
    return os.pathsep.join(filter(None, [*map(str, folders), os.environ.get("PYTHONPATH", "")]))


def recorded(
    folder: Path, *words: str, cwd: Path | None = None, tokens: str = "64", **variables: str
) -> tuple[Run, subprocess.CompletedProcess[str]]:
    """A run of a few rounds. One that takes over `LIMIT_S` is ended, and fails by what it did last."""
    (folder / "broken.py").write_text(PATHS)
    short = ["--device", "cuda", "--tokens", tokens, "--rounds", "7", "--patience", "30"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "rope_prof", "record", *short, "-o", str(folder / "run"), *words],
            env=os.environ | {"PYTHONPATH": search_path(folder, ROOT)} | variables,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_S,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace").splitlines()
        pytest.fail(f"no end after {LIMIT_S} s; the last it said:\n" + "\n".join(said[-12:]))
    assert "Traceback" not in done.stderr, done.stderr
    return read_run(folder / "run").run, done


def told_of(run: Run) -> dict[tuple[str, str], tuple[str, str]]:
    """(path, mode) -> (status, reason)."""
    return {(facts.key.path, facts.key.mode): (facts.status, facts.reason or "") for facts in run.keys}


def broken(*names: str, modes: tuple[str, ...]) -> list[str]:
    """Words that measure those paths beside the unfused one."""
    paths = ["unfused", *(f"broken:{name}" for name in names)]
    return [*(w for path in paths for w in ("--path", path)), *(w for mode in modes for w in ("--mode", mode))]


@pytest.mark.parametrize(("name", "says"), [("poisons", "CUDA|assert"), ("fills", "out of memory")])
def test_a_poisoned_context_and_a_full_card_fail_their_own_keys(tmp_path: Path, name: str, says: str) -> None:
    run, done = recorded(tmp_path, *broken(name, modes=("eager", "graph")))
    found = told_of(run)
    assert done.returncode == 5, found
    assert "unfused graph" in done.stdout
    assert [found["unfused", mode][0] for mode in ("eager", "graph")] == ["measured"] * 2, found
    assert [found[f"broken:{name}", mode][0] for mode in ("eager", "graph")] == ["failed"] * 2, found
    assert re.search(says, found[f"broken:{name}", "eager"][1]), found


def test_a_path_that_is_wrong_when_compiled_is_wrong_in_that_mode_alone(tmp_path: Path) -> None:
    """One that ran and gave other values is `wrong`: the compiler that its first call starts, threads and all, is no
    fault of the path.
    """
    run, done = recorded(tmp_path, *broken("wrong_when_compiled", modes=("eager", "compile")))
    found = told_of(run)
    assert done.returncode == 0, (found, done.stderr)
    assert found["broken:wrong_when_compiled", "eager"][0] == "measured", found
    assert found["broken:wrong_when_compiled", "compile"][0] == "wrong", found


SERVED = """
import peers

found, failed = peers.installed()
sglang = found["sglang"]
sglang.in_place = True
"""


@pytest.mark.skipif(find_spec("sglang") is None, reason="needs SGLang: pip install sglang")
def test_the_kernel_that_sglang_serves_with_costs_its_own_keys_at_most(tmp_path: Path) -> None:
    """Under torch.compile it was seen to give wrong values and, over 8,192 tokens, to touch memory of others."""
    (tmp_path / "served.py").write_text(SERVED)
    benchmarks = search_path(tmp_path, ROOT, ROOT / "benchmarks")
    words = ["--path", "unfused", "--path", "served:sglang"]
    run, done = recorded(tmp_path, *words, tokens="8192", PYTHONPATH=benchmarks)
    found = told_of(run)
    mine = {mode: told for (path, mode), told in found.items() if path == "served:sglang"}
    logging.getLogger(__name__).warning("exit code %d, %s", done.returncode, mine)
    assert [found["unfused", mode][0] for mode in ("eager", "compile", "graph")] == ["measured"] * 3, found
    assert set(mine) == {"eager", "compile", "graph"}
    assert all(reason for status, reason in mine.values() if status in {"failed", "wrong"})
    assert done.returncode == (5 if "failed" in {status for status, _ in mine.values()} else 0), done.stderr
    assert "served:sglang eager" in done.stdout


def test_a_revision_is_measured_beside_the_tree(repository: Path, tmp_path: Path) -> None:
    if subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("this tree is no git repository")
    words = ["--path", "fused", "--mode", "graph", "--against", "HEAD", "--repeats", "2"]
    run, done = recorded(tmp_path, *words, cwd=repository)
    assert done.returncode == 0, done.stderr
    sides = [f.key.path for f in run.keys]
    assert len(sides) == 2
    assert sides[1].startswith("fused@")
    samples = read_run(tmp_path / "run").samples
    assert samples.drop_nulls("process")["process"].n_unique() == 4
    assert samples["sm_clock_mhz"].null_count() < samples.height


def test_paths_have_channels_of_one_kind(tmp_path: Path) -> None:
    """Of four processes of a card as they come three would have one kind in half of all cases."""
    recorded(tmp_path, "--path", "unfused", "--path", "per-token", "--path", "fused", "--mode", "eager")
    samples = read_run(tmp_path / "run").samples
    levels = samples.group_by("process").agg(pl.col("launch_ns").unique())["launch_ns"].to_list()
    assert len(levels) == 3, levels
    assert all(len(one) == 1 and one[0] is not None for one in levels), levels
    assert channels_apart(samples) is None, levels
