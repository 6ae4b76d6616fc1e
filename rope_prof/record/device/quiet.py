"""Keeps the profiler library's own lines off standard error."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_profiler() -> Iterator[None]:
    """Keep the profiler library's own lines (`USDT:...`) off standard error; all else written there comes after.

    So is torch's warning that a cycle's events are gone with the next: none of ours has a second.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Profiler clears events")
                yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not line.startswith(b"USDT:"):
                    os.write(2, line)
