"""What leaves with a report: planted private words go out of every format, figures stay digit for digit."""

from __future__ import annotations

import gzip
import json
import sqlite3
import tarfile
import zipfile
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.errors import UsageError
from rope_prof.io.run.archive import write_archive
from rope_prof.io.run.clean_files import clean_file, clean_parquet
from rope_prof.io.run.clean_json import clean_json
from rope_prof.io.run.clean_sqlite import clean_sqlite
from rope_prof.io.run.personal_paths import without_paths
from rope_prof.io.run.redact import PrivateWords, kinds_in, private_words, strings
from rope_prof.io.run.secrets import BLANK
from rope_prof.io.trace.read import read_trace

WORDS = PrivateWords(
    {"hush-hush-hush-hush": "environment", "/home/alice": "home", "alices-machine": "host", "alice": "user"},
)
PLANTED = ("alice", "hush-hush", "alices-machine", "secret-project")
TRACE = (
    '{"schemaVersion": 1, "host_name": "alices-machine", "traceName": "/home/alice/secret-project/t.json",\n'
    ' "traceEvents": [{"ph": "X", "name": "f (/home/alice/secret-project/model.py:12)",'
    ' "ts": 5862398.100, "dur": 0.010, "args": {"token": "hush-hush-hush-hush", "grid": [1, 2, 3]}},\n'
    ' {"ph": "X", "name": "Torch-Compiled Region: 0/0", "ts": 1711000000000001.0250, "dur": 3}]}'
)


def source(folder: Path) -> Path:
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"command": "record -o /home/alice/secret-project/run", "ns": 1234567}))
    (folder / "a.trace.json.gz").write_bytes(gzip.compress(TRACE.encode()))
    rows = {"key": ["fused", "/home/alice/secret-project/mine.py@f"], "ns": [2**62 + 1, 3]}
    pl.DataFrame(rows).write_parquet(folder / "samples.parquet")
    database = sqlite3.connect(folder / "systems.sqlite")
    database.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    strings_of = [
        (1, "kernel<int>"),
        (2, "HOME=/home/alice\0X=hush-hush-hush-hush"),
        (3, "/home/alice/secret-project/x.so"),
    ]
    database.executemany("INSERT INTO StringIds VALUES (?, ?)", strings_of)
    database.execute("CREATE TABLE TARGET_INFO_SYSTEM_ENV (name TEXT, value TEXT)")
    database.execute("INSERT INTO TARGET_INFO_SYSTEM_ENV VALUES ('Hostname', 'alices-machine')")
    database.execute("CREATE TABLE PROCESSES (pid INTEGER, name TEXT)")
    database.execute("INSERT INTO PROCESSES VALUES (7, 'secret-project')")
    database.execute("CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER, end INTEGER)")
    database.execute("INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (4611686018427387905, 4611686018427387999)")
    database.commit()
    database.close()
    (folder / "systems.nsys-rep").write_bytes(b"\x00\x01HOST alices-machine\x00\xff")
    (folder / "compute.ncu-rep").write_bytes(b"NVR\x00\x01kernel<int>\x00\xff")
    (folder / "x.json.part").write_text("unfinished")
    return folder


def everything(folder: Path) -> bytes:
    """All bytes of a copy, packed files unpacked as well."""
    data = b""
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            data += raw + (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else b"")
            data += str(pl.read_parquet(path).to_dicts()).encode() if path.suffix == ".parquet" else b""
    return data


def test_nothing_planted_is_left(tmp_path: Path) -> None:
    made = write_archive(source(tmp_path / "run"), tmp_path / "copy", WORDS)
    held = everything(tmp_path / "copy")
    assert [word for word in PLANTED if word.encode() in held] == []
    assert set(made.cleaned) == {"run.json", "a.trace.json.gz", "samples.parquet", "systems.sqlite"}
    assert list(made.uneditable) == ["compute.ncu-rep"]
    assert made.left_out == {"systems.nsys-rep": "it cannot be edited and holds private words (host)"}
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == sorted([*made.cleaned, "compute.ncu-rep"])
    said = "\n".join(made.lines())
    assert "systems.nsys-rep: left out; it cannot be edited" in said and "compute.ncu-rep: it cannot be edited" in said


def test_the_words_that_are_searched_for_were_there(tmp_path: Path) -> None:
    """The test above can fail: the source holds every planted word."""
    held = everything(source(tmp_path / "run"))
    assert [word for word in PLANTED if word.encode() not in held] == []


def test_figures_keep_their_digits(tmp_path: Path) -> None:
    write_archive(source(tmp_path / "run"), tmp_path / "copy", WORDS)
    text = gzip.decompress((tmp_path / "copy/a.trace.json.gz").read_bytes()).decode()
    for kept in ("5862398.100", "0.010", "1711000000000001.0250", '"grid": [1, 2, 3]', "Region: 0/0", "model.py:12"):
        assert kept in text
    assert json.loads(text)["host_name"] == BLANK
    assert pl.read_parquet(tmp_path / "copy/samples.parquet")["ns"].to_list() == [2**62 + 1, 3]
    database = sqlite3.connect(tmp_path / "copy/systems.sqlite")
    row = database.execute("SELECT start, end FROM CUPTI_ACTIVITY_KIND_KERNEL").fetchone()
    values = [value for (value,) in database.execute("SELECT value FROM StringIds ORDER BY id")]
    database.close()
    assert row == (4611686018427387905, 4611686018427387999)
    assert values == ["kernel<int>", BLANK, "…/x.so"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar"])
def test_it_can_be_one_file(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"for-others{suffix}"
    write_archive(source(tmp_path / "run"), out, WORDS)
    if suffix == ".zip":
        names = zipfile.ZipFile(out).namelist()
    else:
        with tarfile.open(out) as archive:
            names = archive.getnames()
            assert {member.uname for member in archive.getmembers()} <= {"", "root"}
    assert "for-others/run.json" in names


def test_one_trace_alone(tmp_path: Path) -> None:
    run = source(tmp_path / "run")
    made = write_archive(run / "a.trace.json.gz", tmp_path / "copy", WORDS)
    assert made.cleaned == ("a.trace.json.gz",)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="is there already; choose another -o"):
        write_archive(source(tmp_path / "run"), tmp_path / "there", WORDS)
    with pytest.raises(UsageError, match="no file or folder"):
        write_archive(tmp_path / "nowhere", tmp_path / "copy", WORDS)


TEXT = st.text(st.characters(codec="utf-8", exclude_characters='/\\"'), max_size=40)


@given(TEXT)
def test_text_without_private_words_keeps_its_bytes(text: str) -> None:
    if not list(WORDS.found(text)):
        assert WORDS.blank(text) == text
        assert clean_json(text.encode(), WORDS).data == text.encode()


@given(TEXT, TEXT)
def test_cleaning_is_idempotent_and_leaves_no_word(before: str, after: str) -> None:
    once = WORDS.blank(f"{before} /home/alice/secret-project/x.py {after}")
    assert WORDS.blank(once) == once
    assert not list(WORDS.found(once))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("/home/bob/a/b.py(3): f", "…/b.py(3): f"),
        ("cd /home/bob", "cd …"),
        ("/home/bob/", "…"),
        ("/workspace/team/run -o x", "…/run -o x"),
        ("/usr/lib/python3/x.py", "/usr/lib/python3/x.py"),
        ("/tmp/rope_prof-ab/plan.json", "/tmp/rope_prof-ab/plan.json"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("0/0 and 1/2/3 and n/a", "0/0 and 1/2/3 and n/a"),
        ("C:\\Users\\bob\\a.py", "…/a.py"),
        ("(/Users/bob/a.py)", "(…/a.py)"),
    ],
)
def test_paths_by_their_form(text: str, clean: str) -> None:
    assert without_paths(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "[12:30:01] started by alice --token=abcdefgh1\n[12:30:02] done",
        '{ export MY_SECRET="abcdefgh1"; }  # alice',
        '["a cut list", 12, alice',
    ],
)
def test_a_text_that_only_begins_like_json_is_cleaned_as_a_text(text: str) -> None:
    made = (clean_file("", text.encode(), PrivateWords({"alice": "user"})).data or b"").decode()
    assert "alice" not in made
    assert "abcdefgh1" not in made


def test_what_a_path_laid_bare_goes_as_well() -> None:
    words = PrivateWords({})
    made = words.blank("at /home/alice/home//nas/bob/x.py")
    assert words.blank(made) == made


def test_words_of_this_machine() -> None:
    environment = {
        "HF_TOKEN": "abcdef123",
        "SHORT": "abc",
        "NOTE": "a long value of no path",
        "FOLDER": "/a/long/path/of/many/parts",
        "TORCH_VERSION": "2.11.0+cu130",
        "NVIDIA_DRIVER_CAPABILITIES": "compute,graphics,utility",
        "NVIDIA_API_KEY": "nvapi-abcdef",
        "_": ".venv/bin/python",
        "_NOTE": "another long value",
    }
    found = private_words(environment).kinds
    assert {word for word, kind in found.items() if kind == "environment"} == {
        "abcdef123",
        "nvapi-abcdef",
        "a long value of no path",
        "another long value",
    }
    assert list(found) == sorted(found, key=lambda word: (-len(word), word))


def test_a_name_counts_where_it_stands_alone() -> None:
    words = PrivateWords({"ernie": "user"})
    assert list(words.found("run by ernie@host")) == ["user"]
    assert list(words.found("traces/h100-ernie28b")) == []


def test_strings_of_a_binary_file_plain_and_wide() -> None:
    data = b"\x00\x01" + "alices-machine".encode("utf-16-le") + b"\xff\x02alice\x03"
    assert list(strings(data)) == ["alice", "alices-machine"]
    assert kinds_in(data, WORDS) == ("host", "user")


def test_cleaning_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    from rope_prof.errors import RunError

    with pytest.raises(RunError, match="SQLite file of the run is damaged"):
        clean_sqlite(b"SQLite format 3\x00" + b"\x07" * 4096, WORDS)
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as made:
        made.execute("CREATE TABLE notes (x)")
        made.commit()
    with pytest.raises(RunError, match="no UTF-8"):
        clean_sqlite((tmp_path / "x.sqlite").read_bytes().replace(b"notes", b"not\xe9s"), WORDS)
    (tmp_path / "cut.json.gz").write_bytes(gzip.compress(TRACE.encode())[:-20])
    with pytest.raises(RunError, match="packed file of the run is damaged"):
        write_archive(tmp_path / "cut.json.gz", tmp_path / "copy", WORDS)
    with pytest.raises(RunError, match="parquet file of the run is damaged"):
        clean_parquet(b"PAR1" + b"\x00" * 50, WORDS)


@pytest.mark.parametrize("name", ["h100_2gpu_1s.sqlite", "healthy_1pct.sqlite"])
def test_a_real_export_reads_the_same_after_cleaning(real_traces: Path, tmp_path: Path, name: str) -> None:
    path = real_traces / name
    clean = tmp_path / name
    clean.write_bytes(clean_sqlite(path.read_bytes(), WORDS))
    before, after = read_trace(path), read_trace(clean)
    assert before.gpu.height > 0
    for frame in ("gpu", "calls", "ranges", "overheads"):
        assert getattr(after, frame).equals(getattr(before, frame)), frame


def test_strings_that_only_private_tables_named_are_blanked(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    rows = [(1, "my_kernel"), (2, "secret-daemon"), (3, "also_a_kernel")]
    database.executemany("INSERT INTO StringIds VALUES (?, ?)", rows)
    database.execute(
        "CREATE TABLE ThreadNames (\n    nameId INTEGER, -- REFERENCES StringIds(id) -- Name\n    t INTEGER\n)"
    )
    database.execute("INSERT INTO ThreadNames VALUES (2, 7)")
    kernels = (
        "CREATE TABLE K (\n    start INTEGER, -- Time\n    shortName INTEGER, -- REFERENCES StringIds(id) -- Name\n"
    )
    database.execute(kernels + "    uuid TEXT, -- Of the device\n    name INTEGER -- REFERENCES StringIds(id)\n)")
    database.execute("INSERT INTO K VALUES (2, 1, '0011-aabb', 3)")
    database.commit()
    database.close()
    clean = tmp_path / "clean.sqlite"
    clean.write_bytes(clean_sqlite(path.read_bytes(), WORDS))
    database = sqlite3.connect(clean)
    assert [v for (v,) in database.execute("SELECT value FROM StringIds ORDER BY id")] == [
        "my_kernel",
        BLANK,
        "also_a_kernel",
    ]
    assert database.execute("SELECT * FROM K").fetchone() == (2, 1, BLANK, 3)
    database.close()
    assert b"secret-daemon" not in clean.read_bytes() and b"0011-aabb" not in clean.read_bytes()
