"""`export` as typed: its words, its files, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.cli import main
from rope_prof.io.trace.perfetto import check_opens
from rope_prof.io.trace.read import read_trace
from tests.builders import kernel, kineto_json, range_, trace


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_bytes(kineto_json(trace(range_("r", 0, 30), kernel(10, 20, launched=(0, 5), correlation=1))))
    return path


def test_a_trace_becomes_a_file_that_perfetto_reads(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "a.pftrace"
    assert main(["export", str(drawn), "--to", "perfetto", "-o", str(out)]) == 0
    check_opens(out)
    assert str(out) in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["a.pftrace"]


def test_an_archive_says_what_it_cleaned(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "copy"
    assert main(["export", str(drawn), "--to", "archive", "-o", str(out)]) == 0
    assert "1 files cleaned" in capsys.readouterr().out
    assert json.loads((out / "a.json").read_text())["traceEvents"]


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    drawn = [
        one
        for at in (0, 1_000_000, 2_000_000)
        for one in (range_("step", at, at + 900_000), kernel(at + 300, at + 600_000, launched=(at + 10, at + 20)))
    ]
    path = tmp_path / "steps.json"
    path.write_bytes(kineto_json(trace(drawn)))
    return path


@pytest.mark.parametrize("file", ["s.json.gz", "s.json", "s.pftrace"])
@pytest.mark.parametrize(
    ("asked", "which"), [(("step",), "call 1 of 3 of 'step'"), (("step", "--call", "2"), "call 2 of 3")]
)
def test_one_step_of_a_trace(
    steps: Path, tmp_path: Path, file: str, asked: tuple[str, ...], which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / file
    to = "perfetto" if out.suffix == ".pftrace" else "kineto"
    assert main(["export", str(steps), "--to", to, "--cut", *asked, "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert which in said
    assert "nothing private was found in it" in said
    (use,) = analyze(read_trace(out)).ranges
    assert (use.name, use.calls, use.busy_ns) == ("step", 1, 599_700)
    assert out.read_bytes()[:1] == {"s.json.gz": b"\x1f", "s.json": b"{", "s.pftrace": b"\n"}[file]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--cut", "stop"), "no closed range of that name; expected the name of a range, or START:END from the"),
        (("--cut", "stop"), "it has 'step' (3)"),
        (("--cut", "1:2"), "with units, as 120ms:125.5ms"),
        (("--cut", "2ms:1ms"), "is no part of the trace; the trace lasts 2.90 ms"),
        (("--cut", "5ms:6ms"), "is no part of the trace"),
        (("--cut", "950us:960us"), "nothing runs in it"),
        (("--cut", "step", "--call", "3"), "which has 3 calls; expected 0 to 2"),
        (("--cut", "0.1ms:1ms", "--call", "1"), "--call chooses among the calls of a range"),
        (("--call", "1"), "without --cut RANGE"),
        (("--cut", ""), "--cut is empty; expected the name of a range"),
    ],
)
def test_what_cannot_be_cut_is_said_with_what_can(
    steps: Path, tmp_path: Path, asked: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(steps), "--to", "kineto", *asked, "-o", str(tmp_path / "x.json")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_times_of_a_cut_count_from_the_begin(steps: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.json"
    assert main(["export", str(steps), "--to", "kineto", "--cut", "0.9ms:1100us", "-o", str(out)]) == 0
    assert read_trace(out).gpu["start_ns"].to_list() == [1_000_300]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("{drawn}", "--to", "html", "--cut", "r", "-o", "x"), 2, "--cut goes with --to kineto or perfetto"),
        (("{folder}", "--to", "kineto", "-o", "x"), 2, "is a folder; expected one trace: name a file in it"),
        (
            ("{drawn}", "--to", "word", "-o", "x"),
            2,
            "unknown --to 'word'; expected one of 'perfetto', 'kineto', 'html', 'markdown', 'archive'",
        ),
        (("{drawn}", "--to", "perfetto", "-o", "{folder}"), 2, "is a folder; expected a file to write"),
        (("{folder}/none.json", "--to", "perfetto", "-o", "{folder}/x"), 1, "no trace file"),
        (("{folder}", "--to", "perfetto", "-o", "{folder}/x"), 1, "no run in"),
    ],
)
def test_refusals_are_one_line(
    words: tuple[str, ...],
    code: int,
    said: str,
    drawn: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = [word.format(drawn=drawn, folder=tmp_path) for word in words]
    assert main(["export", *typed]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_profile_of_totals_has_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.hatchet"
    frame = {"frame": {"name": "ROOT"}, "metrics": {}, "children": []}
    path.write_text(json.dumps([frame, {"CUDA": {"0": {"name": "a GPU"}}}]))
    assert main(["export", str(path), "--to", "perfetto", "-o", str(tmp_path / "x.pftrace")]) == 1
    assert "nothing to draw" in capsys.readouterr().err
