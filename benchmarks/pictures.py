"""Make the pictures of the documents anew: dashboard, Perfetto and report of shipped runs, as a reader sees them.

    python benchmarks/pictures.py            # into docs/img

Needs Chromium on PATH and playwright (extra `test`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

RUN = ROOT / "traces" / "h100-ernie28b"
#: picture -> (name of the key, calls that it shows)
KEYS = {
    "perfetto-unfused": ("unfused.eager.cold.28b-tp1-n973-bf16-image.r0", 1),
    "perfetto-fused": ("fused.eager.cold.28b-tp1-n973-bf16-image.r0", 3),
}
LOADED = "window.app?.trace && !window.app.isLoadingTrace"
#: From the start of one range to that of another.
ZOOM = """async (names) => {
  const at = async (name) => {
    const sql = `select min(ts) as ts from slice where name like '${name}'`;
    return (await app.trace.engine.query(sql)).firstRow({ts: 0n}).ts;
  };
  app.trace.timeline.setViewportTime(await at(names[0]), await at(names[1]));
}"""
#: Streamlit's own word that a page's script has ended.
DONE = "[data-testid=stApp][data-test-script-state=notRunning]"
#: picture -> (path of the page, its height)
PAGES = {"overview": ("/?run=h200-ernie28b&case=28b-tp1-n973-bf16-image", 880), "timeline": ("/timeline", 730)}


def dashboard(browser: Browser, folder: Path) -> None:
    """The dashboard's pages, light, 1280 wide."""
    from benchmarks.dashboard import served

    with served(ROOT / "traces") as address:
        for name, (path, height) in PAGES.items():
            page = browser.new_page(viewport={"width": 1280, "height": height}, color_scheme="light")
            page.goto(address + path)
            page.locator(DONE).wait_for(timeout=60_000)
            page.wait_for_timeout(3000)  # the chart's own drawing has no mark to wait for
            keep(page.screenshot(), folder / f"{name}.png")
            page.close()


def perfetto(browser: Browser, folder: Path) -> None:
    """So many calls of one key, from the middle of its capture, as `open --key` shows them."""
    for name, (key, calls) in KEYS.items():
        with serving(key) as address:
            page = browser.new_page(viewport={"width": 1500, "height": 900})
            page.goto(f"{address}/")
            page.wait_for_function(LOADED, timeout=60_000)
            page.evaluate(ZOOM, [f"{key}%#1{{}}".replace("{}", str(n)) for n in (0, calls)])
            page.wait_for_timeout(3000)
            keep(page.screenshot(clip={"x": 0, "y": 44, "width": 1500, "height": 420}), folder / f"{name}.png")
            page.close()


@contextmanager
def serving(key: str) -> Iterator[str]:
    """The address of that key's trace in the offline Perfetto."""
    from rope_prof.commands.open import site_of
    from rope_prof.serve.server import Server

    with Server(site_of(RUN, key)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.address
        server.shutdown()


def report(folder: Path) -> None:
    """The report's own picture of one call before and after."""
    with tempfile.TemporaryDirectory() as scratch:
        words = ["export", str(RUN), "--to", "markdown", "-o", scratch]
        subprocess.run([sys.executable, "-m", "rope_prof", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        keep((Path(scratch) / "before-after.light.png").read_bytes(), folder / "report-before-after.png")


def keep(data: bytes, path: Path) -> None:
    """A PNG of 256 colours: a third of the size, and nobody sees it."""
    path.write_bytes(data)
    with Image.open(path) as image:
        image.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "docs" / "img")
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        dashboard(browser, folder)
        perfetto(browser, folder)
        browser.close()
    report(folder)


if __name__ == "__main__":
    main()
