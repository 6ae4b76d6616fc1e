"""Who knows SKILL.md alone gets from a slow kernel to a verdict: its blocks, in their order, in an empty folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SKILL.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which every block was done; a command that ends with another code than 0 is an error, but for a
    verdict that a busy machine cannot tell (4): then it is recorded with more rounds, as the page says.
    """
    folder = tmp_path_factory.mktemp("skill")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def typed(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    done: list[str] = []
    for language, name, text in BLOCK.findall(TEXT):
        if language == "python":
            (folder / name).write_text(text)
            continue
        for line in text.splitlines():
            answer = typed(line)
            for rounds in (30, 100, 300):
                if answer.returncode != 4:
                    break
                shutil.rmtree(folder / "run")
                for before in done:
                    typed(before + (f" --rounds {rounds}" if " record " in before else ""))
                answer = typed(line)
            assert answer.returncode == 0, f"{line}\n{answer.stdout}{answer.stderr}"
            done.append(line)
    return folder


def test_it_ends_with_a_verdict(followed: Path) -> None:
    found = json.loads((followed / "verdict.json").read_text())
    (wall,) = [one for one in found["verdicts"] if one["metric"] == "wall"]
    assert wall["word"] == "FASTER"
    assert wall["ratio"]["lo"] > 1
    assert [gate["held"] for gate in found["gates"]] == ["holds"]


def test_every_field_that_it_names_is_there(followed: Path) -> None:
    shown = json.loads((followed / "run.json").read_text())
    assert {key["status"] for key in shown["keys"]} <= {"measured", "unavailable"}
    assert "headlines" in shown
    why = json.loads((followed / "why.json").read_text())
    assert why["integrity"]["verdict"] == "sound"
    assert why["devices"][0]["idle_by_cause_ns"] is not None


def test_it_is_a_page() -> None:
    assert len(TEXT.splitlines()) <= 110
    assert TEXT.startswith("---\nname: rope-prof\ndescription: ")
