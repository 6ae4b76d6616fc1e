"""Reports of the shipped run, made once, and hand-drawn runs with names that try to be markup."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from rope_prof.cli import main
from rope_prof.commands.export_answers import markdown_files
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.model import Report
from rope_prof.views.report.html import report_html

TESTS = Path(__file__).resolve().parents[1]
SHIPPED = TESTS.parent / "traces/h100-ernie28b"


@dataclass(frozen=True)
class Written:
    """Both formats of one run."""

    run: Path
    report: Report
    page: Path
    folder: Path

    @property
    def html(self) -> str:
        return self.page.read_text("utf-8")

    @property
    def markdown(self) -> str:
        return (self.folder / "report.md").read_text("utf-8")


def write_page(made: Report, page: Path) -> None:
    page.write_bytes(report_html(made).encode())


def write_text(made: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in markdown_files(made).items():
        (folder / ("report.md" if name == "text" else name)).write_bytes(data)


def write(run: Path, folder: Path) -> Written:
    page, text = folder / "report.html", folder / "md"
    made, _ = cleaned_report(open_run(run))
    write_page(made, page)
    write_text(made, text)
    return Written(run, made, page, text)


@pytest.fixture(scope="session")
def shipped_report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write(SHIPPED, tmp_path_factory.mktemp("shipped-report"))


@pytest.fixture(scope="session")
def shipped_json() -> dict[str, Any]:
    """What `show --json` prints of the shipped run."""
    said = StringIO()
    with redirect_stdout(said):
        assert main(["show", str(SHIPPED), "--json"]) == 0
    return json.loads(said.getvalue())  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A run whose kernels' names are markup, Markdown, script and worse."""
    from tests.dashboard.drawn_run import HOSTILE, write_gpu_run

    folder = tmp_path_factory.mktemp("hostile-report")
    return write(write_gpu_run(folder / "run", names=(*HOSTILE, *MORE_HOSTILE)), folder)


#: Beyond those of the dashboard: what tables, code spans and GitHub trip over.
MORE_HOSTILE = (
    "a|b `tick` ``two`` \\| \\",
    "@somebody #1 GH-2 www.evil.example http://evil.example/x :tada:",
    "line\nbreak\x1b[31mred\u202eright",
)
