"""The same functions on a Dask cluster of real processes: one killed mid-run, none left, a scheduler that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rope_prof.cli import main
from rope_prof.errors import UnavailableError
from rope_prof.io.trace.dataset import Dataset, read_dataset
from rope_prof.io.trace.storage import Source, found
from rope_prof.ranks import cluster
from rope_prof.ranks.cluster import Cluster, ClusterError
from rope_prof.ranks.run import analyze_many
from rope_prof.ranks.task import Task, TraceDone
from tests.conftest import ROOT
from tests.ranks.drawn_ranks import rank_json, write_job

#: Warnings of Dask's own loop and sockets, met when processes are killed under it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:distributed"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Running:
    """A scheduler and its workers, each a process of its own; no nanny brings a dead one back."""

    def __init__(self, folder: Path, workers: int) -> None:
        pytest.importorskip("distributed", reason="the extra 'fleet' (dask, distributed) is not installed")
        self.folder = folder
        self.file = folder / "scheduler.json"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file))
        self._until(self.file.is_file)
        self.workers = [self.worker() for _ in range(workers)]

    def worker(self) -> subprocess.Popen[bytes]:
        """One more, with one thread."""
        words = ("--scheduler-file", str(self.file), "--nthreads", "1", "--no-nanny", "--no-dashboard")
        return self._start("worker", *words, "--local-directory", str(self.folder))

    def end(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        with (self.folder / "dask.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    @staticmethod
    def _until(true: object, seconds: float = 30) -> None:
        until = time.monotonic() + seconds
        while not true() and time.monotonic() < until:  # type: ignore[operator]
            time.sleep(0.05)
        assert true()  # type: ignore[operator]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "dask"
    folder.mkdir()
    return folder


@pytest.fixture
def two(place: Path) -> Iterator[Running]:
    running = Running(place, workers=2)
    yield running
    running.end()


def tasks(folder: Path) -> list[Task]:
    return [Task(source=source) for source in found([str(folder)])]


def test_a_cluster_gives_the_rows_that_the_pool_gives(
    two: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(tmp_path / "job", size=6, late={1: 3_000})
    by_dask, by_pool = tmp_path / "by-dask", tmp_path / "by-pool"
    assert main(["analyze", str(tmp_path / "job"), "-o", str(by_pool), "--json"]) == 0
    words = ["analyze", str(tmp_path / "job"), "-o", str(by_dask), "--json", "--scheduler-file", str(two.file)]
    assert main(words) == 0, capsys.readouterr().err
    one, other = (read_dataset(folder).drop("seconds", "peak_bytes") for folder in (by_dask, by_pool))
    assert one.equals(other)


def test_a_worker_killed_with_a_trace_in_hand_loses_nothing(two: Running, tmp_path: Path) -> None:
    """One trace is on a server that keeps still: whoever has it waits, and is killed. The other worker then gets it."""
    pytest.importorskip("aiohttp", reason="the extra 'fleet' (s3fs, aiohttp) is not installed")
    job = tmp_path / "job"
    write_job(job, size=6)
    server = Still(rank_json(6, 7))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/rank6.json"
    done: list[TraceDone] = []
    engine = Cluster(scheduler_file=str(two.file), patience_s=30)

    def kill_and_answer() -> None:
        while len(done) < 6:
            time.sleep(0.05)
        os.kill(_holder(two), signal.SIGKILL)
        server.told.set()

    helper = threading.Thread(target=kill_and_answer)
    helper.start()
    every = [*tasks(job), Task(source=Source(address=address, size=len(server.data), stamp="1"))]
    done.extend(engine.run(every))  # one by one: the helper counts them meanwhile
    helper.join()
    server.shutdown()
    server.server_close()
    assert sorted(answer.task.source.name for answer in done) == sorted(task.source.name for task in every)
    assert {answer.verdict for answer in done} == {"sound"}


class Still(ThreadingHTTPServer):
    """Says how large its one file is, and sends it when `told`."""

    daemon_threads = True

    def __init__(self, data: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.data = data
        self.told = threading.Event()

    def handle_error(self, *_: object) -> None:
        """Who asked was killed."""


class _Answer(BaseHTTPRequestHandler):
    server: Still

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()

    def do_GET(self) -> None:
        self.server.told.wait(60)
        self.do_HEAD()
        self.wfile.write(self.server.data)

    def log_message(self, *_: object) -> None:
        """Silence."""


def _holder(running: Running) -> int:
    """The process that has a trace in hand."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(scheduler_file=str(running.file), set_as_default=False) as client:
        (address,) = [worker for worker, held in client.processing().items() if held]
        return int(client.run(os.getpid)[address])


def test_without_workers_the_wait_ends_in_a_sentence(place: Path, tmp_path: Path) -> None:
    running = Running(place, workers=0)
    try:
        write_job(tmp_path / "job")
        engine = Cluster(scheduler_file=str(running.file), patience_s=1.5)
        with pytest.raises(ClusterError, match=r"no worker for 1.5 s, 4 traces are left"):
            list(engine.run(tasks(tmp_path / "job")))
    finally:
        running.end()


def test_a_scheduler_that_goes_away_ends_the_run_and_keeps_what_came(two: Running, tmp_path: Path) -> None:
    job = tmp_path / "job"
    write_job(job, size=5)
    os.mkfifo(job / "z_pipe.json")
    dataset = Dataset(tmp_path / "out")

    def told(there: int, _total: int, _done: TraceDone | None) -> None:
        if there == 5:
            two.scheduler.kill()

    with pytest.raises(ClusterError, match=r"scheduler .* went away"):
        analyze_many(tasks(job), dataset, Cluster(scheduler_file=str(two.file), patience_s=20), told)
    assert len(dataset.known()) == 5
    (job / "z_pipe.json").unlink()
    assert main(["analyze", str(job), "-o", str(tmp_path / "out"), "--json"]) == 0


def test_a_cluster_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra 'fleet' (dask, distributed) is not installed")
    write_job(tmp_path / "job")
    with pytest.raises(ClusterError, match=r"no Dask scheduler at 'tcp://127\.0\.0\.1:9'"):
        list(Cluster(address="tcp://127.0.0.1:9", patience_s=1).run(tasks(tmp_path / "job")))
    with pytest.raises(ClusterError, match="no scheduler file"):
        list(Cluster(scheduler_file=str(tmp_path / "none.json"), patience_s=1).run(tasks(tmp_path / "job")))


@pytest.mark.parametrize("address", ["foo", "foo://host:1", "tcp://host", "tcp://host:99999", "host:"])
def test_what_is_no_address_is_told_at_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'fleet' (dask, distributed) is not installed")
    monkeypatch.setattr(distributed, "Client", None)  # nothing is tried
    with pytest.raises(ClusterError, match=f"'{address}' is no address of a Dask scheduler; expected one as tcp://"):
        list(Cluster(address=address).run([]))
    file = tmp_path / "scheduler.json"
    for text in ("no json", "[]", "{}"):
        file.write_text(text)
        with pytest.raises(ClusterError, match="no address of a scheduler in"):
            list(Cluster(scheduler_file=str(file)).run([]))
    file.write_text(json.dumps({"address": address}))
    with pytest.raises(ClusterError, match="is no address"):
        list(Cluster(scheduler_file=str(file)).run([]))


def test_another_version_on_a_worker_is_told(two: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_job(tmp_path / "job")
    monkeypatch.setattr(cluster, "__version__", "0.0.0-test")
    engine = Cluster(scheduler_file=str(two.file), patience_s=20)
    with pytest.raises(ClusterError, match=r"has rope_prof .*; expected 0\.0\.0-test"):
        list(engine.run(tasks(tmp_path / "job")))


def test_without_distributed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name=name)

    monkeypatch.setattr(cluster, "import_module", missing)
    with pytest.raises(UnavailableError, match=r"pip install 'rope-prof\[fleet\]'"):
        list(Cluster(address="tcp://h:1").run([]))
