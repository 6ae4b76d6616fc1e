"""The Timeline page: what it sends, and a walk with the mouse and the keys in headless Chromium."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER, timelines
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import SHOTS, dashboard, opened, point, settle, window_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

APP = str(FOLDER / "pages/app.py")
NAMES = ("_x_", "$x$", ":smile:", "[l](http://evil.example/l)", "![p](http://evil.example/p.png)",
         "<b>bold</b><img src=http://evil.example/i.png onerror=alert(1)>")  # fmt: skip
NEAR = pytest.approx


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("timeline") / "drawn", tokens=(973,), names=NAMES)


def app(monkeypatch: pytest.MonkeyPatch, run: Path, **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(run)])
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    found.switch_page("timeline.py")
    return found.run()


def sent(found: AppTest) -> dict[str, Any]:
    """The data of the one component on the page."""
    (component,) = found.get("bidi_component")
    proto = component.proto
    answer: dict[str, Any] = json.loads(proto.json or proto.mixed.json)
    return answer


def test_the_page_sends_one_call_of_each_side_on_one_scale(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn)
    assert not found.exception
    answer = sent(found)
    assert [side["title"] for side in answer["sides"]] == ["unfused · eager", "per-token · eager", "fused · eager"]
    assert answer["window"] == answer["fit"]
    assert {name[1] for name in answer["names"]} >= set(NAMES)
    assert found.query_params["zoom"] in ("fit", ["fit"])


def test_a_call_is_laid_out_once_for_all_viewers(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sent(app(monkeypatch, drawn))

    def laid_out_again(*_: object) -> None:
        raise AssertionError("the call was laid out again")

    monkeypatch.setattr(timelines, "lay_out", laid_out_again)
    assert sent(app(monkeypatch, drawn)) == first
    assert app(monkeypatch, drawn, call="1").exception, "another call is another picture"


def test_the_zoom_of_the_address_is_the_window(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sent(app(monkeypatch, drawn, zoom="-5~80.25"))["window"] == [-5000, 80250]


def test_a_zoom_that_is_none_says_so_and_falls_back(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, zoom="<b>1")
    assert "no zoom &#x27;&lt;b&gt;1&#x27;" in " ".join(element.proto.body for element in found.get("html"))
    assert sent(found)["window"] == sent(found)["fit"]


def test_another_call_moves_the_zero_and_nothing_else(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (sent(app(monkeypatch, drawn, call=call, zoom="0~100")) for call in ("0", "1"))
    assert first["window"] == second["window"]
    assert [side["facts"] for side in first["sides"]] != [side["facts"] for side in second["sides"]]


@pytest.fixture(scope="module")
def address(drawn: Path) -> Iterator[str]:
    with dashboard(str(drawn)) as found:
        yield found


@pytest.mark.browser
def test_the_zoom_survives_every_other_control_and_the_address_has_it(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/timeline")
        settle(page)
        whole = window_of(page)
        x, y = point(page, 100_000, "kernel")
        page.mouse.move(x, y)
        page.mouse.wheel(0, 200)
        page.wait_for_function("() => document.querySelector('[data-testid=stMain]').scrollTop > 0")
        assert window_of(page) == whole, "a plain wheel scrolls the page"
        page.locator(".tl canvas").focus()
        page.mouse.move(*point(page, 100_000, "kernel"))
        for _ in range(5):
            page.mouse.wheel(0, -240)
        settle(page)
        zoomed = window_of(page)
        assert zoomed[1] - zoomed[0] < 0.3 * (whole[1] - whole[0])
        assert zoomed[0] < 100_000 < zoomed[1], "the instant under the pointer stays"
        page.get_by_label("Colour", exact=True).select_option("kernel")
        settle(page)
        assert window_of(page) == zoomed
        page.get_by_text("all calls").click()
        settle(page)
        assert window_of(page) == zoomed
        page.keyboard.press("?")
        assert page.locator(".tl-keys").is_visible(), "a ticked box keeps no key from the timeline"
        page.keyboard.press("?")
        page.get_by_role("button", name="compile").click()  # reruns the whole page
        page.wait_for_url("**mode=eager%2Ccompile**", timeout=30_000)
        settle(page)
        assert window_of(page) == zoomed
        lo, hi = (float(part) * 1e3 for part in page.url.split("zoom=")[1].split("&")[0].split("~"))
        assert (lo, hi) == (NEAR(zoomed[0], abs=1), NEAR(zoomed[1], abs=1))
        page.reload()
        settle(page)
        assert window_of(page) == (NEAR(zoomed[0], abs=1), NEAR(zoomed[1], abs=1))
        x, y = point(page, (zoomed[0] + zoomed[1]) / 2, "kernel")
        page.mouse.move(x, y)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -240)
        page.keyboard.up("Control")
        settle(page)
        zoomed = window_of(page)  # the links were drawn before this one
        page.get_by_role("link", name="Kernels").click()
        page.wait_for_url("**/kernels?*", timeout=30_000)
        page.get_by_role("link", name="Timeline").click()
        page.wait_for_url("**/timeline?*", timeout=30_000)
        settle(page)
        assert window_of(page) == (NEAR(zoomed[0], abs=1), NEAR(zoomed[1], abs=1))
        assert wrong == []


@pytest.mark.browser
def test_a_click_tells_all_and_table_and_timeline_follow_each_other(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/timeline")
        settle(page)
        page.mouse.click(*point(page, 500, "kernel"))
        settle(page)
        name = page.locator(".tl-name").inner_text()
        assert name == NAMES[0]
        assert "152x1x1" in page.locator(".tl-facts").inner_text()
        facts = page.locator(".tl-facts").bounding_box()
        assert facts is not None and facts["y"] + facts["height"] <= 800, "docked inside the window"
        chosen = page.locator('.tl tbody tr[aria-selected="true"] td').first
        assert chosen.get_attribute("title") == name
        page.keyboard.press(".")
        settle(page)
        assert page.locator(".tl-name").inner_text() == NAMES[1]
        page.keyboard.press(",")
        settle(page)
        assert page.locator(".tl-name").inner_text() == NAMES[0]
        shown = page.locator(".tl tbody td:first-child").all_inner_texts()
        assert all(any(line == one for line in shown) for one in NAMES[:4])
        other = page.locator(".tl tbody tr", has=page.locator(f'td[title="{NAMES[2]}"]'))
        other.click()
        settle(page)
        assert other.get_attribute("aria-selected") == "true"
        assert "Nothing picked" in page.locator(".tl-facts").inner_text()
        assert page.locator(".tl a, .tl img, .tl b b").count() == 0
        assert wrong == []


@pytest.mark.browser
def test_a_stretch_is_summed_by_kernel_and_cause_for_all_sides(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/timeline")
        settle(page)
        (x0, y), (x1, _) = point(page, 50_000, "kernel"), point(page, 150_000, "kernel")
        page.keyboard.down("Shift")
        page.mouse.move(x0, y)
        page.mouse.down()
        page.mouse.move((x0 + x1) / 2, y)
        page.mouse.move(x1, y)
        page.mouse.up()
        page.keyboard.up("Shift")
        settle(page)
        text = page.locator(".tl-sums").inner_text()
        assert "In the stretch" in text
        assert "host late" in text
        assert page.locator(".tl-title").all_inner_texts() == ["unfused · eager", "per-token · eager", "fused · eager"]
        page.keyboard.press("Escape")
        settle(page)
        assert "One call" in page.locator(".tl-sums").inner_text()
        assert wrong == []


@pytest.mark.browser
def test_the_keys_move_the_window(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/timeline")
        settle(page)
        whole = window_of(page)
        page.keyboard.press("w")
        settle(page)
        near = window_of(page)
        assert near[1] - near[0] == NEAR(0.6 * (whole[1] - whole[0]))
        page.keyboard.press("d")
        settle(page)
        assert window_of(page)[0] == NEAR(near[0] + 0.25 * (near[1] - near[0]))
        page.keyboard.press("a")
        page.keyboard.press("s")
        settle(page)
        assert window_of(page) == (NEAR(whole[0], abs=2), NEAR(whole[1], abs=2))
        page.keyboard.press("w")
        page.keyboard.press("f")
        settle(page)
        assert window_of(page) == whole
        assert page.locator(".tl-keys").is_hidden()
        page.keyboard.press("?")
        assert "zoom in, out" in page.locator(".tl-keys").inner_text()
        page.keyboard.press("Escape")
        assert page.locator(".tl-keys").is_hidden()
        assert wrong == []


@pytest.mark.browser
def test_a_call_among_all_calls_is_shown_by_a_click(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/timeline?call=3")
        settle(page)
        page.get_by_text("all calls").click()
        settle(page)
        box = page.locator(".tl canvas").bounding_box()
        assert box is not None
        top = page.evaluate("() => window.ropeProfTimeline.calls(0)")
        page.mouse.click(box["x"] + 300, box["y"] + top[0] + 1.5 * top[1])
        page.wait_for_url("**call=1*", timeout=30_000)
        settle(page)
        shown = [box.input_value() for box in page.locator("[data-testid=stSelectbox] input").all()]
        assert shown[-1] == "call #1"
        assert wrong == []


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 800)), ("dark", (1920, 1080))])
def test_nothing_hangs_over_the_side(address: str, chromium: Browser, scheme: str, size: tuple[int, int]) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme) as (page, wrong):
        page.goto(f"{address}/timeline")
        settle(page)
        page.mouse.click(*point(page, 500, "kernel"))
        settle(page)
        page.screenshot(path=str(SHOTS / f"timeline-{size[0]}-{scheme}.png"))
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        wide = page.locator(".tl").evaluate("(box) => box.scrollWidth - box.clientWidth")
        assert wide <= 1
        assert wrong == []
