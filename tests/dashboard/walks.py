"""What the walks of the timeline share: the real command on a free port, and a watch over what the browser asks for."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect, Page

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "screenshots"
HOST = "127.0.0.1"
#: In every page: the timeline's answer has come to all that it asked for.
_SETTLED = """() => {
  const box = [...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.tl')).find(Boolean);
  return Boolean(box) && box.dataset.seq !== undefined && (box.dataset.asked ?? '0') === box.dataset.seq;
}"""


@contextmanager
def dashboard(*words: str) -> Iterator[str]:
    """`dashboard` with those words, as a user starts it; the address. What fails meanwhile is told what it said."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "rope_prof", "dashboard", *words, "--no-browser", "--port", str(port)]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://{HOST}:{port}"
        except BaseException as error:
            said.seek(0)
            error.add_note(said.read().decode(errors="replace"))
            raise
        finally:
            server.terminate()
            server.wait(timeout=20)


@contextmanager
def opened(chromium: Browser, **more: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page of its own, and what must stay empty: requests that leave loopback, dialogs, errors of scripts."""
    context = chromium.new_context(**({"viewport": {"width": 1280, "height": 800}} | more))
    page = context.new_page()
    wrong: list[str] = []

    def asked(url: str) -> None:
        if not url.startswith((f"http://{HOST}:", f"ws://{HOST}:", "data:", "blob:")):
            wrong.append(url)

    page.on("request", lambda request: asked(request.url))
    page.on("websocket", lambda found: asked(found.url))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    try:
        yield page, wrong
    finally:
        context.close()


def settle(page: Page) -> None:
    """Wait until the timeline is drawn and has its answer."""
    page.wait_for_selector(".tl canvas", timeout=60_000)
    page.wait_for_timeout(250)
    page.wait_for_function(_SETTLED, timeout=30_000)


def window_of(page: Page) -> tuple[float, float]:
    """The window that the timeline shows, in ns."""
    lo, hi = (page.locator(".tl").get_attribute("data-window") or "").split(",")
    return float(lo), float(hi)


def canvas_of(page: Page) -> FloatRect:
    """Where the timeline lies in the window, scrolled so that the mouse reaches it."""
    canvas = page.locator(".tl canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    return box


def point(page: Page, ns: float, lane: str, side: int = 0) -> tuple[float, float]:
    """Where in the window that instant lies on the first lane of that role."""
    box = canvas_of(page)
    place = page.evaluate(f"() => window.ropeProfTimeline.place({ns}, '{lane}', {side})")
    return box["x"] + place[0], box["y"] + place[1]
