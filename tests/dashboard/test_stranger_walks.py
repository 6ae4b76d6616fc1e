"""Walks over strangers' files in headless Chromium: two uploaded nsys exports, Kineto files of 2021 and 2024."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import SHOTS, dashboard, opened, settle

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OLD = "17_resnet50_2021_capitalised_cats.json.gz"
NEW = "02_h100_bert_compile_triton.json.gz"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, real_traces: Path) -> Iterator[str]:
    run = write_gpu_run(tmp_path_factory.mktemp("strangers") / "run", tokens=(973,))
    with dashboard(str(run), "--folder", str(real_traces)) as found:
        yield found


def answered(page: Page) -> None:
    page.wait_for_timeout(400)
    settle(page)


def test_two_uploaded_nsys_files_are_compared_and_survive_a_reload(
    address: str, chromium: Browser, real_traces: Path
) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium) as (page, wrong):
        page.goto(f"{address}/two_traces")
        page.wait_for_selector("input[type=file]", state="attached", timeout=60_000)
        file = real_traces / "h100_2gpu_1s.sqlite"
        for place in range(2):
            page.locator("input[type=file]").nth(place).set_input_files(file)
            page.wait_for_url(f"**{('before', 'after')[place]}=upload*", timeout=60_000)
        answer = page.locator(".rp-answer")
        answer.wait_for(timeout=60_000)
        said = answer.inner_text()
        settle(page)
        page.reload()
        answer.wait_for(timeout=60_000)
        assert answer.inner_text() == said
        settle(page)
        page.get_by_label("Group", exact=True).select_option("class")
        answered(page)
        rows = page.locator(".tl-sums tbody td:first-child").all_inner_texts()
        assert "copy" in rows
        assert page.locator(".tl-title").count() == 2, "both sides, side by side"
        page.screenshot(path=str(SHOTS / "walk-two-nsys-1280-light.png"))
        assert wrong == []


@pytest.mark.parametrize(
    ("file", "find", "group", "members", "frames"),
    [
        (OLD, "cudnn", "class", {"convolution", "reduction", "copy"}, ["ranges", "operators"]),
        (NEW, "flash", "module", {"Linear_25"}, ["ranges", "modules", "Python stack", "operators"]),
    ],
)
def test_files_of_torch_of_2021_and_2024_are_searched_grouped_and_folded(
    address: str, chromium: Browser, file: str, find: str, group: str, members: set[str], frames: list[str]
) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium, viewport={"width": 800, "height": 800}, color_scheme="dark") as (page, wrong):
        page.goto(f"{address}/any_trace?trace=real-traces/{file}")
        settle(page)
        page.locator(".tl-find").fill(find)
        answered(page)
        page.locator(".tl-find").press("Enter")
        answered(page)
        assert find in page.locator(".tl-name").inner_text().lower()
        docked = page.locator(".tl-facts").bounding_box()
        assert docked is not None and docked["y"] + docked["height"] <= 801
        page.get_by_label("Group", exact=True).select_option(group)
        answered(page)
        assert members <= set(page.locator(".tl-sums tbody td:first-child").all_inner_texts())
        page.get_by_role("button", name="Flame graph").click()
        answered(page)
        assert page.get_by_label("Frames", exact=True).locator("option").all_inner_texts() == frames
        assert page.evaluate("() => window.ropeProfTimeline.memory(0)") > 0, "both files tell their memory"
        assert page.evaluate("document.documentElement.scrollWidth") <= 800
        page.screenshot(path=str(SHOTS / f"walk-kineto-{file[:2]}-800-dark.png"))
        assert wrong == []
