"""A repository of its own with an operation and commits: one to hold against, one slower, one the same, one broken.

python -m tests.commands.gated FOLDER     # make it there
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def twice(code: str, path: str) -> str:
    """A file with an operation that doubles: path `plain`, and the function called `path` that stands in `code`."""
    return f"""
import json, sys, time
import torch
from rope_prof.kernels.operation import Axis, Call, Operation, Output, Path


{code}


class Twice(Operation):
    name = "twice"
    axes = (Axis(name="n", defaults={{"any": (64,)}}),)
    swept = "n"
    paths = ("plain", "{path}")
    outputs = (Output(name="y"),)
    formula = "x and y"

    def path(self, name):
        return Path(name, {path} if name == "{path}" else lambda x: x * 2)

    def calls(self, case, count, device, dtype, seed):
        torch.manual_seed(seed)
        inputs = [torch.randn(case["n"], 64, device=device) for _ in range(count)]
        return [Call(arguments=(x,), fresh=(x,)) for x in inputs]

    def exact(self, case, call, rows):
        return (call.arguments[0][rows].double() * 2,)


operation = Twice()
"""


OPERATION = twice("SLEEP_S = 0.020\n\n\ndef kernel(x):\n    time.sleep(SLEEP_S)\n    return x * 2", "kernel")
MATRIX = """
bounds = ["wall>3%", "kernels>0%"]
repeats = 3
rounds = 4

[[operation]]
operation = "op.py:operation"
paths = ["kernel"]
modes = ["eager"]
name = "twice"
"""
#: name of a branch -> (text of the operation, its replacement). The slower one takes 10 % more time by the clock, which
#: a busy machine may not tell, and twice as many kernels, which any does.
CHANGES = {
    "slower": ("    time.sleep(SLEEP_S)\n    return x * 2", "    time.sleep(SLEEP_S * 1.1)\n    return x * 1 * 2"),
    "same": ("return x * 2\n\n\nclass", "return 2 * x\n\n\nclass"),
    "broken": ("    time.sleep(SLEEP_S)\n    return x * 2", "    return x * 3"),
}


def repository(folder: Path) -> Path:
    """It, with a branch for each of `CHANGES`, one commit after `main`."""

    def git(*words: str) -> None:
        own = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *words], cwd=folder, check=True, capture_output=True)

    git("init", "--quiet", "--initial-branch=main")
    (folder / "op.py").write_text(OPERATION)
    (folder / "rope_prof.toml").write_text(MATRIX)
    (folder / ".gitignore").write_text("__pycache__/\nout*/\n")
    git("add", "-A")
    git("commit", "--quiet", "-m", "base")
    for name, (before, after) in CHANGES.items():
        git("checkout", "--quiet", "-b", name, "main")
        assert before in OPERATION
        (folder / "op.py").write_text(OPERATION.replace(before, after))
        git("commit", "--quiet", "-am", name)
    return folder


if __name__ == "__main__":
    made = Path(sys.argv[1])
    made.mkdir()
    repository(made)
