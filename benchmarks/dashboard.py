"""How long a viewer waits: first paint and every interaction of the dashboard, in headless Chromium.

Each first paint is of a fresh browser with an empty cache, from the first request to the first frame that shows the
page's own content; its answer, to the frame that answers the page's question. The server runs already, and `cold
server` says what its very first page costs, from the moment its port answers and from the command (the browser runs
already). A zoom is timed from the wheel's event to the frame with the new window's data. Medians of `--rounds`, with
the slowest; the machine is told.

    python benchmarks/dashboard.py                     # the shipped run, and a generated trace of a million events
    python benchmarks/dashboard.py --trace FILE --json # a trace of yours; machine-readable
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOST = "127.0.0.1"
FIRST = {"overview": ".rp-card", "timeline": ".tl canvas", "compare": ".rp-map", "any_trace": ".tl canvas"}
#: What answers the question of a page: of a stranger's trace the table of what to fix.
ANSWER = {
    "overview": ".rp-hero h1",
    "timeline": ".rp-title p",
    "compare": ".rp-title p",
    "any_trace": ".rp .wraps",
}
#: Put into every page before its own scripts: a promise of the timeline's next answer that is drawn.
_WATCH = """
window.drawn = (seen) => new Promise((done, failed) => {
  setTimeout(() => failed(new Error('no answer in 20 s')), 20000);
  const look = () => {
    const box = [...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.tl')).find(Boolean);
    const ready = box && Number(box.dataset.seq) > seen && box.dataset.seq === box.dataset.asked;
    if (ready) requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
    else setTimeout(look, 4);
  };
  look();
});
window.seen = () => {
  const box = [...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.tl')).find(Boolean);
  return Number(box?.dataset.seq ?? 0);
};
"""


@dataclass(frozen=True, slots=True)
class Timed:
    """One figure: median and slowest of `rounds` in seconds, and the limit that it is held to."""

    what: str
    median_s: float
    slowest_s: float
    rounds: int
    limit_s: float | None

    @property
    def kept(self) -> bool:
        return self.limit_s is None or self.median_s <= self.limit_s


def timed(what: str, values: list[float], limit: float | None = None) -> Timed:
    return Timed(what, statistics.median(values), max(values), len(values), limit)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The real command on a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    words = [
        sys.executable,
        "-m",
        "rope_prof",
        "dashboard",
        "--no-browser",
        "--port",
        str(port),
        "--folder",
        str(folder),
    ]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://{HOST}:{port}"
        finally:
            server.terminate()
            server.wait(timeout=20)


def first_paint(browser: Browser, address: str, selector: str) -> float:
    """Seconds to the page's own content in a context of its own: nothing is cached."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.wait_for_selector(selector, timeout=120_000)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    spent = time.perf_counter() - began
    context.close()
    return spent


def interaction(page: Page, act: Callable[[], None]) -> float:
    """Seconds from an act of the user to the frame that shows its answer."""
    seen = page.evaluate("() => window.seen()")
    began = time.perf_counter()
    act()
    page.evaluate(f"() => window.drawn({seen})")
    spent = time.perf_counter() - began
    page.wait_for_timeout(150)
    return spent


def spot(page: Page, ns: float, lane: str, side: int = 0) -> tuple[float, float]:
    """Where that instant lies on the first lane of that role, scrolled to the middle of the window."""
    x, y = page.evaluate(f"() => window.ropeProfTimeline.place({ns}, '{lane}', {side})")
    canvas = page.locator(".tl canvas")
    for scroll in (True, False):
        box = canvas.bounding_box()
        assert box is not None
        if scroll:
            page.locator("[data-testid=stMain]").evaluate(f"one => one.scrollBy(0, {box['y'] + y - 400})")
    return box["x"] + x, box["y"] + y


def timeline_page(browser: Browser, address: str) -> Page:
    """A page with its timeline drawn, the pointer over it."""
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    page.add_init_script(_WATCH)
    page.goto(address)
    page.wait_for_selector(".tl canvas", timeout=120_000)
    page.wait_for_timeout(1500)
    page.locator(".tl canvas").scroll_into_view_if_needed()
    box = page.locator(".tl canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 120)
    return page


def zooms(page: Page, rounds: int) -> list[float]:
    """In by a third of the window each, down to single kernels, and out again."""
    page.locator(".tl canvas").focus()
    steps = [-300] * (rounds // 2) + [300] * (rounds - rounds // 2)
    return [interaction(page, lambda step=step: page.mouse.wheel(0, step)) for step in steps]  # type: ignore[misc]


@contextmanager
def nothing() -> Iterator[str]:
    """A page of one line under plain `streamlit run`: what Streamlit itself takes."""
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        page = Path(folder) / "nothing.py"
        page.write_text("import streamlit as st\nst.html('<p class=\"rp-card\">nothing</p>')\n")
        words = ["--server.headless=true", f"--server.port={port}", "--browser.gatherUsageStats=false"]
        command = [sys.executable, "-m", "streamlit", "run", str(page), *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                time.sleep(5)
                yield f"http://{HOST}:{port}"
            finally:
                server.terminate()
                server.wait(timeout=20)


def cold(browser: Browser, folder: Path, rounds: int) -> Iterator[Timed]:
    """The very first page of a server that has just begun."""
    ports, paints = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        with served(folder) as address:
            ports.append(time.perf_counter() - began)
            paints.append(first_paint(browser, address, FIRST["overview"]))
    yield timed("cold server, overview: first paint", paints)
    whole = [port + paint for port, paint in zip(ports, paints, strict=True)]
    yield timed("cold server, overview: first paint, from the command", whole)


def shipped(browser: Browser, address: str, rounds: int) -> Iterator[Timed]:
    """The run that opens where none is named."""
    for room in ("overview", "timeline", "compare"):
        path = f"{address}/{'' if room == 'overview' else room}"
        first_paint(browser, path, FIRST[room])
        found = [first_paint(browser, path, FIRST[room]) for _ in range(rounds)]
        yield timed(f"shipped run, {room}: first paint, empty browser cache", found, 2.0)
        found = [first_paint(browser, path, ANSWER[room]) for _ in range(rounds)]
        yield timed(f"shipped run, {room}: its answer, empty browser cache", found, 2.0)
    page = timeline_page(browser, f"{address}/timeline")
    yield timed("shipped run, timeline: zoom", zooms(page, 2 * rounds), 0.3)
    page.keyboard.press("f")
    page.wait_for_timeout(600)
    yield timed(
        "shipped run, timeline: click a span",
        [interaction(page, lambda k=k: page.mouse.click(*spot(page, 500, "kernel", k % 3))) for k in range(rounds)],  # type: ignore[misc]
        0.5,
    )
    yield timed(
        "shipped run, timeline: neighbour",
        [interaction(page, lambda: page.keyboard.press(".")) for _ in range(rounds)],
        0.5,
    )
    boxes = page.locator('.tl [data-do="overlay"]')
    yield timed(
        "shipped run, timeline: all calls on, off",
        [interaction(page, lambda: boxes.click()) for _ in range(rounds)],
        0.5,
    )
    page.context.close()


def stranger(browser: Browser, address: str, name: str, rounds: int) -> Iterator[Timed]:
    """A large trace by its path."""
    path = f"{address}/any_trace?trace={name}"
    yield timed(
        f"{name}: first paint, parsed before, new server", [first_paint(browser, path, FIRST["any_trace"])], 5.0
    )
    found = [first_paint(browser, path, FIRST["any_trace"]) for _ in range(rounds)]
    yield timed(f"{name}: first paint, held by the server", found, 5.0)
    yield timed(f"{name}: what to fix, first asked for", [first_paint(browser, path, ANSWER["any_trace"])])
    found = [first_paint(browser, path, ANSWER["any_trace"]) for _ in range(rounds)]
    yield timed(f"{name}: what to fix, held by the server", found, 5.0)
    page = timeline_page(browser, path)
    lo, hi = (float(part) for part in (page.locator(".tl").get_attribute("data-window") or "").split(","))

    def at(k: int) -> float:
        return lo + (0.3 + 0.02 * k) * (hi - lo)

    yield timed(f"{name}: zoom", zooms(page, 4 * rounds), 0.3)
    page.get_by_label("Group", exact=True).select_option("class")
    page.wait_for_timeout(1500)
    yield timed(f"{name}: zoom, kernels by class", zooms(page, 4 * rounds), 0.3)
    page.locator(".tl-find").fill("kernel")
    page.wait_for_timeout(1500)
    steps = [interaction(page, lambda: page.locator(".tl-find").press("Enter")) for _ in range(rounds)]
    yield timed(f"{name}: next hit of a search", steps, 0.3)
    page.locator(".tl-find").press("Escape")
    page.wait_for_timeout(1500)
    page.keyboard.press("f")
    page.wait_for_timeout(1500)
    yield timed(
        f"{name}: pan by a key", [interaction(page, lambda: page.keyboard.press("d")) for _ in range(rounds)], 0.3
    )
    yield timed(
        f"{name}: click a span",
        [interaction(page, lambda k=k: page.mouse.click(*spot(page, at(k), "kernel"))) for k in range(rounds)],  # type: ignore[misc]
        0.5,
    )
    page.context.close()


def machine() -> str:
    """Processor, cores, how busy they are with other work, and versions, in one line."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        lines = (line for line in facts.read_text().splitlines() if line.startswith("model name"))
        model = next((line.split(":", 1)[1].strip() for line in lines), model)
    import streamlit

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{model}, {cores} cores{load}; Python {platform.python_version()}, Streamlit {streamlit.__version__}"


def measure(trace: Path, rounds: int) -> tuple[list[Timed], str]:
    from playwright.sync_api import sync_playwright

    from rope_prof.io.trace.read import read_trace

    where = machine()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    read_trace(trace, cache=True)  # parsed once, and kept where that takes long
    found: list[Timed] = []
    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        with nothing() as address:
            first_paint(browser, address, ".rp-card")
            bare = [first_paint(browser, address, ".rp-card") for _ in range(rounds)]
            found.append(timed("an empty page of Streamlit: first paint, empty browser cache", bare))
        found += cold(browser, trace.parent, rounds)
        with served(trace.parent) as address:
            found += shipped(browser, address, rounds)
        with served(trace.parent) as address:
            first_paint(browser, address, FIRST["overview"])
            found += stranger(browser, address, f"{trace.parent.name}/{trace.name}", rounds)
        where = f"{where}, headless Chromium {browser.version}"
        browser.close()
    return found, where


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trace", type=Path, help="the large trace; one is generated where none is named")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the generated trace")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        trace = args.trace
        if trace is None:
            from benchmarks.generate import write_trace

            trace = Path(folder) / "generated.json"
            write_trace(trace, args.events)
        found, where = measure(trace.resolve(), args.rounds)
    if args.json:
        print(json.dumps({"machine": where, "figures": [asdict(one) | {"kept": one.kept} for one in found]}, indent=1))
    else:
        print(where)
        for one in found:
            limit = "" if one.limit_s is None else f"  limit {one.limit_s:g} s{'' if one.kept else '  MISSED'}"
            print(f"{one.what:<64} {one.median_s:6.2f} s  slowest {one.slowest_s:5.2f} s  n {one.rounds}{limit}")
    return 0 if all(one.kept for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
