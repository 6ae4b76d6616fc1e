"""Paths in processes of their own on a real GPU: one that breaks its CUDA context costs its own keys alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rope_prof.io.run.folder import read_run
from rope_prof.model.run import Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

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


def recorded(repository: Path, folder: Path, *words: str) -> tuple[Run, subprocess.CompletedProcess[str]]:
    (folder / "broken.py").write_text(PATHS)
    done = subprocess.run(
        [sys.executable, "-m", "rope_prof", "record", "--device", "cuda", "-o", str(folder / "run"), *words],
        env=os.environ | {"PYTHONPATH": search_path(folder, repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return read_run(folder / "run").run, done


def test_a_poisoned_context_and_a_full_card_fail_their_own_keys(repository: Path, tmp_path: Path) -> None:
    """A key that could not be run is `failed`; one that ran and gave other values is `wrong`, whatever ran beside it.

    So `wrong_when_compiled` is wrong in mode compile alone: the compiler that its first call starts, threads and all,
    is no fault of the path.
    """
    words = ["--tokens", "64", "--rounds", "7", "--path", "unfused", "--path", "fused"]
    words += [word for name in ("poisons", "fills", "wrong_when_compiled") for word in ("--path", f"broken:{name}")]
    run, done = recorded(repository, tmp_path, *words)
    assert done.returncode == 5
    assert "fused graph" in done.stdout
    found = {(f.key.path, f.key.mode): (f.status, f.reason or "") for f in run.keys}
    told = "\n".join(f"{path} {mode}: {status} {reason}" for (path, mode), (status, reason) in found.items())
    for path in ("unfused", "fused"):
        for mode in ("eager", "compile", "graph"):
            assert found[path, mode][0] == "measured", told
    for mode in ("eager", "compile", "graph"):
        assert found["broken:poisons", mode][0] == "failed", told
        assert found["broken:fills", mode][0] == "failed", told
    assert "CUDA" in found["broken:poisons", "eager"][1] or "assert" in found["broken:poisons", "eager"][1], told
    assert "out of memory" in found["broken:fills", "eager"][1], told
    assert found["broken:wrong_when_compiled", "eager"][0] == "measured", told
    assert found["broken:wrong_when_compiled", "compile"][0] == "wrong", told


def test_a_revision_is_measured_beside_the_tree(repository: Path, tmp_path: Path) -> None:
    if subprocess.run(["git", "-C", str(repository), "rev-parse", "HEAD"], capture_output=True, check=False).returncode:
        pytest.skip("this tree is no git repository")
    words = ["record", "--device", "cuda", "--tokens", "64", "--rounds", "7", "--path", "fused", "--mode", "graph"]
    done = subprocess.run(
        [sys.executable, "-m", "rope_prof", *words, "--against", "HEAD", "--repeats", "2", "-o", str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": search_path(repository)},
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    folder = read_run(tmp_path / "run")
    sides = [f.key.path for f in folder.run.keys]
    assert len(sides) == 2
    assert sides[1].startswith("fused@")
    assert folder.samples.drop_nulls("process")["process"].n_unique() == 4
    assert folder.samples["sm_clock_mhz"].null_count() < folder.samples.height
