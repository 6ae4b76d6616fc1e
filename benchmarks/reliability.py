"""Storage laws, on the real command line: kills and faults at the writes of a recording, and what is left after each.

    python benchmarks/reliability.py --faults 200 --out reliability.json

Each try records a small run on the CPU in a process of its own, in which the N-th write into the run folder (an open
for writing, a rename) meets a fault: SIGKILL, a full disk, a read-only file system, a denied permission, an
input/output error. Afterwards the folder must read, or hold no run yet; every key that was finished must have its
samples and its trace; and one try in `--resume-every` is gone on with by `record --resume` and must end whole, with no
sample lost.
"""

from __future__ import annotations

import argparse
import errno
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from rope_prof.errors import RunError
from rope_prof.io.run.folder import is_run, read_run

KINDS: Final = ("kill", "ENOSPC", "EROFS", "EACCES", "EIO")
#: Runs `main` of the command line with a fault at the N-th write below the folder.
DRIVER: Final = """
import errno, os, signal, sys
number, kind, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
count = 0
def hook(event, arguments):
    global count
    if event == "open":
        path, _, flags = arguments
        written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    elif event == "os.rename":
        path, written = arguments[1], True
    else:
        return
    if not written or not str(path).startswith(folder):
        return
    count += 1
    if count == number:
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, kind), os.strerror(getattr(errno, kind)))
sys.addaudithook(hook)
from rope_prof.cli import main
code = main(sys.argv[4:])
print("writes", count, file=sys.stderr)
sys.exit(code)
"""
RECORD: Final = (
    "record",
    "--device",
    "cpu",
    "--tokens",
    "1,2",
    "--mode",
    "eager",
    "--path",
    "unfused",
    "--rounds",
    "2",
)


def recorded(folder: Path, number: int, kind: str, more: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """The command line with a fault at write `number` (0: none)."""
    words = [sys.executable, "-c", DRIVER, str(number), kind, str(folder), *more, "-o", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)


def broken_law(folder: Path) -> str | None:
    """Which law the folder breaks; None where it keeps all."""
    if not is_run(folder):
        return None  # killed before the plan was written: nothing was measured
    try:
        found = read_run(folder)
    except RunError as error:
        return f"does not read: {error}"
    if found.dropped_rows:
        return f"{found.dropped_rows} rows are ambiguous"
    for facts in found.run.keys:
        if facts.status == "measured":
            rows = found.samples.filter(found.samples["key"] == facts.key.name)
            if not rows.height:
                return f"{facts.key.name} is measured and has no sample"
            if found.trace_path(facts.key.name) is None:
                return f"{facts.key.name} is measured and has lost its trace"
    return None


def resumed_whole(folder: Path) -> str | None:
    """What is wrong after `record --resume`; None where the run is whole and no sample is gone."""
    before = {tuple(row[:3]): row for row in read_run(folder).samples.iter_rows()}
    done = recorded(folder, 0, "kill", ("record", "--resume"))
    if done.returncode:
        return f"resume ends with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"
    after = read_run(folder)
    held = {tuple(row[:3]): row for row in after.samples.iter_rows()}
    if any(held.get(name) != row for name, row in before.items()):
        return "samples are gone after the resume"
    return None if after.run.complete else "not complete after the resume"


def one(number: int, kind: str, *, resume: bool) -> dict[str, object]:
    """One try."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-laws-") as scratch:
        folder = Path(scratch) / "run"
        done = recorded(folder, number, kind, RECORD)
        told = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""
        wrong = broken_law(folder)
        if wrong is None and kind != "kill" and "Traceback" in done.stderr:
            wrong = f"a traceback for {kind}: {told}"
        gone_on = resume and wrong is None and is_run(folder)
        if gone_on:
            wrong = resumed_whole(folder)
        left = [path.name for path in folder.rglob("*.part")] if folder.exists() else []
        shutil.rmtree(folder, ignore_errors=True)
        return {
            "write": number,
            "kind": kind,
            "code": done.returncode,
            "resumed": gone_on,
            "parts": len(left),
            "broken": wrong,
        }


def writes() -> int:
    """How many writes a recording without a fault makes."""
    with tempfile.TemporaryDirectory(prefix="rope_prof-laws-") as scratch:
        done = recorded(Path(scratch) / "run", 0, "kill", RECORD)
        assert done.returncode == 0, done.stderr
        return int(done.stderr.strip().rpartition("writes ")[2])


def main() -> int:
    """Try, print a line each, write the counts; 1 where a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--resume-every", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    most, chance = writes(), random.Random(asked.seed)
    print(f"a recording makes {most} writes", flush=True)
    tries = []
    for number in range(asked.faults):
        kind = "kill" if number % 2 == 0 else KINDS[1 + number // 2 % (len(KINDS) - 1)]
        tries.append(one(chance.randint(1, most), kind, resume=number % asked.resume_every == 0))
        print(json.dumps(tries[-1]), flush=True)
    broken = [one for one in tries if one["broken"]]
    counts = Counter(str(one["kind"]) for one in tries)
    resumed = sum(bool(one["resumed"]) for one in tries)
    print(f"{len(tries)} faults ({dict(counts)}), {resumed} resumed, {len(broken)} broke a law")
    if asked.out is not None:
        asked.out.write_text(json.dumps({"writes": most, "tries": tries}, indent=1))
    return 1 if broken else 0


assert all(kind == "kill" or hasattr(errno, kind) for kind in KINDS)

if __name__ == "__main__":
    sys.exit(main())
