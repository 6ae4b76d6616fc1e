"""Triton paths without a GPU: a child process with `TRITON_INTERPRET=1` checks them in fp32 against the oracle.

A child, because Triton reads that variable when it is imported; fp32, because its interpreter does bf16 arithmetic
on raw bits. Nothing is timed there. `python -m rope_prof.record.bench.interpret` reads jobs as JSON and prints a
line each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec

from rope_prof.model.run import Accuracy, Key
from rope_prof.record.loop.protocols import Checked

if TYPE_CHECKING:
    from rope_prof.kernels.operation import Call, Operation, Value
    from rope_prof.record.bench.operations import Operations

#: Seconds that a check may take before it is called failed.
TIMEOUT_S = 300
#: Other layouts are tried on so many rows: a stride taken for granted is as wrong on few rows as on many, and the
#: interpreter takes a hundredth of a second for each.
LAYOUT_ROWS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """What the child is to check."""

    seed: int
    keys: tuple[Key, ...]


class Interpreter:
    """The child process at work on `keys`; it runs while the parent compiles, never while it measures."""

    def __init__(self, keys: Iterable[Key], seed: int) -> None:
        self.keys = tuple(keys)
        self._child: subprocess.Popen[str] | None = None
        if self.keys:
            jobs = msgspec.json.encode(Jobs(seed=seed, keys=self.keys)).decode()
            self._child = _start(jobs)

    def results(self) -> dict[str, Checked]:
        """name of key -> what came of it. Waits for the child."""
        if self._child is None:
            return {}
        child = self._child
        try:
            out, err = child.communicate(timeout=TIMEOUT_S)
            late = ""
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            late = f"the interpreter took over {TIMEOUT_S} s; record fewer tokens"
        found = {}
        for line in out.splitlines():
            if line.startswith("{"):
                answer = json.loads(line)
                facts = answer["accuracy"]
                accuracy = msgspec.convert(facts, Accuracy) if facts else None
                found[answer["key"]] = Checked(accuracy, answer["reason"])
        last = next((line for line in reversed(err.splitlines()) if line.strip()), "no message")
        why = late or f"the interpreter ended with code {child.returncode} ({last})"
        return {key.name: found.get(key.name, Checked(None, why)) for key in self.keys}

    def close(self) -> None:
        """End the child if it still runs."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.communicate()


def _start(jobs: str) -> subprocess.Popen[str]:
    folders = [folder for folder in sys.path if folder] + [os.getcwd()]  # noqa: PTH109
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "OMP_NUM_THREADS": "1",  # on so few rows a second thread does nothing but wait, and takes a core for it
        "PYTHONPATH": os.pathsep.join(folders),
        "CUDA_VISIBLE_DEVICES": "",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "rope_prof.record.bench.interpret"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert child.stdin is not None
    try:
        child.stdin.write(jobs)
        child.stdin.close()
    except BrokenPipeError:
        pass
    child.stdin = None
    return child


def check(key: Key, seed: int, operations: Operations | None = None) -> Checked:
    """Run `key`'s path in this process on fp32 inputs of its case. For the child alone."""
    import torch

    from rope_prof.kernels.paths import path_of
    from rope_prof.record.bench.accuracy import judged, limits, run_once
    from rope_prof.record.bench.copies import copied
    from rope_prof.record.bench.layouts import layout_errors
    from rope_prof.record.bench.operations import Operations as Found
    from rope_prof.record.bench.values import require_kept, value_errors
    from rope_prof.record.loop.describe import one_line

    case = dict(key.case.values)
    try:
        operation = (operations or Found()).of(key.case.operation)
        (given,) = operation.calls(case, 1, torch.device("cpu"), torch.float32, seed)
        known, call = limits(operation, case, given), path_of(operation, key.path).call
        out = run_once(call, copied(given), operation)
        accuracy = judged(out, operation, case, given, known, "fp32")
        few = _few(operation, case, seed)
        if few is not None:
            case, given = few
            known = limits(operation, case, given)
        baseline = path_of(operation, operation.paths[0]).call
        out = require_kept(call, given, operation, baseline, key.path)
        tried, wrong = layout_errors(call, given, out, operation, known.errors)
        wrong += value_errors(call, given, out, operation, case, baseline)
        return Checked(replace(accuracy, layouts=tried, layout_errors=wrong), None)
    except Exception as error:
        return Checked(None, one_line(error))


def _few(operation: Operation, case: dict[str, Value], seed: int) -> tuple[dict[str, Value], Call] | None:
    """The case with `LAYOUT_ROWS` on its swept axis, and its call; None where that is no smaller, or no case."""
    import torch

    if int(case[operation.swept]) <= LAYOUT_ROWS:
        return None
    smaller = case | {operation.swept: LAYOUT_ROWS}
    try:
        operation.check(smaller)
        (given,) = operation.calls(smaller, 1, torch.device("cpu"), torch.float32, seed)
    except Exception:  # a size that the operation does not have: layouts are tried on the case itself
        return None
    return smaller, given


class PatchedOnce:
    """Triton's `_patch_lang`, which its interpreter calls for each call of a function within a kernel, once a grid.

    It puts what runs on numpy in the place of all that those of `languages` hold which the function sees, and there
    that stands until the grid is done: to look it all through again took a third of a check.
    """

    def __init__(self, patch: Callable[[Any], Any], languages: Iterable[ModuleType]) -> None:
        self._patch = patch
        self._languages = frozenset(map(id, languages))
        self._seen: dict[Any, frozenset[int]] = {}
        self._standing: frozenset[int] = frozenset()

    def __call__(self, function: Any) -> Any:
        """A scope whose `restore` takes back what it has patched: nothing where that stands."""
        if function not in self._seen:
            self._seen[function] = self._languages.intersection(map(id, function.__globals__.values()))
        wanted = self._seen[function]
        if wanted and wanted <= self._standing:
            return SimpleNamespace(restore=lambda: None)
        scope = self._patch(function)
        if not self._standing:
            scope.restore = partial(self._restore, scope.restore)
        self._standing |= wanted
        return scope

    def _restore(self, restore: Callable[[], None]) -> None:
        self._standing = frozenset()
        restore()


def _patch_once() -> None:
    """Let the interpreter of this process patch once a grid; a Triton of another build patches as it does."""
    with suppress(ImportError, AttributeError):
        interpreter: Any = import_module("triton.runtime.interpreter")
        once = PatchedOnce(interpreter._patch_lang, (interpreter.tl, interpreter.tl.core))  # noqa: SLF001
        interpreter._patch_lang = once  # noqa: SLF001


def main() -> None:
    """Read the jobs from standard input; one JSON line for each on standard output as soon as it is known."""
    jobs = msgspec.json.decode(sys.stdin.buffer.read(), type=Jobs)
    _patch_once()
    for key in jobs.keys:
        found = check(key, jobs.seed)
        answer: dict[str, Any] = {"key": key.name, "accuracy": None, "reason": found.reason}
        if found.accuracy:
            answer["accuracy"] = asdict(found.accuracy)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
