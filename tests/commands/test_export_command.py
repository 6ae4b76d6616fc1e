"""`export` as typed: its words, its files, its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.cli import main
from rope_prof.io.trace.perfetto import check_opens
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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("{drawn}", "--to", "word", "-o", "x"),
            2,
            "unknown --to 'word'; expected one of 'perfetto', 'html', 'markdown', 'archive'",
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
