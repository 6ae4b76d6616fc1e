"""The page in a real browser: no request, no script but its own, zoom in the address, print; and to an HTML parser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from rope_prof.commands.export_answers import html_answer
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.model import Code, Report, Section, mapped
from rope_prof.views.report.html import report_html
from rope_prof.views.report.method import clipped
from rope_prof.views.words.names import shown
from tests.report.conftest import write_page
from tests.report.report_reading import read

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MEGABYTE = 1 << 20
KEYS = [
    *("verdict", "table", "timeline", "bubbles", "kernels", "sweep", "accuracy", "requests"),
    *("method", "machine", "commands", "traces", "doubts"),
]


@pytest.fixture(params=["light", "dark"])
def page(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, color_scheme=request.param)
    yield context.new_page()
    context.close()


def watched(page: Page) -> list[str]:
    """What the page asks for, says on its console, or trips over."""
    said: list[str] = []
    page.on("request", lambda r: said.append(f"request {r.url}") if not r.url.startswith("file:") else None)
    page.on("console", lambda m: said.append(f"console {m.text}"))
    page.on("pageerror", lambda e: said.append(f"error {e}"))
    page.on("dialog", lambda d: said.append(f"dialog {d.message}"))
    return said


def test_it_is_small_and_well_formed(shipped_report, hostile_report) -> None:  # type: ignore[no-untyped-def]
    assert shipped_report.page.stat().st_size < 2 * MEGABYTE
    for written in (shipped_report, hostile_report):
        found = read(written.html)
        assert not found.faults
        assert not found.open
        assert [facts["id"] for tag, facts in found.tags if tag == "section"] == [
            key for key in KEYS if key != "bubbles" or '<section id="bubbles"' in written.html
        ]
        ids = [facts["id"] for _, facts in found.tags if "id" in facts]
        assert len(ids) == len(set(ids))


def test_nothing_in_it_has_an_address_or_a_handler(shipped_report, hostile_report) -> None:  # type: ignore[no-untyped-def]
    for written in (shipped_report, hostile_report):
        for tag, facts in read(written.html).tags:
            for name, value in facts.items():
                assert not name.startswith("on"), (tag, name)
                assert name != "style", tag
                if name in {"href", "src", "srcset", "action", "data", "poster"}:
                    assert value is not None
                    assert value.startswith("#") or value == "data:,", (tag, name, value)
        assert "default-src &#x27;none&#x27;" in written.html


@pytest.mark.browser
def test_it_makes_no_request_and_runs_nothing_strange(page: Page, shipped_report, hostile_report) -> None:  # type: ignore[no-untyped-def]
    for written in (shipped_report, hostile_report):
        said = watched(page)
        page.goto(written.page.as_uri())
        page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        page.wait_for_timeout(150)
        assert said == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.browser
def test_hostile_names_are_read_letter_for_letter(page: Page, hostile_report) -> None:  # type: ignore[no-untyped-def]
    from tests.dashboard.drawn_run import HOSTILE

    page.goto(hostile_report.page.as_uri())
    names = page.evaluate("[...document.querySelectorAll('#kernels td code')].map(n => n.textContent)")
    titles = page.evaluate(
        "[...document.querySelectorAll('svg [data-a] title')].map(n => n.textContent.split('\\n')[0])"
    )
    for name in HOSTILE:
        assert shown(name) in names
        assert shown(name) in titles


def window(page: Page, which: int = 0) -> list[float]:
    """The ns at the first and the last tick that carries a number, by their labels."""
    ticks = page.locator("svg[data-zoom]").nth(which).locator(".ticks text")
    labels: list[str] = ticks.evaluate_all("all => all.map(t => t.textContent)")
    return [float(text.replace(",", "")) for text in labels]


@pytest.mark.browser
def test_zoom_is_kept_in_the_address(page: Page, shipped_report) -> None:  # type: ignore[no-untyped-def]
    page.goto(shipped_report.page.as_uri())
    whole = window(page)
    timeline = page.locator("svg[data-zoom]").first
    timeline.evaluate("node => node.scrollIntoView({block: 'start', behavior: 'instant'})")  # taller than the window
    box = timeline.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2  # below the row of links that stays at the top
    page.mouse.move(box["x"] + 0.3 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], middle, steps=4)
    page.mouse.up()
    near = window(page)
    assert near[-1] - near[0] < 0.35 * (whole[-1] - whole[0])
    case = timeline.get_attribute("data-zoom")
    assert f"{case}=" in page.evaluate("location.href")
    page.click("nav a[href='#sweep']")
    assert "at=sweep" in page.evaluate("location.hash")
    assert f"{case}=" in page.evaluate("location.hash")
    again = page.context.new_page()
    again.goto(page.evaluate("location.href"))
    assert window(again) == near
    again.locator("svg[data-zoom]").first.dblclick()
    assert window(again) == pytest.approx(whole)
    assert str(case) not in again.evaluate("location.hash")


@pytest.mark.browser
def test_keys_and_buttons_zoom_and_a_click_tells_all(page: Page, shipped_report) -> None:  # type: ignore[no-untyped-def]
    page.goto(shipped_report.page.as_uri())
    whole = window(page)
    figure = page.locator("figure:has(svg[data-zoom])").first
    figure.locator("button[data-do=in]").click()
    nearer = window(page)
    assert nearer[-1] - nearer[0] < whole[-1] - whole[0]
    figure.locator("svg").focus()
    page.keyboard.press("d")
    assert window(page)[0] > nearer[0]
    page.keyboard.press("f")
    assert window(page) == pytest.approx(whole)
    page.evaluate("document.querySelector('svg[data-zoom] rect.f-kernel[data-a]').scrollIntoView({block: 'center'})")
    page.locator("svg[data-zoom] rect.f-kernel[data-a]").first.click()
    facts = figure.locator(".info").inner_text()
    assert "at::native" in facts
    assert "launched by" in facts
    assert "registers" in facts


@pytest.mark.browser
def test_a_folded_timeline_opens_where_the_address_asks(page: Page, shipped_report) -> None:  # type: ignore[no-untyped-def]
    page.goto(shipped_report.page.as_uri() + "#28b-tp1-n64-bf16-image=0,50000")
    assert page.evaluate("document.querySelector('svg[data-zoom=\"28b-tp1-n64-bf16-image\"]').closest('details').open")
    page.goto(shipped_report.page.as_uri() + "#nonsense=x&28b-tp1-n64-bf16-image=oops")
    assert page.locator("h1").inner_text() == "h100-ernie28b: does fusing help?"


@pytest.mark.browser
def test_it_prints_without_what_is_for_the_screen(chromium: Browser, shipped_report, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(shipped_report.page.as_uri())
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    assert (tmp_path / "report.pdf").stat().st_size > 20_000
    context.close()


@pytest.mark.browser
def test_without_a_script_it_reads_as_well(chromium: Browser, shipped_report) -> None:  # type: ignore[no-untyped-def]
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(shipped_report.page.as_uri())
    assert page.locator("svg[data-zoom] .ticks text").first.is_visible()
    assert not page.locator("button").first.is_visible()
    context.close()


def test_a_long_command_is_clipped_and_says_so() -> None:
    long = "python -m rope_prof record " + "--path my:path " * 2000
    short = clipped(long)
    assert len(short) < 2200
    assert "characters left out" in short
    assert clipped("short") == "short"


def test_every_text_is_escaped_wherever_it_stands() -> None:
    evil = "<script>alert(1)</script>\"'&"
    section = Section(key="verdict", number=1, title="x", blocks=(Code(lines=("x",)),))
    empty = Report(source="x", title="x", kicker="x", headline=None, cards=(), sections=(section,))
    page: Any = report_html(mapped(empty, lambda _: evil))
    assert evil not in page
    assert page.count("<script>") == 1


@pytest.mark.slow
@pytest.mark.browser
def test_a_fresh_run_of_a_cpu_reports_as_well(chromium: Browser, repository: Path, tmp_path: Path) -> None:
    words = ["-m", "rope_prof", "record", "--quick", "--device", "cpu", "-o", str(tmp_path / "run")]
    made = subprocess.run([sys.executable, *words], cwd=repository, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    report = cleaned_report(open_run(tmp_path / "run"))[0]
    write_page(report, tmp_path / "report.html")
    context = chromium.new_context()
    page = context.new_page()
    said = watched(page)
    page.goto((tmp_path / "report.html").as_uri())
    assert said == []
    text = page.text_content("body") or ""
    assert "nothing here is a GPU figure" in text
    assert "operators" in page.locator("svg[data-zoom]").first.inner_html()
    assert "(checked)" in text
    context.close()


@pytest.mark.browser
def test_a_case_with_a_strange_name_is_only_a_name(chromium: Browser, tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    folder = write_gpu_run(tmp_path / "run", tokens=(64,))
    text = (folder / "run.json").read_text()
    (folder / "run.json").write_text(text.replace('"prompt": "image"', '"prompt": "a)\\"b <i>&=,\\n#"'))
    samples = pl.read_parquet(folder / "samples.parquet")
    strange = 'a)"b <i>&=,\n#'
    samples.with_columns(pl.col("key").str.replace("-image", f"-{strange}", literal=True)).write_parquet(
        folder / "samples.parquet"
    )
    for path in folder.glob("*.trace.json.gz"):  # the ranges keep their old name: no call is found, no timeline drawn
        path.unlink()
    write_page(cleaned_report(open_run(folder))[0], tmp_path / "report.html")
    context = chromium.new_context()
    page = context.new_page()
    said = watched(page)
    page.goto((tmp_path / "report.html").as_uri())
    assert said == []
    assert "a)&quot;b &lt;i&gt;&amp;=,\\n# prompt" in (tmp_path / "report.html").read_text("utf-8")
    assert page.locator("i:has-text('&')").count() == 0
    context.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("run", ["h100-ernie28b", "h200-sweep", "h200-nsight"])
def test_four_screens_stand_before_folds_and_a_link_opens_its_section(
    run: str, chromium: Browser, repository: Path, tmp_path: Path
) -> None:
    """At 1280x800, where fourteen were."""
    (tmp_path / "report.html").write_bytes(html_answer(repository / "traces" / run)["file"])
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"file://{tmp_path / 'report.html'}")
    assert page.evaluate("document.documentElement.scrollHeight") <= 4 * 800
    opened = "document.querySelector('#method > details').open"
    assert not page.evaluate(opened)
    page.locator("nav a[href='#method']").click()
    assert page.evaluate(opened)
    page.close()
