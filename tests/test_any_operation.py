"""Runs of operations that are not the rotary embedding: no table, report, picture or page speaks of one."""

from __future__ import annotations

import html
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rope_prof.dashboard.shell import PAGES
from streamlit.testing.v1 import AppTest

from rope_prof.cli import main
from rope_prof.commands.export import FORMATS
from rope_prof.dashboard import FOLDER
from rope_prof.io.run.folder import shipped_runs

RUNS = ("h200-rmsnorm-quant", "h200-silu-mul", "h200-column-amax")
#: The product's own name, however it is set; all else that says "rope" is of one operation.
_PRODUCT = re.compile(r"rope<i>_</i>prof|rope\\?[_-]prof|ropeProf\w*|\brp-\w+")
_NAMES = "|".join(re.escape(one.name) for one in shipped_runs().iterdir() if one.name not in RUNS)
#: A run is called as its user called it, and so are its files.
_OTHERS = re.compile(rf"(?:{_NAMES})(?:/[^\s\"]*)?")

_WORD = re.compile(r"(?i)(?<![a-z])m?rope(?![a-z])|rotary")


def spoken(text: str) -> list[str]:
    """Where the text says rope, rotary or Ernie beside the product's name, and names of other runs to choose."""
    left = _OTHERS.sub("", _PRODUCT.sub("", text))
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
    yield "doctor", printed(capsys, "doctor")
    for form in FORMATS:
        if form == "kineto":  # of a trace alone
            continue
        out = place / {"html": "page.html", "perfetto": "drawn.pftrace"}.get(form, form)
        yield f"{form}, said", printed(capsys, "export", str(run), "--to", form, "-o", str(out)).replace(str(out), "")
        for file in sorted(out.rglob("*")) if out.is_dir() else [out]:
            if file.is_file() and not file.is_relative_to(place / "archive"):
                yield f"{form}, {file.name}", file.read_bytes().decode("latin-1")
    yield "archive, run.json", (place / "archive/run.json").read_text("utf-8")


def test_reports_and_tables_speak_of_the_operation_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = dict(texts(run, tmp_path, capsys))
    assert {name: spoken(text) for name, text in seen.items() if spoken(text)} == {}
    axis = {"h200-rmsnorm-quant": "int8"}.get(run.name, "channels")
    assert axis in seen["show"]
    assert axis in seen["html, page.html"]
    assert {name.partition(",")[0] for name in seen} >= set(FORMATS) - {"kineto"}


#: Words of the operation's own axes, and of what was measured for it alone.
OWN = {
    "h200-mrope-kv": ("same cache", "page 16", "rope-then-write", "fused-settled"),
    "h200-qwen": ("qwen2-vl-7b", "qwen3-vl-8b", "knows the order &#x27;ernie&#x27; alone"),
}


@pytest.mark.parametrize("name", OWN)
def test_runs_of_the_rope_beyond_ernie_say_what_they_are_of(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, page = shipped_runs() / name, tmp_path / "page.html"
    said = printed(capsys, "show", str(run))
    assert main(["export", str(run), "--to", "html", "-o", str(page)]) == 0
    for word in OWN[name]:
        assert html.unescape(word) in " ".join(said.split())
        assert word in page.read_text("utf-8")
    assert "28b" in said or name != "h200-mrope-kv"
    assert "28b" not in said or name != "h200-qwen"


@pytest.mark.parametrize("page", PAGES)
def test_pages_speak_of_the_operation_alone(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(shipped_runs() / RUNS[0])])
    found = AppTest.from_file(str(FOLDER / "pages/app.py"), default_timeout=60)
    if page != "overview":
        found.switch_page(f"{page}.py")
    found.run()
    assert not found.exception
    drawn = " ".join(str(element.proto) for element in found.main)
    text = re.sub(r"<style>.*?</style>", "", drawn, flags=re.DOTALL)
    assert len(text) > 1000
    assert spoken(text) == []


def test_the_search_sees_the_word() -> None:
    assert spoken("a rope_prof run of mrope") == ["a  run of mrope"]
    assert spoken('<span class="rp-mark">rope<i>_</i>prof</span>') == []
