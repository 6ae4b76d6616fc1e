"""Streamlit's files in one answer each: byte for byte what its own handler gives."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import streamlit
from rope_prof.dashboard.assets import Assets
from streamlit.web.server.starlette.starlette_static_routes import create_streamlit_static_handler

from tests.own_thread import in_own_thread

STATIC = Path(streamlit.__file__).parent / "static"
SCRIPT = next((STATIC / "static/js").glob("index.*.js")).name
FONT = next((STATIC / "static/media").glob("*.woff2")).name
Headers = tuple[tuple[bytes, bytes], ...]


def asked(app: Any, path: str, method: str = "GET", headers: Headers = ()) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()  # the browser stays
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": list(headers)}
    in_own_thread(lambda: asyncio.run(app(scope, receive, send)))
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, b"".join(one.get("body", b"") for one in sent)


@pytest.fixture
def streamlits() -> Any:
    return create_streamlit_static_handler(str(STATIC), None)


@pytest.mark.parametrize("path", [f"/static/js/{SCRIPT}", f"/static/media/{FONT}"])
def test_a_file_is_what_streamlits_handler_gives(streamlits: Any, path: str) -> None:
    async def nobody(*_: object) -> None:
        raise AssertionError("passed on")

    theirs, ours = asked(streamlits, path), asked(Assets(nobody, STATIC / "static"), path)
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    assert ours[1].items() <= theirs[1].items()


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/", "GET", ()),
        ("/static/js/none.js", "GET", ()),
        ("/static/js/../../index.html", "GET", ()),
        ("/static//etc/passwd", "GET", ()),
        (f"/static/js/{SCRIPT}", "HEAD", ()),
        (f"/static/js/{SCRIPT}", "GET", ((b"range", b"bytes=0-9"),)),
    ],
)
def test_all_else_is_passed_on(path: str, method: str, headers: Headers) -> None:
    async def passed(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"passed on"})

    assert asked(Assets(passed, STATIC / "static"), path, method, headers) == (299, {}, b"passed on")
