"""The walls are real: in the tree that CI lints, one forbidden import for each contract is caught by that contract."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: The contract, the file that is given the import, the import.
PLANTED = [
    ("layers", "rope_prof/views/words/names.py", "import rope_prof.commands.words"),
    ("layers", "rope_prof/dashboard/loading.py", "import rope_prof.commands.show"),
    ("record", "rope_prof/dashboard/view.py", "import rope_prof.record.session"),
    ("record-below-views", "rope_prof/record/session.py", "import rope_prof.views.words.names"),
    ("kernels", "rope_prof/analysis/trace/launches.py", "from rope_prof.kernels.mrope.shape import MropeShape"),
    ("kernels", "rope_prof/dashboard/loading.py", "import torch"),
    ("pure", "rope_prof/analysis/run/rows.py", "import rope_prof.io.trace.read"),
    ("pure", "rope_prof/views/words/names.py", "if TYPE_CHECKING:\n    import rope_prof.io.trace.read"),
    ("screen", "rope_prof/opened/run.py", "import streamlit"),
    ("faces-views", "rope_prof/views/draw/svg.py", "import rope_prof.views.report.report"),
    ("faces-analysis", "rope_prof/analysis/trace/spans.py", "import rope_prof.analysis.run.rows"),
    ("faces-record", "rope_prof/record/device/devices.py", "import rope_prof.record.loop.plan"),
    ("faces-io", "rope_prof/io/trace/read.py", "import rope_prof.io.run.folder"),
    ("faces-opened", "rope_prof/opened/requests.py", "import rope_prof.opened.run"),
    ("faces-dashboard", "rope_prof/dashboard/shell.py", "import rope_prof.dashboard.pages.overview"),
    ("circles", "rope_prof/model/run.py", "import rope_prof.model.end_to_end"),
    ("circles", "rope_prof/io/atomic.py", "import rope_prof.io.run.folder"),
    ("kernels-alone", "rope_prof/kernels/mrope/shape.py", "import rope_prof.model.run"),
]


def contracts() -> dict[str, str]:
    """Short name -> name of every contract."""
    found = configparser.ConfigParser()
    found.read(ROOT / ".importlinter")
    sections = [name for name in found.sections() if name.startswith("importlinter:contract:")]
    return {name.removeprefix("importlinter:contract:"): found[name]["name"] for name in sections}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel lays it out, made as CI makes it."""
    made = tmp_path_factory.mktemp("tree")
    subprocess.run([ROOT / ".ci/tree", made], check=True, timeout=60)
    return made


def broken(tree: Path) -> set[str]:
    """The names of the contracts that the linter says are broken."""
    done = subprocess.run(
        [ROOT / ".ci/imports", tree],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert any(line.endswith((" KEPT", " BROKEN")) for line in lines), done.stdout + done.stderr
    found = {line.removesuffix(" BROKEN") for line in lines if line.endswith(" BROKEN")}
    assert (done.returncode == 0) == (not found)
    return found


def test_every_contract_has_an_import_that_breaks_it() -> None:
    assert {name for name, _, _ in PLANTED} == contracts().keys()


def test_all_contracts_hold(tree: Path) -> None:
    assert broken(tree) == set()


@pytest.mark.parametrize(("name", "file", "line"), PLANTED)
def test_one_forbidden_import_is_caught(tree: Path, name: str, file: str, line: str) -> None:
    path = tree / file
    held = path.read_text(encoding="utf-8")
    try:
        path.write_text(f"{held}\n{line}\n", encoding="utf-8")
        assert contracts()[name] in broken(tree)
    finally:
        path.write_text(held, encoding="utf-8")
