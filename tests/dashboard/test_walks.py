"""Every page in headless Chromium, on a run whose kernels have names of markup, and on the shipped run.

Nothing leaves the machine, no script of a name runs, nothing hangs over the side; screenshots go to ./screenshots.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rope_prof.dashboard import shell
from tests.dashboard.drawn_requests import write_requests
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.walks import SHOTS, dashboard, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = [room for room in shell.PAGES if room != "perfetto"]  # that UI has its own walks
READY = ".rp-card, .tl canvas, .js-plotly-plot, .rp-stop, .rp h3, [data-testid=stDataFrame], .rp-map:visible"
CASE = "28b-tp1-n973-bf16-image"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_gpu_run(tmp_path_factory.mktemp("walks") / "_x_ <b>hostile<b>", names=HOSTILE)
    write_requests(folder, names=HOSTILE)
    with dashboard(str(folder), "--folder", str(folder)) as found:
        yield found


@pytest.fixture(scope="module")
def shipped(repository: Path) -> Iterator[str]:
    if not (repository / "traces/h100-ernie28b/run.json").is_file():
        pytest.skip("the shipped run traces/h100-ernie28b is not there")
    with dashboard() as found:
        yield found


def goto(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector(READY, timeout=60_000)
    page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
    page.wait_for_timeout(300)


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 800)), ("dark", (1920, 1080))])
@pytest.mark.parametrize("name", ["hostile", "shipped"])
def test_every_page_draws_and_asks_nobody(
    name: str, scheme: str, size: tuple[int, int], chromium: Browser, request: pytest.FixtureRequest
) -> None:
    address: str = request.getfixturevalue(name)
    SHOTS.mkdir(exist_ok=True)
    width, height = size
    with opened(chromium, viewport={"width": width, "height": height}, color_scheme=scheme) as (page, wrong):
        for room in PAGES:
            asked = f"?trace={CASE_TRACE}" if (room, name) == ("any_trace", "hostile") else ""
            goto(page, f"{address}/{'' if room == 'overview' else room}{asked}")
            assert page.locator("[data-testid=stException]").count() == 0, room
            assert page.evaluate("document.documentElement.scrollWidth") <= width, room
            assert page.locator("main b b, main a[href*=evil], img[src*=evil]").count() == 0, room
            assert {"run=", "path=", "mode=", "call=", "zoom=", "base="} <= {
                f"{part.split('=')[0]}=" for part in page.url.split("?")[1].split("&")
            }
            page.screenshot(path=str(SHOTS / f"walk-{name}-{room}-{width}-{scheme}.png"))
        assert wrong == []


CASE_TRACE = f"_x_ <b>hostile<b>/fused.eager.cold.{CASE}.r0.trace.json.gz"


def test_the_waterfall_paints(shipped: str, chromium: Browser) -> None:
    with opened(chromium) as (page, wrong):
        goto(page, shipped)
        picture = page.locator("img.rp-picture").first
        assert picture.evaluate("(image) => image.complete && image.naturalWidth") > 1000
        drawn = picture.evaluate(
            """(image) => {
              const canvas = document.createElement('canvas');
              canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
              const brush = canvas.getContext('2d');
              brush.drawImage(image, 0, 0);
              const data = brush.getImageData(0, 0, canvas.width, canvas.height).data;
              const seen = new Set();
              for (let k = 0; k < data.length; k += 4) seen.add(`${data[k]},${data[k + 1]},${data[k + 2]}`);
              return [...seen];
            }"""
        )
        assert "230,159,0" in drawn, "the bubble's colour"
        assert "15,108,176" in drawn, "the kernel's colour"
        assert wrong == []


def test_a_picture_is_downloaded_when_it_is_asked_for(shipped: str, chromium: Browser) -> None:
    with opened(chromium, accept_downloads=True) as (page, wrong):
        goto(page, shipped)
        page.get_by_role("button", name="Download").click()
        for label, head in (("Picture, PNG", b"\x89PNG"), ("Picture, SVG", b"<svg"), ("Table, CSV", b"case,path")):
            with page.expect_download(timeout=30_000) as waited:
                page.get_by_role("button", name=label).click()
            found = waited.value
            assert found.suggested_filename.startswith(f"h100-ernie28b-{CASE}-overview.")
            assert Path(found.path()).read_bytes().startswith(head)
        assert wrong == []
