"""What `open` accepts: by content, in one sentence where not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from rope_prof.errors import TraceError
from rope_prof.io.trace.perfetto import check_opens

KINETO = json.dumps({"schemaVersion": 1, "traceEvents": [{"ph": "X"}]}).encode()


@pytest.mark.parametrize(
    "data",
    [
        KINETO,
        b"\xef\xbb\xbf\n " + KINETO,
        b'[{"ph": "X", "name": "k"}]',
        gzip.compress(KINETO, mtime=0),
        gzip.compress(KINETO * 1000, mtime=0)[:200],
        b'{"distributedInfo": [' + b"1," * 500_000 + b'1], "traceEvents": []}',
        b"\x0a\x04\x40\x05\x50\x01",
        gzip.compress(b"\x0a\x04\x40\x05\x50\x01", mtime=0),
    ],
    ids=["json", "bom", "array", "gzip", "cut gzip", "long head", "native", "native gzip"],
)
def test_traces_are_accepted_whatever_their_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file.txt"
    path.write_bytes(data)
    check_opens(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no trace"),
        (b"hello, world", "starts with b'hello, w'"),
        (b"\nhello, world", "is no trace"),
        (b'{"answer": 42}', "is no trace"),
        (b"\x0a", "is no trace"),
        (b"\x0a\xff\xff\xff\xff\xff\xff", "is no trace"),
        (b"\x0a\x7f\x40\x05", "is no trace"),
        (b"SQLite format 3\0rest", "rope_prof export"),
        (b'[{"frame": {"name": "ROOT"}, "metrics": {}}]', "Proton"),
        (gzip.compress(b"hello", mtime=0), "starts with b'hello'"),
        (b"\x1f\x8bno gzip at all", "is no trace"),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "trace.json.gz"
    path.write_bytes(data)
    with pytest.raises(TraceError) as caught:
        check_opens(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        with pytest.raises(TraceError, match=r"cannot read .*expected"):
            check_opens(path)


def test_the_real_traces(real_traces: Path) -> None:
    for path in sorted(real_traces.glob("*.json.gz")):
        check_opens(path)
    for path in (*real_traces.glob("*.sqlite"), real_traces / "proton_cuda_hatchet.json"):
        with pytest.raises(TraceError):
            check_opens(path)
