"""Sweep: what the address chose is drawn, marked and given away; a run with one token count says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import pytest

from rope_prof.dashboard import loading
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.test_dashboard_pages import app, asked, html_of
from tests.dashboard.walks import SHOTS, dashboard, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TURN = "<li>fused · eager: fusing matters at every count up to 973 tokens</li>"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("sweep") / "drawn", tokens=(1, 64, 973))


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("sweep") / "single", tokens=(973,))


@pytest.fixture(scope="module")
def shipped(repository: Path) -> Iterator[str]:
    if not (repository / "traces/h200-sweep/run.json").is_file():
        pytest.skip("the shipped run traces/h200-sweep is not there")
    with dashboard() as found:
        yield found


def test_a_few_token_counts_are_drawn(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "sweep")
    assert not found.exception
    assert (asked(found, "model"), asked(found, "tp")) == ("28b", "1")
    text = html_of(found)
    assert TURN in text
    assert len(found.get("plotly_chart")) == 1, "no floor was measured, so there is no share"
    labels = [element.proto.label for element in found.get("download_button")]
    assert labels == ["Picture, PNG", "Picture, SVG", "Table, CSV", "Table, Markdown"]
    (table,) = found.dataframe
    assert table.value.shape[0] == 9
    assert "to unfused · eager" in table.value.columns


def test_unknown_models_and_tp_say_so_and_fall_back(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "sweep", model="<b>7b", tp="3")
    assert not found.exception
    assert "no model &#x27;&lt;b&gt;7b&#x27; in this case; showing 28b" in html_of(found)
    assert "no TP &#x27;3&#x27; in this case; showing 1" in html_of(found)
    assert not [group for group in found.button_group if group.key in ("pick-model", "pick-tp")], "one value: no choice"
    assert (asked(found, "model"), asked(found, "tp")) == ("28b", "1")


def test_what_is_chosen_alone_is_drawn(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "sweep", path="unfused", mode="eager,compile", base="none")
    text = html_of(found)
    assert "Only the baseline is shown" in text
    assert "The difference to" not in text
    assert set(found.dataframe[0].value["mode"]) == {"eager", "compile"}
    assert not any(name.startswith("to ") for name in found.dataframe[0].value.columns)


def test_another_case_begins_with_its_own_model(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "sweep")
    found.query_params["tp"] = "1"
    found.selectbox(key="pick-case").set_value("28b-tp1-n1-bf16-image").run()
    assert not found.exception
    assert (asked(found, "model"), asked(found, "tp")) == ("28b", "1")


def test_another_case_and_another_run_begin_with_their_own_value_of_every_axis(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = write_gpu_run(tmp_path / "both", tokens=(1, 64), prompts=("image", "text"))
    monkeypatch.setattr(loading, "runs", lambda: {"both": both, "drawn": drawn})
    found = app(monkeypatch, both, "sweep", run="both", case="28b-tp1-n64-bf16-image", prompt="image")
    assert "image prompt" in html_of(found)
    found.selectbox(key="pick-case").set_value("28b-tp1-n64-bf16-text").run()
    assert not found.exception
    assert asked(found, "prompt") == "text"
    assert "text prompt" in html_of(found)
    assert "image prompt" not in html_of(found)
    found.selectbox(key="pick-run").set_value("drawn").run()
    assert asked(found, "prompt") == "image"
    assert "no prompt" not in html_of(found)


def test_one_token_count_says_how_to_record_a_sweep(single: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "shipped_sweep", lambda named: "single" if "single" in named else None)
    found = app(monkeypatch, single, "sweep")
    assert not found.exception
    text = html_of(found)
    assert "has one value of tokens" in text
    assert "data:image" not in text
    assert [block.value for block in found.code] == ["python -m rope_prof record --sweep"]
    links = [element.proto for element in found.get("page_link") if element.proto.label.startswith("Show the shipped")]
    assert [parse_qs(link.query_string) for link in links] == [{"run": ["single"]}]
    assert found.dataframe[0].value.shape[0] == 3
    monkeypatch.setattr(loading, "shipped_sweep", lambda _named: None)
    none = app(monkeypatch, single, "sweep")
    assert not [e for e in none.get("page_link") if e.proto.label.startswith("Show the shipped")]


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 800)), ("dark", (1920, 1080))])
def test_the_shipped_sweep_in_a_browser(shipped: str, chromium: Browser, scheme: str, size: tuple[int, int]) -> None:
    SHOTS.mkdir(exist_ok=True)
    width, height = size
    with opened(chromium, viewport={"width": width, "height": height}, color_scheme=scheme) as (page, wrong):
        page.goto(f"{shipped}/sweep?run=h200-sweep&model=28b,424b&mode=eager,graph")
        page.wait_for_selector(".js-plotly-plot .scatterlayer .point", timeout=60_000)
        page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
        charts = page.locator(".js-plotly-plot")
        assert charts.count() == 4, "time and share of both models"
        box = charts.first.locator(".scatterlayer .point").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector(".hoverlayer .hovertext", timeout=30_000)
        assert "tokens" in (page.locator(".hoverlayer").first.text_content() or "")
        page.screenshot(path=str(SHOTS / f"sweep-{width}-{scheme}.png"))
        chip = page.locator(".st-key-pick-model").get_by_text("424b", exact=True)
        chip.click()
        page.wait_for_function("() => document.querySelectorAll('.js-plotly-plot').length === 2", timeout=30_000)
        page.wait_for_url("**model=28b&**", timeout=30_000)
        page.get_by_role("link", name="Overview").click()
        page.wait_for_selector(".rp-hero", timeout=60_000)
        assert "model=28b" in page.url
        assert "mode=eager%2Cgraph" in page.url
        assert wrong == []
