"""How long `--help` and `--version` take, beside what they must import in any case: rich and typer.

Each command is a process of its own; all take turns round by round, so that a busy machine slows all alike, and the
ratio of the medians is judged. `--help` may take `LIMIT` times as long as `python -c "import rich, typer"`.

    python benchmarks/startup.py --rounds 15     # exits 1 over the limit
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 1.5
BARE = "rich, typer"
COMMANDS = {
    BARE: ("-c", "import rich, typer"),
    "--help": ("-m", "rope_prof", "--help"),
    "--version": ("-m", "rope_prof", "--version"),
    "show --help": ("-m", "rope_prof", "show", "--help"),
}


def seconds(arguments: tuple[str, ...]) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Print the medians; 1 where `--help` is over the limit."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=15, help="samples of each command, default 15")
    rounds = words.parse_args().rounds
    for arguments in COMMANDS.values():
        seconds(arguments)  # files into the page cache, bytecode onto the disk
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    bare = statistics.median(times[BARE])
    for name, found in times.items():
        print(f"{name:<12} {statistics.median(found) * 1e3:6.0f} ms  {statistics.median(found) / bare:5.2f}x")
    return int(statistics.median(times["--help"]) > LIMIT * bare)


if __name__ == "__main__":
    sys.exit(main())
