"""A thread that no event loop runs in: Playwright keeps one running in that of the tests, once a browser is up."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_own_thread(work: Callable[[], T]) -> T:
    """What `work()` gives, or raises, in a fresh thread: `asyncio.run` works there."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(work).result()
