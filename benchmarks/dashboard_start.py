"""From the `dashboard` command to its first answer, beside another build's and beside an empty page of Streamlit.

    git worktree add --detach ../before cd54db3
    python benchmarks/dashboard_start.py ../before --rounds 5

Each sample is a server of its own, from its command to the first frame of a fresh headless Chromium (which runs
already) that shows the answer; they take turns: an empty page, BASE, this tree with nothing kept (a cache folder that
holds compiled code alone), this tree with the figures that the one before kept. Wall seconds, and processor seconds of
all of the server's processes until it is told to end. Every build has its bytecode. The load is told with each round.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.dashboard import ANSWER, HOST, first_paint, machine  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser

EMPTY, BEFORE, FIRST, AGAIN = "an empty page of Streamlit", "before", "now, nothing kept", "now, figures kept"
_NOTHING = "import streamlit as st\nst.html('<p class=\"rp-hero\"><h1>nothing</h1></p>')\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def spent() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sample(browser: Browser, words: list[str], tree: Path, cache: Path, selector: str) -> tuple[float, float]:
    """(wall seconds to the answer, processor seconds) of one server."""
    port = free_port()
    before, began = spent(), time.perf_counter()
    command = [word.format(port=port) for word in words]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=tree, env=environment(tree, cache), **quiet) as server:  # type: ignore[call-overload]
        try:
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex((HOST, port)) == 0:
                        break
                if server.poll() is not None:
                    raise SystemExit(f"{command} ended with code {server.returncode}")
                time.sleep(0.02)
            listening = time.perf_counter() - began
            wall = listening + first_paint(browser, f"http://{HOST}:{port}", selector)
        finally:
            server.terminate()
            server.wait(timeout=20)
    return wall, spent() - before


def environment(tree: Path, cache: Path) -> Mapping[str, str]:
    """This one, with that tree's package, a place for its bytecode and that cache folder."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = Path(tempfile.gettempdir()) / "rope_prof-bytecode" / str(tree).strip("/").replace("/", "-")
    return kept | {"PYTHONPATH": str(tree), "PYTHONPYCACHEPREFIX": str(code), "XDG_CACHE_HOME": str(cache)}


def measure(base: Path, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Name -> the samples; the first round, which compiles what is not compiled, is not counted."""
    from playwright.sync_api import sync_playwright

    ours = [sys.executable, "-m", "rope_prof", "dashboard", "--no-browser", "--port", "{port}"]
    bare = ["--server.headless=true", "--server.port={port}", "--browser.gatherUsageStats=false"]
    found: dict[str, list[tuple[float, float]]] = {EMPTY: [], BEFORE: [], FIRST: [], AGAIN: []}
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as driver, tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        place, cache = Path(folder), Path(folder) / "cache"
        (place / "nothing.py").write_text(_NOTHING)
        empty = [sys.executable, "-m", "streamlit", "run", str(place / "nothing.py"), *bare]
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for number in range(rounds + 1):
            shutil.rmtree(cache / "rope_prof/answers", ignore_errors=True)
            turns = {EMPTY: (empty, ROOT), BEFORE: (ours, base), FIRST: (ours, ROOT), AGAIN: (ours, ROOT)}
            now = {
                name: sample(browser, words, tree, cache, ANSWER["overview"] if words is ours else "h1")
                for name, (words, tree) in turns.items()
            }
            said = "  ".join(f"{name} {wall:.2f} ({cpu:.2f})" for name, (wall, cpu) in now.items())
            print(f"round {number}, load {os.getloadavg()[0]:.1f}: {said}", file=sys.stderr)
            if number:
                for name, value in now.items():
                    found[name].append(value)
        browser.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("base", type=Path, help="a tree of another build")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    found = measure(args.base.resolve(), args.rounds)
    print(machine())
    print("| from the command to the first answer | seconds | least, most | processor seconds |\n|---|---:|---:|---:|")
    for name, samples in found.items():
        wall, cpu = ([one[at] for one in samples] for at in (0, 1))
        spread = f"{min(wall):.2f}, {max(wall):.2f}"
        print(f"| {name} | {statistics.median(wall):.2f} | {spread} | {statistics.median(cpu):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
