"""A proxy that refuses everything and remembers what asked: what it sees has left the machine."""

from __future__ import annotations

import http.server


class Outside(http.server.ThreadingHTTPServer):
    """A proxy that lets nothing through and keeps the address of every request that reached it."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[str] = []
        super().__init__(("127.0.0.1", 0), _Refuse)


class _Refuse(http.server.BaseHTTPRequestHandler):
    server: Outside

    def _refuse(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        self.send_error(502)

    do_GET = do_POST = do_HEAD = do_CONNECT = _refuse  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass
