"""The dashboard's processes, begun before the command has understood its words: each loads meanwhile what is dear.

The command's own start is a tenth of a second that the server needs for Streamlit and the one who reads ahead for
polars. A process learns what to do from a line of JSON on its standard input, and ends where the command ends without.
"""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Final

#: The process that answers, and the one that works out what the first page asks.
SERVER: Final = "rope_prof.dashboard.server"
AHEAD: Final = "rope_prof.dashboard.ahead"
begun: dict[str, subprocess.Popen[bytes]] = {}


def begin(words: Sequence[str]) -> None:
    """Begin both for a command line of the dashboard, unless it asks for help or Streamlit is not there."""
    if "--help" not in words and find_spec("streamlit") is not None:
        begun.update((module, started(module)) for module in (SERVER, AHEAD))
        atexit.register(end)


def process(module: str, words: Sequence[str]) -> subprocess.Popen[bytes]:
    """The process of that module, told those words. Where it has ended already, its own message says why."""
    child = begun.pop(module, None) or started(module)
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin as line:
        line.write(json.dumps(words).encode() + b"\n")
    return child


def words() -> list[str]:
    """In such a process: what it was told. SystemExit where the command ended without a word."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit
    found: list[str] = json.loads(line)
    return found


def started(module: str) -> subprocess.Popen[bytes]:
    """The server speaks to the user; of what is read ahead the page tells."""
    said = None if module == SERVER else subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=said, stderr=said)


def end() -> None:
    for child in begun.values():
        child.kill()
        child.wait()
