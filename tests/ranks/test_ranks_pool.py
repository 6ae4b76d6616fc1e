"""The local pool, with real processes and real deaths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from multiprocessing import parent_process
from pathlib import Path

import polars as pl
import pytest

from rope_prof.cli import main
from rope_prof.commands.analyze_many import parsed_size
from rope_prof.errors import RunError, UsageError
from rope_prof.io.trace.dataset import Dataset, read_dataset
from rope_prof.io.trace.storage import found
from rope_prof.ranks.pool import Pool, cores, free_bytes, processes
from rope_prof.ranks.run import analyze_many
from rope_prof.ranks.task import Task, TraceDone
from rope_prof.ranks.work import account, failed
from tests.ranks.drawn_ranks import rank_json, write_job


def tasks(folder: Path) -> list[Task]:
    return [Task(source=source) for source in found([str(folder)])]


class Here:
    """An engine in this very process, that counts what it was given and may end early."""

    def __init__(self, most: int = 99) -> None:
        self.most = most
        self.given: list[str] = []

    def run(self, tasks: Iterable[Task]) -> Iterator[TraceDone]:
        for task in tasks:
            if len(self.given) == self.most:
                raise KeyboardInterrupt
            self.given.append(task.source.name)
            yield account(task)


def quiet(*_: object) -> None:
    """No progress."""


def test_a_job_over_two_processes_is_what_one_process_says(tmp_path: Path) -> None:
    write_job(tmp_path / "job", late={1: 3_000})
    analyze_many(tasks(tmp_path / "job"), Dataset(tmp_path / "one"), Here(), quiet)
    analyze_many(tasks(tmp_path / "job"), Dataset(tmp_path / "two"), Pool(workers=2, memory_bytes=4 << 30), quiet)
    one, two = (read_dataset(tmp_path / name).drop("seconds", "peak_bytes") for name in ("one", "two"))
    assert one.equals(two)
    assert sorted(path.name for path in (tmp_path / "two").glob("run=*/rank=*")) == [f"rank={k}" for k in range(4)]


def test_any_parquet_reader_sees_one_table_by_run_and_rank(tmp_path: Path) -> None:
    write_job(tmp_path / "job")
    analyze_many(tasks(tmp_path / "job"), Dataset(tmp_path / "out"), Here(), quiet)
    table = pl.read_parquet(tmp_path / "out" / "run=*" / "rank=*" / "*.parquet", hive_partitioning=True)
    assert table["run"].unique().str.starts_with("job-").all()
    assert table.filter(pl.col("row") == "trace").height == 4


def test_a_killed_analysis_goes_on_where_it_was(tmp_path: Path) -> None:
    write_job(tmp_path / "job")
    dataset, engine = Dataset(tmp_path / "out"), Here(most=2)
    with pytest.raises(KeyboardInterrupt):
        analyze_many(tasks(tmp_path / "job"), dataset, engine, quiet)
    again = Here()
    tally = analyze_many(tasks(tmp_path / "job"), dataset, again, quiet)
    assert (tally.traces, tally.kept) == (4, 2)
    assert sorted(engine.given + again.given) == sorted(path.name for path in (tmp_path / "job").iterdir())
    assert analyze_many(tasks(tmp_path / "job"), dataset, Here(most=0), quiet).kept == 4


def test_what_changed_or_failed_or_is_damaged_is_read_again(tmp_path: Path) -> None:
    paths = write_job(tmp_path / "job")
    dataset = Dataset(tmp_path / "out")
    analyze_many(tasks(tmp_path / "job"), dataset, Here(), quiet)
    paths[0].write_bytes(rank_json(0, steps=9))
    (lost,) = [task for task in tasks(tmp_path / "job") if task.source.address == str(paths[1])]
    answer = failed(lost, "the store was away")
    dataset.write(answer.rows, source=lost.source.shown, folder=lost.source.folder, rank=answer.rank)
    next((tmp_path / "out").glob("run=*/rank=2/*.parquet")).write_bytes(b"PAR1 and then nothing")
    engine = Here()
    analyze_many(tasks(tmp_path / "job"), dataset, engine, quiet)
    assert sorted(engine.given) == sorted(path.name for path in paths[:3])
    heads = read_dataset(tmp_path / "out").filter(pl.col("row") == "trace")
    assert heads.height == 4
    assert heads["status"].unique().to_list() == ["done"]


def test_a_rank_that_comes_to_be_known_counts_once(tmp_path: Path) -> None:
    """A trace that failed at first has no rank but what its name says; its rows move when it is read."""
    (path,) = write_job(tmp_path / "job", size=1)
    dataset = Dataset(tmp_path / "out")
    (task,) = tasks(tmp_path / "job")
    dataset.begin()
    for answer in (failed(task, "the store was away"), account(task)):
        dataset.write(answer.rows, source=str(path), folder=task.source.folder, rank=answer.rank)
    heads = read_dataset(tmp_path / "out").filter(pl.col("row") == "trace")
    assert heads["status"].to_list() == ["done"]
    assert heads["rank"].to_list() == [0]


def test_other_options_are_another_analysis(tmp_path: Path) -> None:
    write_job(tmp_path / "job", size=2)
    dataset = Dataset(tmp_path / "out")
    analyze_many(tasks(tmp_path / "job"), dataset, Here(), quiet)
    narrow = [Task(source=task.source, range_pattern="rope") for task in tasks(tmp_path / "job")]
    assert analyze_many(narrow, dataset, Here(), quiet).kept == 0
    names = read_dataset(tmp_path / "out").filter(pl.col("row") == "range")["name"].unique().to_list()
    assert names == ["rope"]


def test_a_worker_that_is_killed_costs_its_own_trace_at_most(tmp_path: Path) -> None:
    """The one that kills its worker (here: the process itself, as the kernel's out-of-memory killer would)."""
    write_job(tmp_path / "job")
    every = tasks(tmp_path / "job")
    deadly = Deadly(source=every[1].source)
    done = list(Pool(workers=2, memory_bytes=4 << 30).run([every[0], deadly, *every[2:]]))
    by_name = {answer.task.source.name: answer for answer in done}
    assert len(done) == len(by_name) == 4
    assert by_name[deadly.source.name].status == "failed"
    assert "its worker died" in str(by_name[deadly.source.name].reason)
    assert [by_name[task.source.name].verdict for task in (every[0], *every[2:])] == ["sound"] * 3


class Deadly(Task):
    """A task whose worker dies of it."""

    @property
    def stamp(self) -> str:
        if parent_process() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return "deadly"


def test_memory_bounds_how_many_run_at_a_time(tmp_path: Path) -> None:
    write_job(tmp_path / "job")
    first, *rest = tasks(tmp_path / "job")
    small = Pool(workers=8, memory_bytes=2 * first.bytes_needed)
    assert small.fits(first, [])
    assert small.fits(rest[0], [first])
    assert not small.fits(rest[1], [first, rest[0]])
    assert Pool(workers=1, memory_bytes=1).fits(first, [])  # one always starts
    assert cores() >= 1
    assert free_bytes() > 0


def test_each_process_computes_with_one_thread_and_this_one_as_before() -> None:
    before = dict(os.environ)
    with processes(1) as executor:
        assert executor.submit(pl.thread_pool_size).result() == 1
    assert dict(os.environ) == before


def test_a_killed_parent_leaves_no_worker_behind_and_resumes(tmp_path: Path) -> None:
    """SIGKILL in the middle of a pipe: the workers see that their parent is gone."""
    folder = tmp_path / "job"
    write_job(folder, size=3)
    os.mkfifo(folder / "rank9.json")  # a trace that never comes: its worker waits
    command = [sys.executable, "-m", "rope_prof", "analyze", str(folder), "-o", str(tmp_path / "out"), "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 60
        while len(list((tmp_path / "out").glob("run=*/rank=*/*.parquet"))) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        children = _children(process.pid)
        assert children
    finally:
        process.kill()
        process.communicate()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    (folder / "rank9.json").unlink()
    assert main(["analyze", str(folder), "-o", str(tmp_path / "out"), "--json"]) == 0


_FORKED = """
import sys, threading
from rope_prof.cli import main
from rope_prof.ranks.pool import processes
def method():
    with processes(1) as executor:
        return executor._mp_context.get_start_method()
assert main(sys.argv[1:]) == 0
assert "polars" not in sys.modules
alone = method()
done = threading.Event()
threading.Thread(target=done.wait).start()
beside = method()
done.set()
import polars
assert (alone, beside, method()) == ("fork" if sys.platform == "linux" else "spawn", "spawn", "spawn")
"""


def test_who_waits_for_workers_loads_no_polars_and_forks_while_it_has_one_thread(tmp_path: Path) -> None:
    write_job(tmp_path / "job", late={1: 3_000})
    analyze_many(tasks(tmp_path / "job"), Dataset(tmp_path / "one"), Here(), quiet)
    words = ["analyze", str(tmp_path / "job"), "-o", str(tmp_path / "two"), "--workers", "2"]
    code = [sys.executable, "-c", _FORKED]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*code, *words], env=alone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    one, two = (read_dataset(tmp_path / name).drop("seconds", "peak_bytes") for name in ("one", "two"))
    assert one.equals(two)


def test_ctrl_c_is_one_line_and_leaves_no_worker_behind(tmp_path: Path) -> None:
    """Of a terminal: every process of the group has it."""
    write_job(tmp_path / "job", size=1)
    os.mkfifo(tmp_path / "job" / "rank9.json")
    command = [sys.executable, "-m", "rope_prof", "analyze", str(tmp_path / "job"), "-o", str(tmp_path / "out")]
    process = subprocess.Popen(
        [*command, "--workers", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    until = time.monotonic() + 60
    while not list((tmp_path / "out").glob("run=*/rank=*/*.parquet")) and time.monotonic() < until:
        time.sleep(0.05)
    children = _children(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert (process.returncode, said) == (130, b"error: stopped\n")
    assert children
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_the_command_prints_ranks_and_keeps_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_job(tmp_path / "job", late={2: 3_000})
    cut = tmp_path / "job" / "rank4.json"
    cut.write_bytes(rank_json(4, 5)[:2_000])
    (tmp_path / "job" / "rank6.json").write_text("{}")
    assert main(["analyze", str(tmp_path / "job"), "-o", str(tmp_path / "out"), "--workers", "2"]) == 0
    said = capsys.readouterr()
    assert "rank 2 is late" in " ".join(said.out.split())
    assert "6 analyzed now, 0 kept from before" in said.out
    assert main(["analyze", str(tmp_path / "job" / "*.json"), "-o", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["traces"] == 6
    (one,) = report["recordings"]
    assert [rank["label"] for rank in one["ranks"]] == ["0", "1", "2", "3", "4", "6"]
    assert one["ranks"][4]["verdict"] in ("suspect", "unusable")
    assert one["ranks"][5]["verdict"] == "unreadable"


def test_wrong_words_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "job"
    write_job(folder, size=1)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    out = ["-o", str(tmp_path / "out")]
    assert main(["analyze", str(tmp_path / "none"), "-o", str(tmp_path / "out"), "--workers", "2"]) == 1
    assert main(["analyze", str(folder), *out, "--workers", "0"]) == 2
    assert main(["analyze", str(folder), *out, "--memory", "lots"]) == 2
    assert main(["analyze", str(folder), *out, "--chains"]) == 2
    assert main(["analyze", str(folder), *out, "--dask", "tcp://h:1", "--workers", "2"]) == 2
    assert main(["analyze", str(folder), "-o", str(tmp_path / "full")]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) == 6
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"


def test_no_usable_trace_exits_3(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "rank0.json").write_text('{"traceEvents": []}')
    assert main(["analyze", str(tmp_path / "job"), "-o", str(tmp_path / "out"), "--workers", "1"]) == 3


def test_a_dataset_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fleet.json").write_text('{"schema_version": 99}')
    for call in (Dataset(tmp_path).begin, lambda: read_dataset(tmp_path)):
        with pytest.raises(RunError, match="99"):
            call()
    with pytest.raises(RunError, match="analyze"):
        read_dataset(tmp_path / "none")


def test_sizes_are_read_as_people_write_them() -> None:
    assert [parsed_size(text) for text in ("8G", "512 MiB", "1.5g", "1000")] == [8 << 30, 512 << 20, 3 << 29, 1000]
    with pytest.raises(UsageError):
        parsed_size("0G")
