"""The dashboard answers under its own names and to its own pages alone: every route, and the socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rope_prof.dashboard.gate import FrontDoor

from rope_prof.serve.hosts import hosts
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.walks import dashboard
from tests.own_thread import in_own_thread

FOREIGN = "rebound.example"
#: Every area that Streamlit serves, and one that it does not.
ROUTES = (
    ("GET", "/"),
    ("GET", "/index.html"),
    ("GET", "/static/x.js"),
    ("GET", "/_stcore/health"),
    ("GET", "/_stcore/script-health-check"),
    ("GET", "/_stcore/host-config"),
    ("GET", "/_stcore/metrics"),
    ("GET", "/media/x.png"),
    ("GET", "/component/x/y.html"),
    ("PUT", "/_stcore/upload_file/session/file"),
    ("DELETE", "/_stcore/upload_file/session/file"),
    ("OPTIONS", "/_stcore/upload_file/session/file"),
    ("POST", "/_stcore/agent/interact"),
    ("GET", "/no-such-route"),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with dashboard(str(write_gpu_run(tmp_path_factory.mktemp("gate") / "run", tokens=(64,)))) as found:
        yield found


def asked(address: str, method: str, path: str, **headers: str) -> tuple[int, dict[str, str]]:
    parts = urlsplit(address)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def upgraded(address: str, host: str, origin: str | None) -> int:
    """The status of a websocket's handshake under that name, from that page."""
    parts = urlsplit(address)
    lines = ["GET /_stcore/stream HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="]
    lines += ["Sec-WebSocket-Protocol: streamlit"] + ([] if origin is None else [f"Origin: {origin}"])
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as plain:
        plain.sendall("\r\n".join([*lines, "", ""]).encode())
        return int(plain.recv(4096).split(b" ")[1])


def test_no_route_answers_a_foreign_name_and_the_socket_neither(address: str) -> None:
    own = urlsplit(address).netloc
    for method, path in ROUTES:
        for headers in ({"Host": FOREIGN}, {"Host": own, "Origin": f"http://{FOREIGN}"}, {"Host": f"{FOREIGN}:80"}):
            assert asked(address, method, path, **headers)[0] == 403, (method, path, headers)
        assert method != "GET" or asked(address, method, path, Host=own)[0] != 403
    assert upgraded(address, own, address) == 101
    assert upgraded(address, own, None) == 101
    for host, origin in (
        (FOREIGN, f"http://{FOREIGN}"),
        (FOREIGN, None),
        (own, f"http://{FOREIGN}"),
        (own, "http://127.0.0.1:1"),
        (own, "null"),
    ):
        assert upgraded(address, host, origin) == 403, (host, origin)


def test_every_answer_says_who_may_frame_it(address: str) -> None:
    status, headers = asked(address, "GET", "/")
    assert status == 200
    assert headers["x-frame-options"] == "SAMEORIGIN"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def passed(scope: dict[str, Any], allow: list[str]) -> tuple[bool, list[dict[str, Any]]]:
    """(whether the application behind the gate was asked, what was sent)."""
    reached, sent = [], []

    async def inner(*_: Any) -> None:
        reached.append(True)

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {}

    async def asked_once() -> None:
        await FrontDoor(inner, hosts(allow))(scope, receive, send)

    in_own_thread(lambda: asyncio.run(asked_once()))
    return bool(reached), sent


def test_the_servers_own_start_passes_and_a_name_that_the_user_allowed() -> None:
    assert passed({"type": "lifespan"}, [])[0]
    scope = {"type": "http", "headers": [(b"Host", b"box.example:80")]}
    assert passed(scope, ["box.example"])[0]
    reached, sent = passed(scope, [])
    assert not reached
    assert [message.get("status") for message in sent] == [403, None]
    reached, sent = passed({"type": "websocket", "headers": []}, [])
    assert not reached
    assert sent[0]["type"] == "websocket.close"


def test_the_names_that_are_allowed_reach_the_server(tmp_path: Path) -> None:
    from rope_prof.dashboard.server import allowed_names

    from rope_prof.commands.dashboard import command

    words = command(8599, tmp_path, [tmp_path], ["box.example", "b.example"])
    assert allowed_names(words) == ["box.example", "b.example"]
    assert allowed_names(command(8599, tmp_path)) == []
