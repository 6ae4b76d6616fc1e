"""A cached trace is the trace; anything off about the cache means parsing again, never an error or a wrong figure."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest

from rope_prof.cli import main
from rope_prof.io import store
from rope_prof.io.store import traces_kept
from rope_prof.io.trace import cache
from rope_prof.io.trace.cache import SUFFIX, cached_trace
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Finding, Trace, empty


def _trace(source: str = "a.json", start: int = 5) -> Trace:
    row = {"kind": "kernel", "name": "mul", "device": "0", "stream": 7, "start_ns": start, "dur_ns": 2**40}
    return Trace(
        format="kineto",
        source=source,
        gpu=pl.DataFrame([row], schema=GPU_EVENTS),
        calls=empty(HOST_CALLS),
        ranges=empty(RANGES),
        ops=empty(CPU_OPS),
        overheads=empty(OVERHEADS),
        events=3,
        findings=(Finding(code="cut", detail="ends inside event 3"),),
        window_end=False,
        base_time_ns=2**61 + 1,
        device_names={"0": "NVIDIA H200"},
        metadata={"with_stack": 1, "note": "µ", "deep": {"list": [1, None, 0.5]}},
        own={"schema_version": 1},
    )


class Reader:
    """Reads the same trace each time and counts how often it had to."""

    def __init__(self, trace: Trace) -> None:
        self.trace, self.count = trace, 0

    def __call__(self) -> Trace:
        self.count += 1
        return self.trace


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.json"
    file.write_text("the bytes of a trace")
    return file


def _same(a: Trace, b: Trace) -> bool:
    for field in fields(Trace):
        left, right = getattr(a, field.name), getattr(b, field.name)
        if isinstance(left, pl.DataFrame):
            if left.schema != right.schema or not left.equals(right):
                return False
        elif left != right:
            return False
    return True


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WORTH_S", 0.0)


def test_the_second_time_nothing_is_parsed(path: Path) -> None:
    reader = Reader(_trace(str(path)))
    first, second = cached_trace(path, reader), cached_trace(path, reader)
    assert reader.count == 1
    assert _same(first, second)


def test_what_is_read_in_no_time_is_neither_hashed_nor_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "WORTH_S", 1e9)
    monkeypatch.setattr(cache, "file_digest", lambda _: pytest.fail("nothing of this size was kept"))
    reader = Reader(_trace(str(path)))
    assert _same(cached_trace(path, reader), cached_trace(path, reader))
    assert reader.count == 2
    assert not traces_kept().folder.exists()


def test_other_content_is_parsed(path: Path) -> None:
    cached_trace(path, Reader(_trace()))
    before = path.stat()
    path.write_text("the bytes of a TRACE")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    reader = Reader(_trace(str(path), start=6))
    assert cached_trace(path, reader).gpu["start_ns"].to_list() == [6]
    assert reader.count == 1
    assert len(list(traces_kept().folder.iterdir())) == 2


def test_one_content_under_two_names_is_parsed_once_and_keeps_its_names(path: Path, tmp_path: Path) -> None:
    cached_trace(path, Reader(_trace()))
    other = tmp_path / "b.json"
    other.write_bytes(path.read_bytes())
    reader = Reader(_trace())
    assert cached_trace(other, reader).source == str(other)
    assert reader.count == 0


def _files(_: Path) -> list[Path]:
    return sorted(file for file in traces_kept().folder.rglob("*") if file.is_file())


def test_what_lies_beside_a_trace_is_never_believed(path: Path) -> None:
    cached_trace(path, Reader(_trace()))
    beside = path.with_name(path.name + SUFFIX)
    traces_kept().folder.rename(beside)  # whole, of this very content, and somebody else's to give
    reader = Reader(_trace(str(path), start=6))
    assert cached_trace(path, reader).gpu["start_ns"].to_list() == [6]
    assert reader.count == 1


def test_a_folder_that_others_can_write_is_not_believed(path: Path) -> None:
    cached_trace(path, Reader(_trace()))
    traces_kept().folder.chmod(0o777)
    reader = Reader(_trace(str(path)))
    cached_trace(path, reader)
    assert reader.count == 1


def test_it_is_bounded_and_what_was_opened_last_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        file = tmp_path / f"{number}.json"
        file.write_text(f"trace {number}")
        cached_trace(file, Reader(_trace()))
        for entry in traces_kept().folder.iterdir():
            os.utime(entry, (entry.stat().st_mtime - 10,) * 2)
    cached_trace(tmp_path / "0.json", Reader(_trace()))  # opened again
    monkeypatch.setattr(store, "TRACES_BYTES", traces_kept().kept_bytes() * 3 // 4)
    (tmp_path / "4.json").write_text("trace 4")
    cached_trace(tmp_path / "4.json", Reader(_trace()))
    monkeypatch.undo()
    monkeypatch.setattr(cache, "WORTH_S", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    left = []
    for number in range(5):
        reader = Reader(_trace())
        cached_trace(tmp_path / f"{number}.json", reader)
        left += [number] if not reader.count else []
    assert 0 in left and 4 in left and 1 not in left


def test_doctor_deletes_it(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cached_trace(path, Reader(_trace()))
    assert traces_kept().kept_bytes() > 0
    assert main(["doctor", "--clear-cache"]) == 0
    assert "of parsed traces deleted" in capsys.readouterr().out
    assert traces_kept().kept_bytes() == 0


@pytest.mark.parametrize("which", range(11))
@pytest.mark.parametrize("how", ["flip", "cut", "empty", "delete"])
def test_a_damaged_cache_is_parsed_again_and_mended(path: Path, which: int, how: str) -> None:
    trace = _trace(str(path))
    cached_trace(path, Reader(trace))
    files = _files(path)
    assert len(files) == 11
    data = bytearray(files[which].read_bytes())
    data[len(data) // 2] ^= 1
    if how == "delete":
        files[which].unlink()
    else:
        files[which].write_bytes({"flip": bytes(data), "cut": bytes(data[:-9]), "empty": b""}[how])
    reader = Reader(trace)
    assert _same(cached_trace(path, reader), trace)
    assert reader.count == 1
    assert _same(cached_trace(path, reader), trace)
    assert reader.count == 1


def test_no_cache_where_a_file_stands_in_its_place(path: Path) -> None:
    traces_kept().folder.parent.mkdir(parents=True)
    traces_kept().folder.write_text("in the way")
    reader = Reader(_trace(str(path)))
    assert _same(cached_trace(path, reader), reader.trace)
    assert _same(cached_trace(path, reader), reader.trace)
    assert reader.count == 2


def test_a_failing_disk_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    assert cached_trace(path, Reader(_trace())).events == 3
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == [path.name]


def test_an_interrupted_write_leaves_no_half_cache(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pl.DataFrame, "write_parquet", stop)
    with pytest.raises(KeyboardInterrupt):
        cached_trace(path, Reader(_trace()))
    monkeypatch.undo()
    monkeypatch.setattr(cache, "WORTH_S", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(path.parent / "cache"))
    assert list(traces_kept().folder.iterdir()) == []
    reader = Reader(_trace())
    cached_trace(path, reader)
    assert reader.count == 1


def test_facts_that_json_cannot_carry_are_not_kept(path: Path) -> None:
    trace = _trace(str(path))
    trace.metadata["bytes"] = (1, 2)
    reader = Reader(trace)
    assert cached_trace(path, reader).metadata["bytes"] == (1, 2)
    assert cached_trace(path, reader).metadata["bytes"] == (1, 2)
    assert reader.count == 2


def test_an_error_of_the_reader_is_the_error(path: Path) -> None:
    def read() -> Trace:
        raise RuntimeError("as it was")

    with pytest.raises(RuntimeError, match="as it was"):
        cached_trace(path, read)
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == [path.name]


def test_a_missing_file_is_the_readers_to_report(tmp_path: Path) -> None:
    def read() -> Trace:
        raise FileNotFoundError("no such trace")

    with pytest.raises(FileNotFoundError, match="no such trace"):
        cached_trace(tmp_path / "none.json", read)
