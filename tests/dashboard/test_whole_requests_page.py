"""The End to end page: what it draws and sends, what it falls back to, and a walk from the step to one rope call."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.cli import main
from rope_prof.commands.export_answers import markdown_files
from rope_prof.dashboard import FOLDER, loading
from rope_prof.dashboard import requests as whole_requests
from rope_prof.io.run.requests import read_end_to_end, write_end_to_end
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.requests import request_frame
from rope_prof.views.page.files import csv_of
from rope_prof.views.report.html import report_html
from tests.dashboard.drawn_requests import write_keyless_run, write_requests
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.walks import SHOTS, canvas_of, dashboard, opened, settle, window_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APP = str(FOLDER / "pages/app.py")
NEAR = pytest.approx
EVIL = "_x_ <b>:smile: $x$ ![p](http://evil.example/p.png)"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_gpu_run(tmp_path_factory.mktemp("requests") / "drawn", tokens=(973,))
    return write_requests(folder, names=HOSTILE)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    return write_keyless_run(folder, device="cpu", paths=("stock", "unfused"), profiled=("unfused",))


def app(monkeypatch: pytest.MonkeyPatch, run: Path, page: str = "end_to_end", **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(run)])
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    if page != "overview":
        found.switch_page(f"{page}.py")
    return found.run()


def html_of(found: AppTest) -> str:
    return " ".join(element.proto.body for element in found.get("html"))


def sent(found: AppTest) -> dict[str, Any]:
    """The data of the one component on the page."""
    (component,) = found.get("bidi_component")
    proto = component.proto
    answer: dict[str, Any] = json.loads(proto.json or proto.mixed.json)
    return answer


def asked(found: AppTest, *names: str) -> list[str]:
    values = [found.query_params[name] for name in names]
    return [value if isinstance(value, str) else value[0] for value in values]


def test_the_page_shows_times_gains_noise_prediction_agreement_and_both_steps(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = app(monkeypatch, drawn)
    assert not found.exception
    assert not found.get("plotly_chart")
    text = html_of(found)
    drawn_for = {word: text.count(f'class="rp-{word}"') for word in ("wide", "narrow")}
    assert drawn_for == {"wide": 3, "narrow": 3}, "request time, prediction and outcome, and the parts of a step"
    assert "7.5<span>%" in text, "1 - (0.16 + 10 * 0.095) / (0.20 + 10 * 0.10)"
    assert "of a request’s time saved with fused in every layer, under CUDA graphs" in text
    assert "Against stock: 7.5% [7.5%, 7.5%], decode eager 20.0% [20.0%, 20.0%]" in text
    assert "Against the unfused chain, as served: under CUDA graphs 15.9%" in text
    for words in ("per-token", "graph", "A/A noise, decode eager", "Outputs agree", "outside the prediction"):
        assert words in text
    for picture in (
        "Request time",
        "Where a step&#x27;s time goes",
        "Predicted and measured",
    ):
        assert picture in text
    assert [side["title"] for side in sent(found)["sides"]] == ["unfused", "fused"]
    assert asked(found, "phase", "part", "layer", "step", "step_zoom") == ["decode", "step", "1", "median", "fit"]
    labels = [element.proto.label for element in found.get("download_button")]
    assert labels[:4] == ["Picture, PNG", "Picture, SVG", "Table, CSV", "Tables, Markdown"]
    assert len([label for label in labels if label.startswith("Trace, ")]) == 4


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_the_same_layer_and_rope_call_of_both_paths_start_together(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    for part, ends in (("layer", (103_000, 63_000)), ("rope", (43_000, 3_000))):
        answer = sent(app(monkeypatch, drawn, phase=phase, part=part, layer="1", step="0"))
        assert tuple(side["end"] for side in answer["sides"]) == ends
        assert answer["window"] == answer["fit"]
        for side in answer["sides"]:
            number = {"layer": 3, "rope": 1}[part]
            assert f"{side['title']}.{phase}.{part}#{number}" in side["facts"]
    assert "drawn as profiled" in answer["sides"][0]["facts"]


def test_the_zoom_of_the_address_is_the_window_and_another_case_has_another(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = app(monkeypatch, drawn, part="rope", step_zoom="-2~30.5", zoom="1~2")
    assert sent(found)["window"] == [-2000, 30500]
    assert asked(found, "zoom", "step_zoom") == ["1~2", "-2~30.5"]


def test_unknown_values_say_so_and_fall_back(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"phase": "<b>p", "part": "head", "layer": "28", "step": "99", "step_zoom": "x"}
    found = app(monkeypatch, drawn, **wrong)
    assert not found.exception
    text = html_of(found)
    for what in ("phase &#x27;&lt;b&gt;p", "part &#x27;head", "layer &#x27;28", "step &#x27;99", "zoom &#x27;x"):
        assert f"no {what}&#x27;" in text
    assert asked(found, *wrong) == ["decode", "step", "1", "median", "fit"]


def test_links_to_other_pages_keep_the_step_that_is_looked_at(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = {"phase": "prefill", "part": "rope", "layer": "0", "step": "1", "step_zoom": "0~5"}
    found = app(monkeypatch, drawn, **look)
    for link in found.get("page_link"):
        assert dict(parse_qsl(link.proto.query_string)).items() >= look.items()
    assert asked(app(monkeypatch, drawn, "timeline", **look), *look) == list(look.values())


def test_a_run_without_whole_requests_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.chdir(repository)
    found = app(monkeypatch, write_gpu_run(tmp_path / "plain", tokens=(973,)))
    assert not found.exception
    assert "python -m rope_prof model -o RUN" in html_of(found)
    if (repository / "traces/h100-ernie28b/end_to_end.json").is_file():
        last = found.get("page_link")[-1].proto
        assert dict(parse_qsl(last.query_string))["run"] == "h100-ernie28b"
        assert "shipped run" in last.label


def test_a_run_of_whole_requests_alone_has_this_page_and_says_so_on_the_others(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = app(monkeypatch, tiny)
    assert not found.exception
    text = html_of(found)
    assert "No fused path was measured in the model" in text
    assert "measured on a CPU: nothing here is a GPU figure" in text
    assert "Recorded on a CPU" in text
    assert "as predicted" not in text
    (side,) = sent(found)["sides"]
    assert "6 kernels" in side["facts"], "two layers with three leaf operators each"
    for page in ("overview", "timeline", "kernels"):
        other = app(monkeypatch, tiny, page)
        assert not other.exception, page
        assert "holds whole requests alone; the page End to end shows them" in html_of(other), page
    assert not app(monkeypatch, tiny, "any_trace").exception


def test_hostile_names_stay_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ("stock", "unfused", EVIL)
    folder = write_keyless_run(tmp_path / "evil", paths=paths, profiled=("unfused", EVIL), names=HOSTILE)
    found = app(monkeypatch, folder, part="rope")
    assert not found.exception
    text = html_of(found)
    assert "<b>:smile:" not in text
    assert "_x_ &lt;b&gt;:smile: $x$" in text
    assert [side["title"] for side in sent(found)["sides"]] == ["unfused", EVIL]
    for element in found.get("download_button"):
        assert "<b>" not in element.proto.label
        assert ":smile:" not in element.proto.label
        assert "![" not in element.proto.label


def test_lost_and_damaged_files_are_a_sentence_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_keyless_run(tmp_path / "lost")
    (folder / "end_to_end.fused.decode.trace.json.gz").unlink()
    found = app(monkeypatch, folder)
    assert not found.exception
    assert "the profile of decode of fused is gone from the folder" in html_of(found)
    assert [side["title"] for side in sent(found)["sides"]] == ["unfused"]
    (folder / "end_to_end.unfused.decode.trace.json.gz").write_bytes(b"no trace")
    found = app(monkeypatch, folder)
    assert not found.exception
    text = html_of(found)
    assert "No timeline of unfused" in text
    assert "No parts of a step" in text
    assert "of a request’s time saved" in text, "times need no profile"
    for trace in folder.glob("*.trace.json.gz"):
        trace.unlink()
    assert "No profile of a step" in html_of(app(monkeypatch, folder))
    (folder / "end_to_end.json").write_text("{", encoding="utf-8")
    found = app(monkeypatch, folder)
    assert not found.exception
    assert "is damaged" in html_of(found)


def test_a_measurement_that_was_stopped_says_so_and_how_many_rounds_it_has_in_every_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `model` leaves it after the ninth of sixteen rounds: no profiles yet."""
    run = write_requests(write_gpu_run(tmp_path / "cut", tokens=(973,)), profiled=())
    whole = read_end_to_end(run)
    assert whole is not None
    write_end_to_end(run, replace(whole.facts, complete=False), whole.samples.filter(pl.col("round") < 9))
    said = "9 of 16 rounds, stopped before its end"
    told = html_of(found := app(monkeypatch, run))
    assert not found.exception and said in told
    made, _ = cleaned_report(open_run(run))
    text = markdown_files(made)["text"].decode()
    assert said in text.partition("## 1.")[0] and text.count(said) == 2, "in the brief, and in its own section"
    assert said in report_html(made)
    assert main(["show", str(run)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert said in shown and "16 rounds, stopped" not in shown.replace(said, "")
    assert main(["show", str(run), "--json"]) == 0
    found_json = json.loads(capsys.readouterr().out)["end_to_end"]
    assert [found_json[name] for name in ("rounds", "timed_rounds", "complete")] == [16, 9, False]


def test_a_changed_measurement_is_read_again(tmp_path: Path) -> None:
    folder = write_keyless_run(tmp_path / "again")
    first = whole_requests.whole(loading.run(folder))
    assert first is not None
    assert len(first.rows) == 8
    write_requests(folder, paths=("stock", "unfused"), profiled=())
    second = whole_requests.whole(loading.run(folder))
    assert second is not None
    assert len(second.rows) == 4


def test_the_table_that_is_given_away_holds_every_row_and_its_intervals(drawn: Path) -> None:
    found = whole_requests.whole(loading.run(drawn))
    assert found is not None
    frame = request_frame(found.rows)
    assert frame.height == 8
    rows = {(row["path"], row["decode"]): row for row in frame.iter_rows(named=True)}
    row = rows["fused", "eager"]
    assert row["request_ms"] == NEAR(11 * 0.16, rel=0.02)
    assert row["request_saved"] == NEAR(1 - 0.16 / 0.22)
    assert row["request_saved_lo"] <= row["request_saved"] <= row["request_saved_hi"]
    assert rows["unfused", "graph"]["request_saved"] is None
    assert csv_of(frame).startswith(b"path,decode,status")


@pytest.fixture(scope="module")
def address(drawn: Path) -> Iterator[str]:
    with dashboard(str(drawn)) as found:
        yield found


def press(page: Page, label: str, arrives: str) -> None:
    page.get_by_role("radio", name=label, exact=True).click()
    page.wait_for_url(re.compile(arrives), timeout=30_000)
    settle(page)


@pytest.mark.browser
def test_a_walk_from_the_step_to_one_rope_call_keeps_its_zoom(address: str, chromium: Browser) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/end_to_end")
        settle(page)
        step = window_of(page)
        press(page, "one layer", "part=layer")
        layer = window_of(page)
        press(page, "one rope call", "part=rope")
        rope = window_of(page)
        widths = [hi - lo for lo, hi in (step, layer, rope)]
        assert widths[0] > 1.5 * widths[1] > 3 * widths[2]
        page.locator(".tl canvas").focus()
        page.keyboard.press("w")
        settle(page)
        zoomed = window_of(page)
        page.wait_for_url(re.compile(r"step_zoom=-?\d"), timeout=30_000)
        press(page, "prefill", "phase=prefill")
        assert window_of(page) == zoomed, "the same window, whatever else is chosen"
        page.get_by_label("Colour", exact=True).select_option("kernel")
        settle(page)
        assert window_of(page) == zoomed
        page.reload()
        settle(page)
        assert window_of(page) == (NEAR(zoomed[0], abs=1), NEAR(zoomed[1], abs=1))
        page.get_by_role("link", name="Timeline").click()
        page.wait_for_url("**/timeline?*", timeout=30_000)
        settle(page)
        page.get_by_role("link", name="End to end").click()
        page.wait_for_url("**/end_to_end?*", timeout=30_000)
        settle(page)
        assert window_of(page) == (NEAR(zoomed[0], abs=1), NEAR(zoomed[1], abs=1))
        page.get_by_role("radio", name="one rope call", exact=True).click()
        page.wait_for_url("**step_zoom=fit**", timeout=30_000)
        settle(page)
        again = window_of(page)
        assert (again[0], again[1]) != (zoomed[0], zoomed[1])
        page.reload()
        settle(page)
        assert window_of(page) == (NEAR(again[0], abs=1), NEAR(again[1], abs=1)), "pressed again it is shown whole"
        page.screenshot(path=str(SHOTS / "end-to-end-rope.png"), full_page=True)
        assert wrong == []


@pytest.mark.browser
def test_what_is_given_away_is_what_is_shown(address: str, chromium: Browser) -> None:
    with opened(chromium, accept_downloads=True) as (page, wrong):
        page.goto(f"{address}/end_to_end?part=rope")
        settle(page)
        page.get_by_test_id("stPopoverButton").get_by_text("Download", exact=True).click()
        given = {}
        for label in ("Picture, PNG", "Picture, SVG", "Table, CSV", "Tables, Markdown"):
            with page.expect_download(timeout=30_000) as waited:
                page.get_by_role("button", name=label).click()
            assert waited.value.suggested_filename.startswith("drawn-end_to_end.")
            given[label] = Path(waited.value.path()).read_bytes()
        assert given["Picture, PNG"].startswith(b"\x89PNG")
        for words in (b"Request time as its parts", b"Rope call of layer 1, decode"):
            assert words in given["Picture, SVG"]
        text = given["Tables, Markdown"].decode()
        for head in ("| path | decode | first token ms |", "| path | logits off |", "| path | phase | step |"):
            assert head in text
        assert "A/A noise" in text
        assert wrong == []


@pytest.mark.browser
def test_a_click_among_all_rope_calls_goes_to_that_layer(address: str, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 1280, "height": 2400}) as (page, wrong):
        page.goto(f"{address}/end_to_end?part=rope&layer=1")
        settle(page)
        page.get_by_text("all calls").click()
        settle(page)
        top, height = page.evaluate("() => window.ropeProfTimeline.calls(0)")
        box = canvas_of(page)
        page.mouse.click(box["x"] + 400, box["y"] + top + height / 2)
        page.wait_for_url("**layer=0**", timeout=30_000)
        settle(page)
        assert wrong == []
