"""One writer a run: the second is told who writes, a dead one holds nobody up, rows of two writers are told apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from rope_prof.cli import main
from rope_prof.errors import RunError
from rope_prof.io.run import folder as run_folder
from rope_prof.io.run.folder import append_samples, read_run, write_run
from rope_prof.io.run.writer import HOLDER_FILE, LOCK_FILE, writing
from tests.runs import facts, run, samples

HOLD = """
import sys, time
from pathlib import Path
from rope_prof.io.run.writer import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_writer_is_told_who_writes(tmp_path: Path) -> None:
    with writing(tmp_path), pytest.raises(RunError, match=rf"being written by process {os.getpid()} on .* since 20"):
        writing(tmp_path).__enter__()
    with writing(tmp_path):
        pass


@pytest.mark.parametrize("said", ["", "[]", '{"pid": "x"}', None])
def test_a_holder_that_does_not_say_is_another_process(tmp_path: Path, said: str | None) -> None:
    with writing(tmp_path):
        (tmp_path / HOLDER_FILE).unlink() if said is None else (tmp_path / HOLDER_FILE).write_text(said)
        with pytest.raises(RunError, match="by another process; wait"):
            writing(tmp_path).__enter__()


def test_the_lock_of_a_killed_writer_is_taken_over(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdin is not None
    with holder.stdout, holder.stdin:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match=f"process {holder.pid} "):
            writing(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == holder.pid, "the dead one left its name"
    with writing(tmp_path):
        assert json.loads((tmp_path / HOLDER_FILE).read_text())["pid"] == os.getpid()
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK_FILE]


def test_a_file_is_no_folder_to_write_in(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for path in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(RunError, match="with -o"):
            writing(path).__enter__()


def test_rows_of_two_writers_are_kept_where_they_agree_and_counted_where_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, run(facts(), facts("fused")))
    both = samples(unfused_eager=[300.0, 310.0, 320.0], fused_eager=[20.0, 21.0, 22.0])
    agreeing = both.slice(0, 1)
    differing = both.slice(4, 1).with_columns(ns=pl.lit(9_999, dtype=pl.Int64))
    torn = pl.concat([both, agreeing, differing])
    torn.write_parquet(tmp_path / run_folder.SAMPLES_FILE)
    found = read_run(tmp_path)
    assert found.samples.select(both.columns).equals(pl.concat([both.slice(0, 4), both.slice(5)]))
    assert found.dropped_rows == 3  # one of the two that agree, both that do not
    assert main(["show", str(tmp_path)]) == 0
    assert "rows of the samples left out: 3" in capsys.readouterr().err
    append_samples(tmp_path, both.slice(4, 1))
    assert read_run(tmp_path).samples.height == 6
    assert read_run(tmp_path).dropped_rows == 0
