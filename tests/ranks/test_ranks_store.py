"""Traces in an object store: a local server that speaks S3, behind a gate that errs, cuts and stalls on demand."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.cli import main
from rope_prof.errors import TraceError, UnavailableError
from rope_prof.io.trace.dataset import read_dataset
from rope_prof.io.trace.storage import VARIABLE, StorageError, fetched, found
from tests.ranks.drawn_ranks import rank_json

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Gate(ThreadingHTTPServer):
    """Passes requests on to the store. `ill` names what is done to a GET or HEAD of a key: error | stall."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = port
        self.ill: dict[str, str] = {}
        self.ended = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Gate

    def _pass(self) -> None:
        how = next((how for key, how in self.server.ill.items() if self.path.split("?")[0].endswith(key)), None)
        if how == "stall" and self.command == "GET":
            self.server.ended.wait(30)
            self.close_connection = True
            return
        if how == "error":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        store = http.client.HTTPConnection("127.0.0.1", self.server.store, timeout=30)
        store.request(self.command, self.path, body, dict(self.headers))
        answer = store.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                self.send_header(name, value)
        if self.command != "HEAD" and answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        store.close()

    do_GET = do_HEAD = do_PUT = do_POST = _pass  # noqa: N815 - the names that the server calls

    def log_message(self, *_: Any) -> None:
        """Silence."""


@pytest.fixture(scope="module")
def store() -> Iterator[int]:
    """The port of the S3 server."""
    pytest.importorskip("s3fs", reason="the extra 'fleet' (fsspec, s3fs) is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server], which tests object stores, is not installed")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    yield running.get_host_and_port()[1]
    running.stop()


@pytest.fixture
def gate(store: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """The gate before a bucket `runs` of four ranks; the environment points at it, as at any store."""
    import s3fs

    gate = Gate(store)
    threading.Thread(target=gate.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        VARIABLE: "2",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    if not system.exists("runs"):
        system.mkdir("runs")
    for rank in range(4):
        system.pipe(f"runs/night/part{rank % 2}/rank{rank}.json", rank_json(rank, late={2: 3_000}))
    system.pipe("runs/night/readme.txt", b"no trace")
    s3fs.S3FileSystem.clear_instance_cache()
    yield gate
    gate.ended.set()
    gate.shutdown()
    gate.server_close()
    s3fs.S3FileSystem.clear_instance_cache()


def test_folders_globs_and_single_objects_are_found(gate: Gate) -> None:
    assert [source.name for source in found(["s3://runs/night"])] == [
        "rank0.json",
        "rank2.json",
        "rank1.json",
        "rank3.json",
    ]
    assert [source.name for source in found(["s3://runs/night/*/rank[01].json"])] == ["rank0.json", "rank1.json"]
    (one,) = found(["s3://runs/night/part0/rank2.json"])
    assert one.folder == "s3://runs/night/part0"
    with fetched(one) as path:
        assert path.read_bytes() == rank_json(2, late={2: 3_000})
    assert not path.exists()
    with pytest.raises(TraceError, match="no trace in"):
        found(["s3://runs/day"])
    assert gate.ill == {}


def test_a_run_in_a_bucket_has_each_capture_once(gate: Gate) -> None:
    import s3fs

    system = s3fs.S3FileSystem()
    for run in ("runs/cut", "runs/cut/ranks/r0"):
        system.pipe({f"{run}/run.json": b"{}", f"{run}/fused.eager.r0.trace.json.gz": b"{}"})
    assert [source.folder for source in found(["s3://runs/cut"])] == ["s3://runs/cut"]
    assert gate.ill == {}


def test_a_bucket_is_analyzed_as_a_folder_is(gate: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["analyze", "s3://runs/night", "-o", str(out), "--workers", "1"]) == 0
    assert "4 analyzed now" in capsys.readouterr().out
    assert main(["analyze", "s3://runs/night", "-o", str(out), "--workers", "1"]) == 0
    assert "4 kept from before" in capsys.readouterr().out
    assert gate.ill == {}


def test_objects_that_err_or_stall_cost_themselves_alone(
    gate: Gate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["analyze", "s3://runs/night/", "-o", str(out), "--workers", "2"]
    gate.ill = {"rank1.json": "stall"}
    assert main(words) == 1
    said = capsys.readouterr()
    assert "1 of 4 traces failed" in said.err
    assert "sent nothing for 2 s" in said.err
    heads = read_dataset(out).filter(pl.col("row") == "trace").sort("rank")
    assert heads["status"].to_list() == ["done", "failed", "done", "done"]
    gate.ill = {}
    assert main(words) == 0
    assert "1 analyzed now, 3 kept" in capsys.readouterr().out


def test_an_error_of_the_store_is_told_in_its_words(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "20")
    (source,) = found(["s3://runs/night/part0/rank0.json"])
    gate.ill = {"rank0.json": "error"}
    with pytest.raises(StorageError, match=r"cannot fetch 's3://runs/night/part0/rank0.json'"), fetched(source):
        pass


def test_a_store_that_stalls_at_once_ends_in_a_sentence(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0.5")
    gate.ill = {"runs": "stall", "night": "stall", "/": "stall"}
    with pytest.raises(StorageError, match=r"cannot list 's3://runs/night': the store sent nothing for 0.5 s"):
        found(["s3://runs/night"])


def test_a_kind_of_store_without_its_package_says_so() -> None:
    pytest.importorskip("fsspec", reason="the extra 'fleet' (fsspec) is not installed")
    if find_spec("gcsfs") is not None:
        pytest.skip("gcsfs is installed: there is nothing to miss")
    with pytest.raises(UnavailableError, match=r"needs the package gcsfs.*install"):
        found(["gs://bucket/runs"])
