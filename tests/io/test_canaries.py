"""Nothing private leaves: every kind of canary in every field of every format, and none of them in any export."""

from __future__ import annotations

import gzip
import io
import json
import re
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import from_regex

from rope_prof.cli import main
from rope_prof.io.run import redact, secrets
from rope_prof.io.run.archive import write_archive
from rope_prof.io.run.clean_files import clean_perfetto
from rope_prof.io.run.folder import read_run, write_run
from rope_prof.io.run.redact import Cleaner
from rope_prof.io.run.secrets import BLANK
from rope_prof.io.trace.read import read_trace
from rope_prof.model.run import Ceiling, KeyFacts, LayoutError, OutputAccuracy
from rope_prof.opened.pictures import draw_run
from rope_prof.opened.run import open_run
from tests.dashboard.drawn_run import write_gpu_run
from tests.io import packets
from tests.io.canaries import CANARIES, NAMED, WORDS, pieces
from tests.io.made.rocm import as_json, write_rocpd

TEXTS = [canary.text for canary in CANARIES]
#: Of rocprofv3: the machine's number and domain, and what was typed.
TYPED = {"cnryfield19", "cnryfield20", "cnryfield21"}
GONE = sorted(
    {canary.gone for canary in CANARIES} | {piece for value in NAMED.values() for piece in pieces(value)} | TYPED
)


def trace_text() -> str:
    """A Kineto trace with all of them in its top level, names, args, stacks, labels and as keys."""
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": text}} for text in TEXTS
    ]
    for number, text in enumerate(TEXTS):
        args = {"Call stack": text, "Concrete Inputs": [text], "x": {"deep": [text]}, text: 1, **NAMED}
        name = {"ph": "X", "cat": "kernel", "name": f"k<{text}>", "pid": 0, "tid": 7}
        events.append(name | {"ts": 10.5 * number, "dur": 1.125, "args": args})
    top = {"schemaVersion": 1, "traceEvents": events, "traceName": TEXTS[0], **NAMED}
    return json.dumps(top | {f"unknown {number}": text for number, text in enumerate(TEXTS)})


def png() -> bytes:
    """A picture of one pixel with texts, an EXIF block and bytes behind its end."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    texts = b"".join(chunk(b"tEXt", b"Comment\0" + text.encode("utf-8")) for text in TEXTS)
    packed = b"".join(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text.encode())) for text in TEXTS)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\x80")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + texts + packed + chunk(b"eXIf", TEXTS[0].encode()) + pixels + TEXTS[5].encode()


def database(path: Path) -> None:
    """An export with all of them in strings, blobs, the machine's tables, comments, views, triggers and free pages."""
    made = sqlite3.connect(path)
    made.execute("CREATE TABLE StringIds (id INTEGER, value TEXT)")
    made.execute(f"CREATE TABLE Notes (\n    id INTEGER, -- see {TEXTS[4]}\n    blob BLOB, uuid TEXT\n)")
    made.execute("CREATE TABLE TARGET_INFO_SYSTEM_ENV (name TEXT, value TEXT)")
    made.execute("CREATE TABLE META_DATA_CAPTURE (name TEXT, value TEXT)")
    made.execute("CREATE TABLE Gone (value TEXT)")
    for number, text in enumerate(TEXTS):
        made.execute("INSERT INTO StringIds VALUES (?, ?)", (number, text))
        made.execute("INSERT INTO Notes VALUES (?, ?, ?)", (number, text.encode(), text))
        made.execute("INSERT INTO TARGET_INFO_SYSTEM_ENV VALUES (?, ?)", (text, text))
        made.execute("INSERT INTO META_DATA_CAPTURE VALUES ('PROCESS_ENVIRONMENT', ?)", (text,))
        made.execute("INSERT INTO Gone VALUES (?)", (text,))
    made.execute(f"CREATE VIEW told AS SELECT '{TEXTS[4]}' AS value")
    made.execute(f"CREATE TRIGGER tell AFTER UPDATE ON StringIds BEGIN SELECT '{TEXTS[6]}'; END")
    made.execute(f"CREATE INDEX told_by ON StringIds (value) WHERE value != '{TEXTS[8]}'")
    made.commit()
    made.execute("DROP TABLE Gone")
    made.commit()
    made.close()


def rocprof() -> str:
    """rocprofv3's JSON, by whose fields a machine, its owner and what was typed are told."""
    said = json.loads(as_json())
    node = {"hostname": "cnryfield2", "machine_id": "cnryfield19", "domain_name": "cnryfield20"}
    (tool,) = said["rocprofiler-sdk-tool"]
    tool["metadata"] |= {"node": node, "command": ["./cnryfield21"], "texts": TEXTS, **NAMED}
    tool["strings"]["marker_api"] = [{"key": number, "value": text} for number, text in enumerate(TEXTS)]
    tool["kernel_symbols"][0]["formatted_kernel_name"] = " ".join(TEXTS)
    return json.dumps(said)


def rocpd(path: Path) -> None:
    """Its database: the tables of the machine and of the process, texts, JSON in cells."""
    write_rocpd(path, "direct", "")
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE rocpd_info_node (id INTEGER, hostname TEXT, machine_id TEXT, domain_name TEXT)")
        made.execute("INSERT INTO rocpd_info_node VALUES (1, 'cnryfield2', 'cnryfield19', 'cnryfield20')")
        made.execute("UPDATE rocpd_info_process SET command = './cnryfield21'")
        for number, text in enumerate(TEXTS):
            made.execute("INSERT INTO rocpd_string VALUES (?, 'g', ?)", (1000 + number, text))
            extra = json.dumps({"message": text, **NAMED})
            made.execute("INSERT INTO rocpd_event VALUES (?, 1, 1, 0, ?)", (1000 + number, extra))
        made.commit()


def native() -> bytes:
    """A Perfetto trace of somebody's: words, tracks, notes by name and by number, metadata, processes."""
    told = packets.words(names={1: TEXTS[0]}, notes={7: "hostname", 8: TEXTS[4]})
    process = packets.packet()
    process.process_tree.processes.add(pid=1, cmdline=["./cnryfield9", *TEXTS])
    notes = packets.begin(10, 1, "kernel", host="cnryfield4", env="cnryfield7", note=" ".join(TEXTS))
    notes.track_event.debug_annotations.add(name_iid=7, string_value="cnryfield2")
    notes.track_event.debug_annotations.add(name_iid=8).array_values.add(string_value=TEXTS[6])
    about = packets.packet()
    about.chrome_events.metadata.add(name="username", string_value="cnryfield5")
    drawn = [packets.track(number, text) for number, text in enumerate(TEXTS, 1)]
    spans = [packets.spans((20 + k, 30 + k), name=f"k<{text}>", track=k + 1) for k, text in enumerate(TEXTS)]
    return packets.data(told, process, about, *drawn, notes, packets.end(15), *spans)


def judged(facts: KeyFacts) -> KeyFacts:
    """That key with all of them in the words of its outputs and of the layouts that went wrong."""
    assert facts.accuracy is not None
    output = OutputAccuracy(name="q", dtype=TEXTS[4], max_error=0.0, limit=1.0, rounded_share=1.0, nans=0)
    wrong = tuple(LayoutError(argument="q", layout=text, reason=text) for text in TEXTS)
    return replace(facts, accuracy=replace(facts.accuracy, outputs=(output,), layouts=len(wrong), layout_errors=wrong))


def planted(folder: Path) -> Path:
    """A drawn run with all of them in everything that a run folder may hold."""
    write_gpu_run(folder, tokens=(64,), names=tuple(f"kernel<{text}>" for text in TEXTS))
    run = read_run(folder).run
    texts = " | ".join(TEXTS)
    keys = tuple(replace(facts, reason=texts) for facts in run.keys)
    keys = tuple(judged(facts) if facts.key.path == "per-token" else facts for facts in keys)
    ceiling = Ceiling(name="copy", case=keys[0].key.case, method="cudaMemcpy", status="failed", reason=texts)
    operation = replace(run.operation, source=TEXTS[4], formula=texts)
    settings = {f"note {number}": text for number, text in enumerate(TEXTS)}
    machine = replace(run.machine, platform=" ".join(TEXTS[:8]), cpu_name=TEXTS[4])
    write_run(
        folder,
        replace(
            run,
            command=" ".join(TEXTS),
            name=TEXTS[4],
            keys=keys,
            settings=run.settings | settings,
            machine=machine,
            operation=operation,
            ceilings=(ceiling,),
        ),
    )
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"unknown": TEXTS, **NAMED}))
    text = trace_text()
    (folder / "plain.json").write_text(text)
    (folder / "ascii.json").write_bytes(json.dumps(json.loads(text), ensure_ascii=True).encode())
    named = io.BytesIO()
    with gzip.GzipFile(filename="/home/cnrya/proj/x.py", mode="wb", fileobj=named) as file:
        file.write(text.encode())
    (folder / "named.trace.json.gz").write_bytes(named.getvalue())
    (folder / "cut.json").write_text(text[: len(text) * 2 // 3])
    (folder / "latin.json").write_bytes(text.replace("\\u00e9", "\u00e9").encode("utf-8").replace(b"\xc3\xa9", b"\xe9"))
    (folder / "notes.md").write_text("\n".join(TEXTS))
    (folder / "picture.svg").write_text("<svg><!-- " + "\n".join(TEXTS) + " --></svg>")
    (folder / "table.csv").write_text("\n".join(f"a,{text},b" for text in TEXTS))
    (folder / "latin.txt").write_bytes("\n".join(TEXTS).encode("utf-16"))
    (folder / "picture.png").write_bytes(png())
    database(folder / "systems.sqlite")
    wide = pl.DataFrame(
        {
            "key": TEXTS,
            "list": [[text] for text in TEXTS],
            "struct": [{"a": text, "b": 1} for text in TEXTS],
            "bytes": [text.encode() for text in TEXTS],
            "category": pl.Series(TEXTS, dtype=pl.Categorical),
            TEXTS[4]: range(len(TEXTS)),
        }
    )
    wide.write_parquet(folder / "wide.parquet", metadata={"note": " ".join(TEXTS)})
    for number, text in enumerate(TEXTS):
        (folder / f"report-{number}.nsys-rep").write_bytes(b"\x00\x01\xff" + text.encode() + b"\x00\xfe")
    (folder / "wide.ncu-rep").write_bytes(b"\x00\x01" + TEXTS[0].encode("utf-16-le") + b"\xff")
    (folder / "model.pkl").write_bytes(b"\x80\x04\x95\x00" + TEXTS[4].encode())
    with zipfile.ZipFile(folder / "more.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x", "\n".join(TEXTS))
    with tarfile.open(folder / "more.tar", "w") as tar:
        tar.add(folder / "notes.md", arcname=TEXTS[4].lstrip("/"))
    (folder / "packed.trace.json.zst").write_bytes(zstandard.compress(trace_text().encode()))
    (folder / "driver.json").write_text(rocprof())
    rocpd(folder / "driver.db")
    (folder / "foreign.perfetto-trace").write_bytes(native())
    (folder / "foreign.pftrace.gz").write_bytes(gzip.compress(native()))
    (folder / "export").mkdir()
    for name in ("StringIds", "TARGET_INFO_SYSTEM_ENV"):
        wide.write_parquet(folder / "export" / f"{name}.parquet")
        wide.drop("bytes").write_ipc(folder / "export" / f"{name}.arrow")
    (folder / "of-cnryuser.txt").write_text("nothing")
    (folder / "trace.rope_prof-cache").mkdir()
    (folder / "trace.rope_prof-cache" / "facts.json").write_text(text)
    (folder / "secret.txt").write_text("of another folder: " + TEXTS[4])
    (folder / "link.txt").symlink_to(folder / "secret.txt")
    (folder / "link").symlink_to(folder)
    (folder / ".writer.json").write_text('{"host": "cnryhost-gpubox"}')
    return folder


def opened(data: bytes) -> bytes:
    """All that a file tells, whatever packs it."""
    if data[:2] == b"\x1f\x8b":
        return data + opened(gzip.decompress(data))
    if data[:4] == b"\x28\xb5\x2f\xfd":
        return data + opened(zstandard.ZstdDecompressor().decompressobj().decompress(data))
    if data[:4] == b"PAR1":
        frame = pl.read_parquet(io.BytesIO(data))
        return data + json.dumps(frame.to_dicts(), ensure_ascii=False, default=str).encode()
    if data[:16] == b"SQLite format 3\0":
        read = sqlite3.connect(":memory:")
        read.deserialize(data)
        text = "\n".join(read.iterdump())
        read.close()
        return data + text.encode()
    if data[:1] in (b"{", b"["):
        try:
            return data + json.dumps(json.loads(data), ensure_ascii=False).encode()
        except ValueError:
            return data
    return data


def found(paths: list[Path]) -> list[str]:
    """The canaries in those files and their names."""
    held = b"\n".join(path.name.encode() + b"\n" + opened(path.read_bytes()) for path in paths)
    return [piece for piece in GONE if piece.encode() in held or piece.encode("utf-16-le") in held]


@cache
def made(base: Path) -> Path:
    return planted(base / "run")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("canaries"))


@pytest.fixture(autouse=True)
def whose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "private_words", lambda *_: WORDS)


def test_there_are_enough_of_them_and_all_are_planted(run: Path) -> None:
    assert len(CANARIES) + len(NAMED) >= 100
    assert len({canary.kind for canary in CANARIES}) == len(CANARIES)
    assert set(GONE) == set(found([path for path in run.iterdir() if path.is_file()]))


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.kind)
def test_the_cleaner_takes_it_out_of_any_text(canary: Any) -> None:
    for around in ("{}", "x {} y", "({})", "name={}", '"{}"', "{}\n", "a, {}, b"):
        clean = Cleaner(WORDS)
        text = around.format(canary.text)
        assert canary.gone not in clean(text), text
        assert clean.lines()
        assert WORDS.blank(clean(text)) == clean(text)


def test_no_archive_holds_one(run: Path, tmp_path: Path) -> None:
    archive = write_archive(run, tmp_path / "copy", WORDS)
    paths = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
    assert found(paths) == []
    assert {path.name for path in paths} >= {"run.json", "plain.json", "picture.png", "wide.parquet", f"of-{BLANK}.txt"}
    named = " ".join(archive.left_out)
    for left in (
        "link",
        "link.txt",
        "model.pkl",
        "more.zip",
        "more.tar",
        "latin.txt",
        "StringIds.arrow",
        "wide.ncu-rep",
        "report-0.nsys-rep",
    ):
        assert left in named
    assert not any(name.endswith(".nsys-rep") for name in archive.uneditable)
    assert "cut.json" in archive.notes and "top-level fields" in archive.notes["plain.json"]
    said = "\n".join(archive.lines())
    assert "link: left out; a link" in said and "cut.json: no whole JSON" in said
    assert read_run(tmp_path / "copy").run.keys
    for name in ("packed.trace.json.zst", "driver.json", "driver.db", "foreign.perfetto-trace", "foreign.pftrace.gz"):
        before, after = read_trace(run / name), read_trace(tmp_path / "copy" / name)
        assert after.gpu.drop("name").equals(before.gpu.drop("name")) and after.gpu.height
    kept = json.loads((tmp_path / "copy" / "plain.json").read_text())["traceEvents"]
    assert [event["ts"] for event in kept if event["ph"] == "X"] == [10.5 * k for k in range(len(TEXTS))]


def test_a_packed_archive_names_no_owner(run: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "run.json").write_bytes((run / "run.json").read_bytes())
    write_archive(tmp_path / "one", tmp_path / "a.tar.gz", WORDS)
    with tarfile.open(tmp_path / "a.tar.gz") as packed:
        assert {(m.uname, m.gname, m.uid, m.mtime) for m in packed.getmembers()} == {("", "", 0, 0)}


@pytest.mark.parametrize(("to", "out"), [("html", "page.html"), ("markdown", "text"), ("perfetto", "drawn.pftrace")])
def test_no_export_holds_one(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str, out: str) -> None:
    assert main(["export", str(run), "--to", to, "-o", str(tmp_path / out)]) == 0
    where = tmp_path / out
    assert found([where] if where.is_file() else list(where.iterdir())) == []
    assert re.search(r"removed before writing: .*token", capsys.readouterr().out)


def written_trace() -> str:
    """A Kineto trace whose every field that is read and written again holds all of them."""
    text = json.loads(trace_text())
    said = [{"code": "odd", "detail": one, "do": one, "events": [{"name": one}]} for one in TEXTS]
    text["rope_prof"] = {"device": "cuda", "key": {"path": TEXTS}, "findings": said, **NAMED}
    text["deviceProperties"] = [{"id": 0, "name": " ".join(TEXTS), "x": TEXTS, **NAMED}]
    text["distributedInfo"] = {"rank": 0, "pg_config": TEXTS, **NAMED}
    for number, one in enumerate(TEXTS):
        for cat in ("cpu_op", "user_annotation", "python_function", "cuda_runtime", "overhead"):
            args = {"correlation": number + 1, "Input Dims": [one], "Input type": [one]}
            place = {"ph": "X", "cat": cat, "name": f"{cat} {one}", "pid": 1, "tid": 1}
            text["traceEvents"].append(place | {"ts": 10.5 * number, "dur": 1.0, "args": args})
        groups = {"Collective name": one, "Process Group Name": one, "correlation": number + 1, "device": 0}
        kernel = {"ph": "X", "cat": "kernel", "name": one, "pid": 0, "tid": 9, "ts": 10.5 * number, "dur": 1}
        text["traceEvents"].append(kernel | {"args": groups})
    return json.dumps(text)


@pytest.mark.parametrize("cut", [(), ("--cut", "0us:100s")], ids=["whole", "part"])
@pytest.mark.parametrize("to", ["kineto", "perfetto"])
def test_no_part_of_a_trace_holds_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], to: str, cut: tuple[str, ...]
) -> None:
    (tmp_path / "a.json").write_text(written_trace())
    out = tmp_path / ("part.pftrace" if to == "perfetto" else "part.json.gz")
    assert main(["export", str(tmp_path / "a.json"), "--to", to, *cut, "-o", str(out)]) == 0
    assert found([out]) == []
    assert re.search(r"removed before writing: .*token", capsys.readouterr().out)


def test_no_perfetto_file_in_an_archive_holds_one(run: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    data = draw_run(open_run(run)).data
    (tmp_path / "run" / "fusion.pftrace").write_bytes(data)
    write_archive(tmp_path / "run", tmp_path / "copy", WORDS)
    assert found([tmp_path / "copy" / "fusion.pftrace"]) == []
    assert clean_perfetto(data, lambda text: text) == data, "nothing else of it changes"


def test_no_text_is_passed_over_for_want_of_a_word() -> None:
    known = {text for canary in CANARIES for text in (canary.text, canary.text.upper())}
    known |= {
        "paſſword=hunter2tea",
        "-rdzv-endpoint gpu7:29400",
        "horovodrun -np 4 -H gpu7",
        "the PASSWORD is hunter2tea",
    }
    for text in known:
        looked_at = text
        for _, pattern, _, _ in secrets.PATTERNS:
            looked_at = pattern.sub(BLANK, looked_at)
        assert secrets.without_secrets(text) == looked_at


@settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(from_regex(secrets.PATTERNS[0][1]))
def test_no_form_of_a_maker_is_passed_over(text: str) -> None:
    assert secrets.without_secrets(text) != text
