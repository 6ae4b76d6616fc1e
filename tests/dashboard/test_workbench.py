"""A walk over the workbench of a trace with stacks: search, groups, flame graph, an address that survives a reload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.builders import kernel, kineto_json, memory, op, python, range_, sync, trace
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import SHOTS, canvas_of, dashboard, opened, point, settle, window_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


def stacked() -> bytes:
    """Twenty steps of a product in a module, an addition outside of it and a copy, launched from lines of Python."""
    drawn = []
    for turn in range(20):
        at = 1000 + 8000 * turn
        number = 10 * turn + 1
        drawn += [
            range_(f"step#{turn}", at, at + 6000),
            python("train.py(7): main", at, at + 6000),
            python("nn.Module: Linear_0", at + 100, at + 2000),
            op("aten::mm", at + 150, at + 1900, external=number),
            kernel(at + 2000, at + 5000, name="nvjet_tst_128", launched=(at + 200, at + 900), external=number),
            op("aten::add", at + 2100, at + 2900, external=number + 1),
            kernel(at + 5000, at + 6000, name="add_functor", launched=(at + 2200, at + 2800), external=number + 1),
            kernel(at + 6000, at + 6500, kind="memcpy", name="Memcpy HtoD (Pageable -> Device)", bytes=4096,
                   launched=(at + 3000, at + 3500), by="cudaMemcpyAsync"),
        ]  # fmt: skip
    grown = [memory(1000 + 400 * k, 1 << 20, k << 20, 512 << 20) for k in range(1, 400)]
    return kineto_json(trace(*drawn, *grown, sync(170_000, 171_000)))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("bench") / "stranger"
    folder.mkdir()
    (folder / "stacked.json").write_bytes(stacked())
    run = write_gpu_run(folder.parent / "run", tokens=(973,))
    with dashboard(str(run), "--folder", str(folder)) as found:
        yield f"{found}/any_trace?trace=stranger/stacked.json"


def answered(page: Page) -> None:
    page.wait_for_timeout(400)
    settle(page)


def rows(page: Page) -> list[str]:
    return page.locator(".tl-sums tbody td:first-child").all_inner_texts()


def test_a_search_goes_from_hit_to_hit_and_back_after_a_reload(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(address)
        settle(page)
        page.keyboard.press("/")
        page.keyboard.type("NVJET")
        answered(page)
        assert page.locator(".tl-count").inner_text() == "20 found"
        page.keyboard.press("Enter")
        answered(page)
        page.keyboard.press("Shift+Enter")
        answered(page)
        assert page.locator(".tl-count").inner_text() == "20 of 20 found", "it goes round"
        assert page.locator(".tl-name").inner_text() == "nvjet_tst_128"
        page.get_by_label("only these").check()
        page.locator(".tl canvas").focus()
        page.keyboard.press("w")
        answered(page)
        assert rows(page)[0] == "nvjet_tst_128" and "add_functor" not in rows(page)
        share = page.locator(".tl-sums tbody tr").first.locator("td").last.inner_text()
        assert share == "66.7 %", "of all GPU time, not of the stretch"
        window, facts = window_of(page), page.locator(".tl-facts").inner_text()
        page.reload()
        settle(page)
        assert window_of(page) == pytest.approx(window, abs=1)
        assert page.locator(".tl-facts").inner_text() == facts
        assert page.locator(".tl-find").input_value() == "NVJET"
        assert page.get_by_label("only these").is_checked()
        page.locator(".tl-find").press("Escape")
        answered(page)
        assert "add_functor" in rows(page) and "find=" not in page.url
        assert wrong == []


def test_kernels_are_grouped_and_a_group_is_followed(address: str, chromium: Browser) -> None:
    with opened(chromium, viewport={"width": 800, "height": 800}) as (page, wrong):
        page.goto(address)
        settle(page)
        for group, names in {
            "class": {"GEMM", "elementwise", "copy"},
            "module": {"Linear_0", "no module"},
            "operator": {"aten::mm", "aten::add", "no operator"},
            "line": {"train.py(7): main"},
            "stream": {"device 0 · stream 7"},
        }.items():
            page.get_by_label("Group", exact=True).select_option(group)
            answered(page)
            assert names <= set(rows(page)), group
        page.get_by_label("Group", exact=True).select_option("class")
        answered(page)
        page.locator(".tl-sums tbody tr", has_text="GEMM").press("Enter")
        answered(page)
        page.reload()
        settle(page)
        assert page.locator('.tl-sums tr[aria-selected="true"] td').first.inner_text() == "GEMM"
        assert page.evaluate("document.documentElement.scrollWidth") <= 800
        assert wrong == []


def test_memory_lies_under_the_kernels_on_their_time_scale(address: str, chromium: Browser) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium, color_scheme="dark") as (page, wrong):
        page.goto(f"{address}&trace_zoom=40~80")
        settle(page)
        box = canvas_of(page)
        top = page.evaluate("() => window.ropeProfTimeline.memory(0)")
        x, _ = point(page, 61_000, "kernel")
        page.mouse.move(x, box["y"] + top + 10)
        page.wait_for_timeout(200)
        assert page.locator(".tl-tip b").inner_text() == "152 MiB allocated, 512 MiB reserved"
        page.screenshot(path=str(SHOTS / "workbench-memory-1280-dark.png"))
        assert wrong == []


def test_an_uploaded_file_is_there_after_a_reload_with_what_was_picked(address: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        page.goto(address.partition("?")[0])
        page.wait_for_selector(".rp-stop", timeout=60_000)
        file = {"name": "my own.json", "mimeType": "", "buffer": stacked()}
        page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]
        settle(page)
        page.mouse.click(*point(page, 4000, "kernel"))
        answered(page)
        facts = page.locator(".tl-facts").inner_text()
        assert "nvjet_tst_128" in facts and "trace_pick=" in page.url
        page.reload()
        settle(page)
        assert page.get_by_text("my own.json").count()
        assert page.locator(".tl-facts").inner_text() == facts
        assert wrong == []


def test_the_flame_graph_is_by_range_module_or_stack(address: str, chromium: Browser) -> None:
    SHOTS.mkdir(exist_ok=True)
    with opened(chromium) as (page, wrong):
        page.goto(address)
        settle(page)
        page.get_by_role("button", name="Flame graph").click()
        answered(page)
        frames = page.get_by_label("Frames", exact=True)
        assert frames.locator("option").all_inner_texts() == ["ranges", "modules", "Python stack", "operators"]
        boxes = page.locator(".tl-boxes button")
        assert boxes.all_inner_texts()[0] == "step#*"
        frames.select_option("stack")
        answered(page)
        assert boxes.all_inner_texts()[:2] == ["train.py(7): main", "Linear_0"]
        boxes.nth(1).click()
        shown = [box.inner_text() for box in boxes.all() if box.is_visible()]
        assert shown == ["train.py(7): main", "Linear_0", "nvjet_tst_128"], "what it holds and what holds it"
        page.screenshot(path=str(SHOTS / "workbench-flame-1280.png"))
        page.get_by_role("button", name="Show all").click()
        assert "add_functor" in [box.inner_text() for box in boxes.all() if box.is_visible()]
        page.reload()
        settle(page)
        assert frames.input_value() == "stack"
        assert wrong == []
