"""One of our commands, run for an agent in a process of its own: its answer, its progress, its end where nobody waits.

What is told to the agent is the command's document and exit code. A candidate kernel runs below that process and may
print what it likes: no figure is ever taken from anything but the JSON of a command that runs no candidate.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream

from rope_prof.errors import RopeProfError, told_error

#: How often progress is told.
TICK_S = 0.5
#: How long a process may take to end by itself once it was asked to.
PATIENCE_S = 10.0
#: So much is kept: a command's document is far below.
LARGEST = 256 << 20


class RefusedError(RopeProfError):
    """A command ended with an error; `exit_code` and `code` are its."""

    code = "refused"

    def __init__(self, message: str, exit_code: int, code: str = code) -> None:
        super().__init__(message)
        self.exit_code, self.code = exit_code, code


@dataclass(frozen=True, slots=True)
class Answer:
    """How a command ended, and its document as it was printed."""

    exit_code: int
    printed: bytes

    @property
    def error(self) -> str | None:
        """The sentence that ended it, None where it has none."""
        return told_error(self.printed)

    def document(self) -> dict[str, Any]:
        """The JSON that it printed. Errors: RefusedError where it printed none, or nothing but an error."""
        try:
            found = json.loads(self.printed)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise RefusedError(f"the command ended with code {self.exit_code}", self.exit_code)
        if found.keys() == {"schema_version", "error"}:
            raise RefusedError(found["error"]["message"], self.exit_code, found["error"]["code"])
        return found


async def ask(words: Sequence[str], cwd: Path, tick: Callable[[float], Awaitable[None]] | None = None) -> Answer:
    """Run `rope_prof WORDS` in `cwd`; `tick` is awaited with the seconds since its start until it ends.

    Cancelled, the process and all below it are interrupted, and killed where they do not end.
    """
    command = [sys.executable, "-m", "rope_prof", *words]
    nothing = subprocess.DEVNULL
    process = await anyio.open_process(command, cwd=cwd, stdin=nothing, stderr=nothing, start_new_session=True)
    assert process.stdout is not None

    async def tell() -> None:
        began = anyio.current_time()
        while tick is not None:
            await anyio.sleep(TICK_S)
            await tick(anyio.current_time() - began)

    try:
        async with anyio.create_task_group() as ticking:
            ticking.start_soon(tell)
            printed = await _all(process.stdout)
            code = await process.wait()
            ticking.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    return Answer(code, printed)


async def _all(stream: ByteReceiveStream) -> bytes:
    parts, size = [], 0
    async for part in stream:
        size += len(part)
        if size <= LARGEST:
            parts.append(part)
    return b"".join(parts)


async def _end(process: anyio.abc.Process) -> None:
    if process.returncode is None:
        for number in (signal.SIGINT, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with anyio.move_on_after(PATIENCE_S):
                await process.wait()
                break
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what it may have left behind
    await process.aclose()
