"""Traces that are packed: zstd, zip and tar, one or several in an archive; and packings that are damaged or bombs."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from rope_prof.cli import main
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import fetched, found, several
from tests.builders import kernel, kineto_json, trace

ONE = kineto_json(trace(kernel(0, 10, launched=(-9, -8)), kernel(20, 35, launched=(-7, -6))))


def zipped(path: Path, **held: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in held.items():
            out.writestr(f"run/{name}.json", data)
        out.writestr("run/README.md", "no trace")
    return path


def tarred(path: Path, **held: bytes) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as out:
        for name, data in held.items():
            info = tarfile.TarInfo(f"run/{name}.json")
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
    return path


def test_a_trace_packed_by_zstd_is_read_in_one_frame_or_several(tmp_path: Path) -> None:
    path = tmp_path / "a.json.zst"
    half = len(ONE) // 2
    for packed in (zstandard.compress(ONE), zstandard.compress(ONE[:half]) + zstandard.compress(ONE[half:])):
        path.write_bytes(packed)
        found_ = read_trace(path)
        assert found_.gpu.height == 2 and not found_.findings


def test_cut_and_damaged_zstd_gives_what_can_be_unpacked_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.json.zst"
    packed = zstandard.compress(ONE * 1)
    path.write_bytes(packed[:-8])
    with pytest.raises(TraceError, match="zstd data ends early"):
        read_trace(path)
    path.write_bytes(packed[:20] + b"\xff" * 20 + packed[40:])
    with pytest.raises(TraceError, match="zstd data is damaged"):
        read_trace(path)
    path.write_bytes(packed + b"more")
    assert [one.code for one in read_trace(path).findings] == ["gzip_trailing"]


def test_a_zstd_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json.zst"
    path.write_bytes(zstandard.compress(b'{"traceEvents": [' + bytes(200 << 20)))
    with pytest.raises(TraceError, match="the limit against"):
        read_trace(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_an_archive_with_one_trace_is_that_trace(tmp_path: Path, name: str) -> None:
    packed = (zipped if name.endswith("zip") else tarred)(tmp_path / name, rank0=gzip.compress(ONE))
    found_ = read_trace(packed)
    assert found_.gpu.height == 2 and found_.source == f"{packed}::run/rank0.json"
    assert not several([str(packed)])


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_an_archive_with_several_is_ranks_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    packed = (zipped if name.endswith("zip") else tarred)(tmp_path / name, rank_0=ONE, rank_1=ONE)
    assert several([str(packed)])
    sources = found([str(packed)])
    assert [source.name for source in sources] == ["rank_0.json", "rank_1.json"]
    with fetched(sources[1]) as path:
        assert path.name == "rank_1.json" and path.read_bytes() == ONE
    assert not path.exists()
    with pytest.raises(TraceError, match="with 2 traces; expected one"):
        read_trace(packed)
    monkeypatch.chdir(tmp_path)
    assert main(["analyze", name, "--json", "--workers", "1"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(len(one["ranks"]) for one in told["recordings"]) == 2


def test_archives_of_nothing_bombs_and_damage_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"archive with no file that ends in \.json"):
        read_trace(zipped(tmp_path / "empty.zip"))
    with pytest.raises(TraceError, match="limits against bombs"):
        read_trace(zipped(tmp_path / "bomb.zip", a=bytes(200 << 20)))
    whole = zipped(tmp_path / "cut.zip", a=ONE).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TraceError, match="damaged or locked archive"):
        read_trace(tmp_path / "cut.zip")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "a.json"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)  # so that whoever reads after all gets an archive, and does not hang
    try:
        os.write(held, b"PK\x03\x04" + b"0" * 300)
        assert not several([str(pipe)])
        assert [source.name for source in found([str(tmp_path)])] == ["a.json"]
    finally:
        os.close(held)
