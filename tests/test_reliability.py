"""The laws of storage on the real command line: a sample of what `benchmarks/reliability.py` tries.

`ROPE_PROF_FAULTS=260` tries that many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_kill_and_no_fault_breaks_a_law(repository: Path) -> None:
    faults = os.environ.get("ROPE_PROF_FAULTS", "13")
    words = [sys.executable, "benchmarks/reliability.py", "--faults", faults, "--seed", "7", "--resume-every", "2"]
    environment = os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{faults} faults" in done.stdout
    assert " 0 broke a law" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize("what", ["is_file", "is_dir"])
def test_a_write_that_is_not_settled_breaks_one(repository: Path, what: str) -> None:
    """The power cut is a real one: without the fsync of a file before its rename, or of its folder after it, a key has
    lost what it measured.
    """
    code = (
        "import benchmarks.reliability as laws, rope_prof.io.atomic as atomic, sys\n"
        "settle = atomic.to_disk\n"
        f"atomic.to_disk = lambda path: None if path.{what}() else settle(path)\n"
        "laws.load()\n"
        "tries = (laws.one(40 + n, 'power', n, resume=False, bench='stand-in') for n in range(0, 34, 3))\n"
        "sys.exit(0 if any(one['broken'] for one in tries) else 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
