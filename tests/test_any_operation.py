"""Runs of operations that are not the rotary embedding: no table, report, picture or page speaks of one."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rope_prof.dashboard.shell import PAGES
from streamlit.testing.v1 import AppTest

from rope_prof.cli import main
from rope_prof.dashboard import FOLDER
from rope_prof.io.run.folder import shipped_runs

RUNS = ("h200-rmsnorm-quant", "h200-silu-mul", "h200-column-amax")
#: The product's own name, however it is set; all else that says "rope" is of one operation.
_PRODUCT = re.compile(r"rope<i>_</i>prof|rope\\?[_-]prof|ropeProf\w*|\brp-\w+")

_WORD = re.compile(r"(?i)(?<![a-z])m?rope(?![a-z])|rotary")


def spoken(text: str) -> list[str]:
    """Where the text says rope, rotary or Ernie beside the product's name."""
    left = _PRODUCT.sub("", text)
    return [left[max(0, found.start() - 40) : found.end() + 40] for found in _WORD.finditer(left)]


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Path:
    return shipped_runs() / request.param


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def texts(run: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[str, str]]:
    """What the command line says of that run, and the files that it writes."""
    yield "show", printed(capsys, "show", str(run))
    yield "json", printed(capsys, "show", str(run), "--json")
    yield "compare", printed(capsys, "compare", f"{run}:unfused/eager", f"{run}:fused/eager")
    for form, name in (("html", "page.html"), ("markdown", "text"), ("perfetto", "drawn.pftrace")):
        printed(capsys, "export", str(run), "--to", form, "-o", str(place / name))
    yield "html", (place / "page.html").read_text("utf-8")
    yield "perfetto", (place / "drawn.pftrace").read_bytes().decode("latin-1")
    for file in (place / "text").iterdir():
        if file.suffix in {".md", ".svg"}:
            yield file.name, file.read_text("utf-8")


def test_reports_and_tables_speak_of_the_operation_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = dict(texts(run, tmp_path, capsys))
    assert {name: spoken(text) for name, text in seen.items() if spoken(text)} == {}
    axis = {"h200-rmsnorm-quant": "int8"}.get(run.name, "channels")
    assert axis in seen["show"]
    assert axis in seen["html"]


@pytest.mark.parametrize("page", [name for name in PAGES if name not in {"perfetto", "ranks"}])
def test_pages_speak_of_the_operation_alone(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(shipped_runs() / RUNS[0])])
    found = AppTest.from_file(str(FOLDER / "pages/app.py"), default_timeout=60)
    if page != "overview":
        found.switch_page(f"{page}.py")
    found.run()
    assert not found.exception
    html = " ".join(element.proto.body for element in found.get("html"))
    drawn = " ".join(str(element.proto) for element in (*found.get("plotly_chart"), *found.get("bidi_component")))
    text = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL) + drawn
    assert spoken(text) == []


def test_the_search_sees_the_word() -> None:
    assert spoken("a rope_prof run of mrope") == ["a  run of mrope"]
    assert spoken('<span class="rp-mark">rope<i>_</i>prof</span>') == []
