"""The list of trace formats: names of files, words on screens and who reads a file all come from it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rope_prof.cli import main
from rope_prof.errors import TraceError
from rope_prof.io.trace import formats
from rope_prof.io.trace.formats import FORMATS, SUFFIXES, FileStart, TraceFormat, kinds
from rope_prof.io.trace.read import read_trace
from tests.builders import kernel, kineto_json, trace
from tests.io.made import rocm
from tests.io.made.proton import proton_trace
from tests.io.packets import data, spans


def files(folder: Path) -> dict[str, Path]:
    """One small file of each format, all under names that say nothing."""
    found = {
        "kineto": kineto_json(trace(kernel(0, 10))),
        "proton": b'[{"frame": {"name": "ROOT"}, "metrics": {}, "children": []}, {"CUDA": {}}]',
        "nsys": formats.SQLITE + b"\0" * 100,
        "perfetto": data(spans((0, 10))),
        "rocprofv3": rocm.as_json(),
        "proton_trace": proton_trace((7, [("k", 0.5, 1.25)])),
    }
    for name, raw in found.items():
        (folder / name).write_bytes(raw)
    rocm.write_rocpd(folder / "rocpd", "direct")
    return {name: folder / name for name in (*found, "rocpd")}


def test_one_format_alone_claims_a_file(tmp_path: Path) -> None:
    made = files(tmp_path)
    assert made.keys() == FORMATS.keys()
    for name, path in made.items():
        assert [other for other, one in FORMATS.items() if one.claims(FileStart(path))] == [name]


def test_what_a_format_reads_carries_its_name(tmp_path: Path) -> None:
    made = files(tmp_path)
    assert read_trace(made["kineto"]).format == "kineto"
    assert read_trace(made["proton"]).format == "proton"
    assert read_trace(made["perfetto"]).format == "perfetto"


def test_nobody_claims_what_is_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\x7fELF")
    with pytest.raises(TraceError, match="starts with"):
        read_trace(tmp_path / "a.json")


def test_words_and_suffixes_come_from_the_list() -> None:
    assert SUFFIXES[:7] == (".json", ".json.gz", ".json.zst", ".sqlite", ".nsys-rep", ".hatchet", ".pftrace")
    assert kinds(lambda one: one.writer).startswith(
        "Kineto .json or .json.gz or .json.zst, nsys .sqlite or .nsys-rep, Proton .hatchet, Perfetto .pftrace"
    )
    assert kinds(lambda one: one.title).startswith("Kineto .json or .json.gz or .json.zst, Nsight Systems .sqlite")


def test_a_format_that_joins_the_list_is_read_judged_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a new format takes: a reader and an entry. No other file knows a format by its name (`test_one_home`)."""
    read = replace(trace(kernel(0, 10)), format="mine")
    mine = TraceFormat(
        title="Mine",
        writer="mine",
        suffixes=(".mine",),
        claims=lambda start: start.head.startswith(b"MINE"),
        read=lambda _: read,
    )
    monkeypatch.setitem(FORMATS, "mine", mine)
    (tmp_path / "a.mine").write_bytes(b"MINE 1")
    assert read_trace(tmp_path / "a.mine").gpu is read.gpu
    assert kinds(lambda one: one.writer).endswith(", mine .mine")
    assert main(["analyze", str(tmp_path / "a.mine"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["format"], [one["kernels"] for one in said["devices"]]) == ("mine", [1])
    assert main(["export", str(tmp_path / "a.mine"), "--to", "perfetto", "-o", str(tmp_path / "a.pftrace")]) == 0


def test_every_row_of_the_page_names_a_test_that_is_there() -> None:
    """Rows of its first table: the last cell holds paths, or names beside the path before."""
    root = Path(__file__).resolve().parents[2]
    page = (root / "docs/formats.md").read_text()
    table = page[page.index("| who writes it") :].split("\n\n", 1)[0].splitlines()[2:]
    assert len(table) >= len(FORMATS)
    for row in table:
        named = re.findall(r"`([\w/]+\.py)`", row.rstrip(" |").rsplit("|", 1)[1])
        folders = [root / Path(name).parent for name in named if "/" in name]
        assert named and folders, row
        assert all((folders[0] / Path(name).name).is_file() for name in named), row
