"""Streamlit's own scripts, sheets and fonts, each in one answer.

An empty browser asks for seventy of them before it draws anything. Streamlit's handler looks at each and reads it piece
by piece in other threads, and every change of thread waits for the one that loads the pages: half of the time from
the first request to the last script. What is asked for in another way (a part, a head) is left to that handler.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final

from rope_prof.dashboard.gate import Application, Receive, Send
from starlette.responses import Response

#: The names hold a hash of the content.
_FOREVER: Final = {"cache-control": "public, immutable, max-age=31536000"}


class Assets:
    """The application `inner`, but for the files below `folder`, which answer under `/static/`."""

    def __init__(self, inner: Application, folder: Path) -> None:
        self._inner = inner
        self._files = {
            f"/static/{Path(here, name).relative_to(folder).as_posix()}": Path(here, name)
            for here, _, names in os.walk(folder)
            for name in names
        }

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        file = self._files.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if file is None or any(name == b"range" for name, _ in scope["headers"]):
            await self._inner(scope, receive, send)
            return
        kind = guess_type(file.name)[0] or "application/octet-stream"
        await Response(file.read_bytes(), media_type=kind, headers=_FOREVER)(scope, receive, send)
