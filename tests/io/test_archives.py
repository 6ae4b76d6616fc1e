"""Traces that are packed: zstd, zip and tar, one or several in an archive; and packings that are damaged or bombs."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
import zstandard

from rope_prof.cli import main
from rope_prof.errors import RunError, TraceError
from rope_prof.io import bombs
from rope_prof.io.run.clean_files import clean_parquet
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.trace import members
from rope_prof.io.trace.members import extracted
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


def packed_as(path: Path, member: str, data: bytes) -> Path:
    """An archive of the kind that its name tells, with one member of that name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_:
            zip_.writestr(member, data)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
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


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize(
    "member", ["../../../evil.json", "/evil.json", "C:\\\\x\\\\evil.json", "a/../../evil.json", "./evil.json"]
)
def test_a_members_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, member: str) -> None:
    scratch = tmp_path / "deep" / "scratch"
    scratch.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    packed = packed_as(tmp_path / name, member, ONE)
    assert read_trace(packed).gpu.height == 2
    with extracted(packed, member) as path:
        assert path.parent.parent == scratch
        assert path.read_bytes() == ONE
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [packed]


def test_links_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(ONE)
    with tarfile.open(tmp_path / "a.tar", "w") as out:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            link = tarfile.TarInfo(f"{kind.decode()}.json")
            link.type, link.linkname = kind, str(tmp_path / "secret.json")
            out.addfile(link)
    with pytest.raises(TraceError, match="no file that ends in"):
        read_trace(tmp_path / "a.tar")
    with pytest.raises(TraceError, match="holds no"), extracted(tmp_path / "a.tar", "2.json"):
        pass


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("big", ["run/huge.json", "run/huge.bin"])
def test_a_bomb_in_an_archive_is_refused_with_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, big: str
) -> None:
    """A packed tar is unpacked to be listed: what is no trace counts as well."""
    monkeypatch.setattr(bombs, "RATIO_FROM", 4 << 20)
    packed = packed_as(tmp_path / name, big, bytes(24 << 20))
    seen: list[tuple[int, int]] = []
    with pytest.raises(TraceError, match=r"bombs|no file that ends in") as caught:
        read_trace(packed, progress=lambda read, total: seen.append((read, total)))
    assert ("bombs" in str(caught.value)) == (big.endswith("json") or name != "a.zip")
    assert bool(seen) == (name == "a.zip" and big.endswith("json"))
    assert all(0 < read <= total for read, total in seen)


def test_a_zip_that_lies_about_its_packed_size_is_held_to_the_files_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bombs, "RATIO_FROM", 1 << 20)
    packed = packed_as(tmp_path / "a.zip", "a.json", bytes(24 << 20))
    raw = bytearray(packed.read_bytes())
    at = raw.rindex(b"PK\x01\x02") + 20
    raw[at : at + 4] = (1 << 30).to_bytes(4, "little")
    packed.write_bytes(raw)
    with pytest.raises(TraceError, match=r"bombs|damaged"):
        read_trace(packed)


def test_more_members_than_can_be_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MOST_MEMBERS", 3)
    for name in ("a.zip", "a.tar"):
        packed = (zipped if name == "a.zip" else tarred)(tmp_path / name, **{f"r{k}": ONE for k in range(4)})
        with pytest.raises(TraceError, match="holds more than 3 files, the limit"):
            read_trace(packed)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_a_table_of_more_rows_than_its_bytes_can_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bombs, "RATIO_FROM", 1 << 20)
    rows = pl.DataFrame({"start": pl.repeat(7, 2_000_000, eager=True), "end": pl.repeat(9, 2_000_000, eager=True)})
    small = pl.DataFrame({"id": [1], "value": ["k"]})
    for name, frame in (("StringIds", small), ("CUPTI_ACTIVITY_KIND_RUNTIME", rows)):
        file = tmp_path / f"{name}.{kind}"
        frame.write_parquet(file) if kind == "parquet" else frame.write_ipc(file, compression="zstd")
    with pytest.raises(TraceError, match=r"2,000,000 rows in .* bytes unpack to over 400 times"):
        read_trace(tmp_path)
    if kind == "parquet":
        with pytest.raises(RunError, match="2,000,000 rows"):
            clean_parquet((tmp_path / "CUPTI_ACTIVITY_KIND_RUNTIME.parquet").read_bytes(), PrivateWords({}))
        texts = pl.DataFrame({"a": pl.repeat("x" * 10_000, 2_000, eager=True)})
        texts.write_parquet(tmp_path / "texts.parquet")
        with pytest.raises(RunError, match="2,000 rows"):
            clean_parquet((tmp_path / "texts.parquet").read_bytes(), PrivateWords({}))


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


def test_names_that_are_no_utf8_are_written_down_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tmp_path / os.fsdecode(b"caf\xe9.json")
    plain.write_bytes(ONE)
    with tarfile.open(tmp_path / "a.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as out:
        for name in ("caf\xe9.json", "other\n.json"):
            info = tarfile.TarInfo(name)
            info.size = len(ONE)
            out.addfile(info, io.BytesIO(ONE))
    monkeypatch.chdir(tmp_path)
    assert read_trace(plain).source.endswith("caf\\xe9.json")
    assert main(["analyze", str(plain)]) == 0
    assert main(["analyze", "a.tar", "--json", "--workers", "1"]) == 0
    assert "caf\\\\xe9.json" in capsys.readouterr().out
    assert main(["export", str(plain), "--to", "perfetto", "-o", "drawn.pftrace"]) == 0
