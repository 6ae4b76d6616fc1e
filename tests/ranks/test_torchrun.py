"""`torchrun -m rope_prof record`, for real: gloo, two and four processes of a CPU, and one that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rope_prof.io.run.folder import read_run
from rope_prof.io.trace.read import read_trace

WORDS = ("--device", "cpu", "--mode", "eager", "--tokens", "8", "--calls", "2")

#: A path whose process is killed on rank 1, once it has been called often enough to be among the timed rounds.
DYING = """
import os, signal
calls = 0

def rope(q, k, positions, table, shape):
    global calls
    calls += 1
    if os.environ["RANK"] == "1" and calls > 600:
        os.kill(os.getpid(), signal.SIGKILL)
    from rope_prof.kernels.mrope.unfused import unfused
    return unfused(q, k, positions, table, shape)

rope.in_place = False
"""


def torchrun(ranks: int, repository: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return subprocess.run(
        [*command, "-m", "rope_prof", "record", *map(str, words), *WORDS],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 4])
def test_every_rank_records_at_once_into_one_run(ranks: int, repository: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = torchrun(ranks, repository, "--path", "unfused", "--rounds", 6, "-o", folder)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"recorded on {ranks} ranks in" in done.stdout
    assert done.stdout.count("Over ranks, µs per call") == 1
    kept = read_run(folder)
    assert kept.run.complete
    assert [facts.key.rank for facts in kept.run.keys] == list(range(ranks))
    for facts in kept.run.keys:
        assert facts.status == "measured", facts.reason
        path = kept.trace_path(facts.key.name)
        assert path is not None
        trace = read_trace(path)
        assert trace.own is not None
        assert trace.own["key"]["rank"] == facts.key.rank
        assert trace.metadata["distributedInfo"]["world_size"] == ranks
    spans = [
        (part["round"].min(), part["round"].max()) for _, part in kept.samples.group_by("key", maintain_order=True)
    ]
    assert spans.count((0, 5)) >= ranks
    again = torchrun(2, repository, "--path", "unfused", "-o", folder)
    assert again.returncode != 0
    assert "already holds a run" in again.stderr


@pytest.mark.slow
def test_a_killed_rank_is_named_and_the_others_stay_readable(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = tmp_path / "run"
    done = torchrun(2, repository, "--path", "unfused", "--path", "dying:rope", "--rounds", 4000, "-o", folder)
    assert done.returncode != 0
    assert "rank 1 of 2 died" in done.stderr, done.stderr[-3000:]
    kept = read_run(folder)
    assert not kept.run.complete
    lost = [facts for facts in kept.run.keys if facts.key.rank == 1]
    assert lost
    assert all("rank 1 died" in str(facts.reason) for facts in lost)
    mine = [facts.key.name for facts in kept.run.keys if facts.key.rank == 0]
    assert kept.samples.filter(kept.samples["key"].is_in(mine)).height


def test_what_torchrun_cannot_do_is_told_before_anything_starts(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rope_prof.cli import main

    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert main(["record", "--resume", "-o", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert main(["record", "--nsight", "systems", "-o", str(tmp_path / "run"), "--device", "cpu"]) == 2
    assert repository.is_dir()
