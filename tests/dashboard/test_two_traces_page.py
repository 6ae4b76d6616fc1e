"""Two traces: the page says what the command says, keeps the choice in the address and refuses in one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER
from tests.builders import Drawn, kernel, kineto_json, op, range_, trace
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.test_any_trace_page import NAMES, html_of
from tests.dashboard.walks import SHOTS, dashboard, opened, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser

APP = str(FOLDER / "pages/app.py")


def steps(*kernels: tuple[str, int], gpu: str = "NVIDIA H100") -> bytes:
    """Eight calls of a range `step` with those kernels, 50 µs apart."""
    drawn: list[Drawn] = []
    for number in range(8):
        zero = 1_000_000 * (number + 1)
        drawn.append(range_("step", zero, zero + 900_000))
        for place, (name, length) in enumerate(kernels):
            start = zero + 50_000 * (place + 1)
            number_of = 100 * (number + 1) + place
            drawn.append(
                kernel(start, start + length, name=name, launched=(start - 900, start - 300), correlation=number_of)
            )
    return kineto_json(trace(drawn), deviceProperties=[{"id": 0, "name": gpu}])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("two") / "mine"
    found.mkdir()
    (found / "before.json").write_bytes(steps((NAMES[5], 9000), ("b", 9000), ("c", 9000)))
    (found / "after.json").write_bytes(steps(("abc", 10_000)))
    (found / "other.json").write_bytes(steps(("abc", 10_000), gpu="NVIDIA H200"))
    (found / "cpu.json").write_bytes(kineto_json(trace(op("aten::add", 0, 10))))
    write_gpu_run(found.parent / "run", tokens=(973,))
    return found


def app(monkeypatch: pytest.MonkeyPatch, folder: Path, **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(folder.parent / "run"), "--folder", str(folder)])
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    found.switch_page("two_traces.py")
    return found.run()


def test_without_files_it_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder)
    assert not found.exception
    assert "Choose a trace on each side" in html_of(found)
    assert "mine/before.json" in found.selectbox(key="two-before-None").options


def test_the_answer_comes_first_and_names_are_letters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, folder, before="mine/before.json", after="mine/after.json")
    assert not found.exception
    text = html_of(found)
    assert "10.0 µs a call of step instead of 109 µs (10.9x): " in text
    assert "3 kernels a call became 1" in text
    assert text.index("rp-answer") < text.index("Where the difference is")
    assert "<img src=http" not in text
    assert not found.get("plotly_chart")
    assert found.selectbox(key="pick-before_range").value == "step"


def test_the_address_holds_calls_and_the_waiver_and_errors_name_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = {"before": "mine/before.json", "after": "mine/other.json"}
    refused = app(monkeypatch, folder, **sides)
    said = html_of(refused)
    assert "before.json" in said and str(folder) not in said.split("rp-stop")[1]
    found = app(monkeypatch, folder, **sides, anyway="yes", before_call="3", after_call="99")
    assert not found.exception
    assert "no call &#x27;99&#x27;" in html_of(found)
    assert found.selectbox(key="pick-before_call").value == "3"
    (component,) = found.get("bidi_component")
    answer = json.loads(component.proto.json or component.proto.mixed.json)
    assert [side["title"] for side in answer["sides"]] == ["before: before.json", "after: other.json"]
    assert "call #3 of 8 of step" in answer["sides"][0]["facts"]
    assert "One call of each side, as profiled, on one scale" in html_of(found)


def test_the_range_is_in_the_address_and_an_unknown_one_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sides = {"before": "mine/before.json", "after": "mine/after.json"}
    found = app(monkeypatch, folder, **sides, before_range="the whole device", after_range="nowhere")
    assert not found.exception
    assert "no range &#x27;nowhere&#x27;" in html_of(found)
    assert "in all instead of" in html_of(found)


@pytest.mark.parametrize(("after", "said"), [("other.json", "NVIDIA H200"), ("cpu.json", "no GPU event")])
def test_what_cannot_be_compared_is_one_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: str, said: str
) -> None:
    found = app(monkeypatch, folder, before="mine/before.json", after=f"mine/{after}")
    assert not found.exception
    assert said in html_of(found)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after", "waived", "said"),
    [
        ("h100_2gpu_1s.sqlite", "healthy_1pct.sqlite", False, "941 ms less copies"),
        (
            "10_a100_cudagraph_6stream_int_us.json.gz",
            "17_resnet50_2021_capitalised_cats.json.gz",
            True,
            "ProfilerStep#*",
        ),
    ],
)
def test_two_uploaded_files_are_answered_and_drawn(
    before: str, after: str, waived: bool, said: str, folder: Path, real_traces: Path, chromium: Browser
) -> None:
    SHOTS.mkdir(exist_ok=True)
    with dashboard(str(folder.parent / "run")) as address, opened(chromium) as (page, wrong):
        page.goto(f"{address}/two_traces?anyway={'yes' if waived else 'no'}")
        page.wait_for_selector("input[type=file]", state="attached", timeout=60_000)
        for place, name in enumerate((before, after)):
            page.locator("input[type=file]").nth(place).set_input_files(real_traces / name)
            page.get_by_text(name[:6]).first.wait_for(timeout=60_000)
        page.locator(".rp-answer").filter(has_text=said).wait_for(timeout=90_000)
        settle(page)
        assert page.locator("[data-testid=stException]").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        page.screenshot(path=str(SHOTS / f"two-traces-{before.split('.')[0]}.png"), full_page=True)
        assert wrong == []
