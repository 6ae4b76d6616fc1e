"""What stands in front of every route of the dashboard, sockets included: `serve.hosts`' rule and a page's bounds.

Plain ASGI around the whole application, so that a route which a later Streamlit adds is behind it too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from rope_prof.serve.hosts import Hosts

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: No page of another server may hold ours in a frame, guess what a file is, or learn where a link was followed from.
_HEADERS: Final = (
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
)


class FrontDoor:
    """The application `inner` for those whom `hosts` allows; others get 403, and no socket."""

    def __init__(self, inner: Application, hosts: Hosts) -> None:
        self._inner, self._hosts = inner, hosts

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or one socket."""
        if scope["type"] not in ("http", "websocket"):  # lifespan: the server's own start and end
            await self._inner(scope, receive, send)
            return
        headers: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in scope["headers"]:
            headers[name.decode("latin-1").lower()].append(value.decode("latin-1"))
        refusal = self._hosts.refusal(headers)
        if refusal is None:
            await self._inner(scope, receive, _bounded(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refusal})
        else:
            kind = (b"content-type", b"text/plain; charset=utf-8")
            await send({"type": "http.response.start", "status": 403, "headers": [kind, *_HEADERS]})
            await send({"type": "http.response.body", "body": refusal.encode() + b"\n"})


def _bounded(send: Send) -> Send:
    """`send`, with the bounds of a page on every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            held = {name.lower() for name, _ in message.get("headers", ())}
            message["headers"] = [*message.get("headers", ()), *(one for one in _HEADERS if one[0] not in held)]
        await send(message)

    return sent
