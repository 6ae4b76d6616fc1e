"""Requests to a server that somebody runs: one reply, or one sentence why there is none. Knows no engine.

A redirect is not followed, so that a key goes to nobody else; a server of this machine is asked past any proxy.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, IncompleteRead
from typing import Any, Final
from urllib.parse import urlsplit

from rope_prof.errors import RopeProfError, UsageError

#: No reply that is read is longer.
_MOST_BYTES: Final = 1 << 20
_HERE: Final = ("localhost", "::1")


class ServerError(RopeProfError):
    """A server cannot be reached, refuses, or keeps its files where this machine cannot read them."""

    code = "server"

    def __init__(self, message: str, *, sent: bool = False) -> None:
        """`sent`: the request was, and was not answered: whether it took effect is not known."""
        super().__init__(message)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: the status of HTTP and the text."""

    status: int
    text: str


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`url` without a path; `key` is sent as a bearer token."""

    url: str
    key: str | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """The name or address in the URL."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_here(self) -> bool:
        """Whether it is this machine by its name or a loopback address."""
        return self.host in (*_HERE, socket.gethostname()) or self.host.startswith("127.")

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, timeout_s: float) -> Reply:
        """The reply to one request, whatever its status.

        Errors: ServerError where there is none.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method)
        request.add_header("Content-Type", "application/json")
        if self.key is not None:
            request.add_header("Authorization", f"Bearer {self.key}")
        handlers = (_NoRedirect(), *((urllib.request.ProxyHandler({}),) if self.is_here else ()))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=timeout_s) as found:
                return Reply(found.status, _text(found))
        except urllib.error.HTTPError as error:
            with error, suppress(OSError, HTTPException):
                return Reply(error.code, _text(error))
            return Reply(error.code, "")  # the status tells, however its text ends
        except (OSError, HTTPException, UnicodeError) as error:
            why = getattr(error, "reason", error) if isinstance(error, urllib.error.URLError) else error
            if isinstance(why, TimeoutError):
                raise ServerError(f"{self.url}{path} gave no answer in {timeout_s:g} s", sent=True) from error
            if isinstance(error, (ConnectionError, IncompleteRead)):  # what fails before it is sent is a URLError
                raise ServerError(f"{self.url}{path} gave no whole answer ({why})", sent=True) from error
            raise ServerError(f"cannot reach {self.url} ({why}); is a server running there?") from error


def server(url: str, key: str | None = None) -> RunningServer:
    """The server at `url`, with or without `/v1` behind it. Errors: UsageError for what is no such address."""
    expected = "expected the server's address, as http://127.0.0.1:30000"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"--server {url!r} ({error}); {expected}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise UsageError(f"--server {url!r}; {expected}")
    if parts.username or parts.password:
        raise UsageError(f"--server names a user or a password; {expected}, and a key by --key-env")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return RunningServer(f"{parts.scheme}://{parts.netloc}{path}", key)


def _text(found: Any) -> str:
    return bytes(found.read(_MOST_BYTES)).decode("utf-8", errors="replace")
