"""Bubbles: its rows lead to the timeline of the very gap, what no profiler stretches stands first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pytest

from rope_prof.dashboard import loading
from rope_prof.views.timeline.look import zoom_of
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.test_dashboard_pages import CASE, app, html_of
from tests.dashboard.walks import dashboard, opened, settle, window_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("bubbles") / "drawn")


def links(text: str) -> list[dict[str, str]]:
    return [dict(parse_qsl(unescape(query))) for query in re.findall(r'href="timeline\?([^"]+)"', text)]


def test_charts_account_and_longest_gaps(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "bubbles")
    assert not found.exception
    text = html_of(found)
    assert len(found.get("plotly_chart")) == 1, "how long the gaps are"
    folds = {fold.label for fold in found.expander}
    assert {"How long the gaps are, as profiled", "The longest gaps, as profiled"} <= folds
    assert "Idle time by cause, under the profiler" in folds
    assert "in brackets the difference to" in text
    labels = [element.proto.label for element in found.get("download_button")]
    assert labels[:4] == ["Picture, PNG", "Picture, SVG", "Table, CSV", "Table, Markdown"]


def test_a_row_names_run_case_path_mode_call_and_zoom_of_its_gap(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = links(html_of(app(monkeypatch, drawn, "bubbles", path="unfused,fused", base="per-token.eager.cold")))
    assert found
    folder = loading.run(drawn)
    for link in found:
        told = ("drawn", CASE, "eager", "cold", "per-token.eager.cold")
        assert tuple(link[name] for name in ("run", "case", "mode", "l2", "base")) == told
        assert link["path"] in {"unfused", "fused"}
        window = zoom_of(link["zoom"])
        assert window is not None
        one = loading.opened(folder.path).account(folder.run.facts(f"{link['path']}.eager.cold.{CASE}.r0"))
        assert one is not None
        inside = [
            gap
            for gap in one.gaps.filter(one.gaps["call"] == int(link["call"])).iter_rows(named=True)
            if window[0] < gap["gap_start_ns"] - gap["call_start_ns"]
            and gap["gap_start_ns"] - gap["call_start_ns"] + gap["gap_dur_ns"] < window[1]
        ]
        assert inside, "the window holds a gap of that call"


def test_what_no_profiler_stretches_stands_before_what_is_grey(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = html_of(app(monkeypatch, drawn, "bubbles"))
    assert "Grey: the profiler stretches fused · eager over 1.5x" in text
    assert 'class="doubt' not in text
    assert text.index("Bubble of a call, unprofiled") < text.index("The same under the profiler")
    none = html_of(app(monkeypatch, drawn, "bubbles", base="none"))
    assert "in brackets" not in none


def test_a_lost_trace_and_a_run_without_gaps_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gpu_run(tmp_path / "lost", tokens=(973,))
    (folder / f"fused.eager.cold.{CASE}.r0.trace.json.gz").unlink()
    found = app(monkeypatch, folder, "bubbles")
    assert "fused · eager: its trace is gone" in html_of(found)
    assert "The longest gaps, as profiled" in [fold.label for fold in found.expander]
    for trace in folder.glob("*.trace.json.gz"):
        trace.unlink()
    assert "record it again" in html_of(app(monkeypatch, folder, "bubbles"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_gpu_run(tmp_path_factory.mktemp("walks") / "_x_ <b>hostile<b>", names=HOSTILE)
    with dashboard(str(folder)) as found:
        yield found


@pytest.mark.browser
@pytest.mark.slow
def test_a_click_on_a_row_opens_the_timeline_there(hostile: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{hostile}/bubbles?path=unfused,fused")
        page.get_by_text("The longest gaps, as profiled").click(timeout=60_000)
        page.wait_for_selector(".rp .wide a", timeout=60_000)
        for name in HOSTILE[:2]:
            assert page.locator(f".rp .wide [title={name!r}], .rp .wide td").filter(has_text="evil").count() > 0, name
        link = page.locator(".rp .wide a").first
        query = dict(parse_qsl((link.get_attribute("href") or "").split("?")[1]))
        link.click()
        settle(page)
        assert dict(parse_qsl(page.url.split("?")[1])).items() >= query.items()
        wanted = zoom_of(query["zoom"])
        assert wanted is not None
        assert window_of(page) == pytest.approx(wanted, abs=1.0)
        assert wrong == []
