"""Nothing private ships: everything under traces/ is unpacked and exported, the strings of binary files included.

Looked for: this machine's host, user, home and environment values; absolute paths outside the system's own folders and
the temporary one; environment blocks; fields and tables that name a machine. What was recorded elsewhere is held to
the same forms, since the words of that machine are not known here.
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from rope_prof.io.run.clean_sqlite import PRIVATE_TABLES
from rope_prof.io.run.personal_paths import without_paths
from rope_prof.io.run.redact import PrivateWords, private_words, strings
from rope_prof.io.run.secrets import BLANK

#: Fields of a Kineto file's top level that name the machine or its owner.
PRIVATE_FIELDS = ("host_name", "hostname", "hostName", "username", "user_name")
TRACES = Path(__file__).resolve().parents[1] / "traces"
WORDS = private_words()
#: Variables that a recording under Nsight may show (record.nsight_tools.ALLOWED and its own), and what the tools add.
SHOWN = re.compile(
    r"(CC|CXX|CUDA_\w+|HOME|LANG|LC_CTYPE|LD_LIBRARY_PATH|LD_PRELOAD|NVIDIA_\w+|NSYS_\w+|NV_\w+|NVTX_\w+|PATH|QUADD_\w+|TMPDIR|"
    r"APPLICATION_PID\w*|VISIBLE_DEVICES|TORCHINDUCTOR_CACHE_DIR|TRITON_\w+|OLDPWD|PWD|_)"
)
#: How a Parquet footer holds the columns' types: a message in base64, which begins with its mark.
ARROW_SCHEMA = re.compile(r"/////[A-Za-z0-9+/]+=*")
VARIABLE = re.compile(r"(?:^|\x00)([A-Z][A-Z0-9_]{2,})=(?=\S)")


def pieces(data: bytes) -> Iterator[str]:
    """The texts of a file's content, whatever its format."""
    if data[:2] == b"\x1f\x8b":
        yield from pieces(gzip.decompress(data))
    elif data[:4] == b"PAR1":
        yield from (str(row) for row in pl.read_parquet(io.BytesIO(data)).iter_rows())
        for text in strings(footer(data)):  # the pages themselves are compressed: what is in them are the rows
            yield from strings(base64.b64decode(text)) if ARROW_SCHEMA.fullmatch(text) else (text,)
    elif data[:16] == b"SQLite format 3\x00":
        yield from cells(data)
        yield from strings(data)
    elif b"\x00" in data:
        yield from strings(data)
    else:
        yield data.decode()


def footer(data: bytes) -> bytes:
    """The metadata of a Parquet file: its length stands in front of the closing mark."""
    length = int.from_bytes(data[-8:-4], "little")
    return data[-8 - length : -8]


def cells(data: bytes) -> Iterator[str]:
    database = sqlite3.connect(":memory:")
    database.deserialize(data)
    database.text_factory = bytes
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in database.execute(f'SELECT * FROM "{name.decode()}"'):
            if PRIVATE_TABLES.match(name.decode()):
                yield f'"host_name": "a row of {name.decode()}"'
            yield from (cell.decode(errors="replace") for cell in row if isinstance(cell, bytes))
    database.close()


def leaks(data: bytes, words: PrivateWords = WORDS) -> set[str]:
    """What is private in a file, in words that say what it is."""
    found: set[str] = set()
    for text in pieces(data):
        found |= {f"the {kind} of this machine" for kind in words.found(text)}
        found |= {f"variable {name}" for name in VARIABLE.findall(text) if not SHOWN.fullmatch(name)}
        for field in re.findall(rf'"({"|".join(PRIVATE_FIELDS)})"\s*:\s*"([^"]*)"', text):
            found |= {f"field {field[0]}"} if field[1] != BLANK else set()
        if _paths(text) != text:
            found.add(f"a path in {text[:200]!r}")
    return found


def _paths(text: str) -> str:
    """Paths that torch's and Nsight's own builds left in their binaries name none of ours, and pieces of an allowed
    path stand where a compressed report repeats itself."""
    return text if re.search(r"/pytorch/(aten|c10)/|/2025\.3\.1/host/target", text) else without_paths(text)


FILES = sorted(path for path in TRACES.rglob("*") if path.is_file() and not path.name.endswith(".part"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_private_ships(path: Path) -> None:
    assert leaks(path.read_bytes()) == set()


PLANTED = [
    (b'{"host_name": "alices-machine"}', "field host_name"),
    (b'{"args": {"file": "/home/alice/x/y.py"}}', "a path in"),
    (gzip.compress(b"run by alice", mtime=0), "the user of this machine"),
    (b"\x00\x01HF_TOKEN=abcdef\x00", "variable HF_TOKEN"),
    (b"\x00\x01" + "alices-machine".encode("utf-16-le"), "the host of this machine"),
]


@pytest.mark.parametrize(("data", "what"), PLANTED)
def test_what_is_planted_is_found(data: bytes, what: str) -> None:
    words = PrivateWords({"alices-machine": "host", "alice": "user"})
    assert any(leak.startswith(what) for leak in leaks(data, words))


def test_what_is_planted_in_tables_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE TARGET_INFO_SYSTEM_ENV (value TEXT)")
    database.execute("INSERT INTO TARGET_INFO_SYSTEM_ENV VALUES ('some-machine')")
    database.execute("CREATE TABLE StringIds (value TEXT)")
    database.execute("INSERT INTO StringIds VALUES ('A=b' || char(0) || 'HF_TOKEN=abc')")
    database.commit()
    database.close()
    assert leaks(path.read_bytes()) == {"field host_name", "variable HF_TOKEN"}
    frame = pl.DataFrame({"key": ["/home/alice/x/y"]})
    frame.write_parquet(tmp_path / "x.parquet")
    assert leaks((tmp_path / "x.parquet").read_bytes())


@pytest.mark.parametrize("text", ["a", "a-", "a.", "_key", "TOKEN", "sk-", "/home/ a", "C:\\a", "%2Fa", "token ="])
def test_a_long_name_is_cleaned_in_time_that_grows_with_it(text: str) -> None:
    name = text * (200_000 // len(text)) + " key"

    assert PrivateWords({}).blank(name)
