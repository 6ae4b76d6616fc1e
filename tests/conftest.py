"""What tests of several folders share: the repository, the real traces beside it, one headless Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

#: What tests keep of traces is theirs, and goes with them.
_CACHE = tempfile.TemporaryDirectory(prefix="rope_prof-tests-")
os.environ["XDG_CACHE_HOME"] = _CACHE.name
#: The same draws everywhere, however slow the machine: what fails can be run again. New inputs are the fuzzer's.
settings.load_profile("ci")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell: what a test starts would too
    signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).resolve().parents[1]

#: No GPU, no first-run pages, no traffic of the browser's own.
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter",
)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def real_traces() -> Path:
    """The folder of real traces beside the repository; skips where it is absent."""
    folder = ROOT.parent / "shared/real-traces"
    if not folder.is_dir():
        pytest.skip(f"no real traces in '{folder}'")
    return folder


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The one headless Chromium of the whole session: Playwright's synchronous interface starts only once.

    Take a context of your own (`chromium.new_context(...)`) and close it. Skips where none is installed.
    """
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium on PATH; install it: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()
