"""The page on any fusion: its worked operation is recorded as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rope_prof.cli import main


def worked(repository: Path) -> str:
    """The block of the section on an operation of one's own."""
    page = (repository / "docs/any-fusion.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(# add_norm\.py.*?)```", page, re.DOTALL)
    return str(block)


def test_the_worked_operation_is_short(repository: Path) -> None:
    assert len(worked(repository).splitlines()) < 60


def test_the_worked_operation_comes_to_a_verdict(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "add_norm.py").write_text(worked(repository), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = ["record", "--operation", "add_norm.py:operation", "--set", "tokens=4,16", "--set", "hidden=64"]
    assert main([*words, "--device", "cpu", "--mode", "eager", "--no-isolate", "--rounds", "6", "-o", "run"]) == 0
    capsys.readouterr()
    assert main(["show", "run", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    keys = shown["keys"]
    assert [(key["case"]["tokens"], key["path"], key["status"]) for key in keys] == [
        (tokens, path, "measured") for tokens in (4, 16) for path in ("chain", "two")
    ]
    assert {key["case"]["hidden"] for key in keys} == {64}
    moved = {key["path"]: key["bytes_moved"] for key in keys if key["case"]["tokens"] == 16}
    assert moved == {"chain": 2 * 64 * (23 * 16 + 1), "two": 2 * 64 * (5 * 16 + 1)}
    assert main(["compare", "run:chain/eager", "run:two/eager", "--json"]) == 0
    words = {verdict["word"] for verdict in json.loads(capsys.readouterr().out)["verdicts"]}
    assert words & {"FASTER", "SLOWER", "SAME", "UNDECIDED"}
