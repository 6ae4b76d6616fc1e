"""Triton paths without a GPU: a child process with `TRITON_INTERPRET=1` checks them in fp32 against the oracle.

A child, because Triton reads that variable when it is imported; fp32, because its interpreter does bf16 arithmetic
on raw bits. Nothing is timed there. What the child does is here, who starts and asks it is `worker.interpreter`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from importlib import import_module
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from rope_prof.model.run import Key
from rope_prof.record.loop.protocols import Checked

if TYPE_CHECKING:
    from rope_prof.kernels.operation import Call, Operation, Value
    from rope_prof.record.bench.operations import Operations

#: Other layouts and values are tried on so many rows: a stride taken for granted is as wrong on two rows as on many,
#: and the interpreter takes a hundredth of a second for each.
LAYOUT_ROWS = 2


def interpreted(key: Key, seed: int) -> Checked:
    """What comes of `key` in this process, which is for the interpreter alone from now on."""
    _become_interpreter()
    return check(key, seed)


@cache
def _become_interpreter() -> None:
    """Let this process's Triton interpret. It asks for that as it is loaded: what was loaded of it before goes."""
    import torch

    os.environ |= {"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    torch.set_num_threads(1)  # on so few rows a second thread does nothing but wait, and takes a core for it
    for name in [name for name in sys.modules if f"{name}.".startswith("triton.")]:
        if not name.startswith("triton._C"):  # compiled code is loaded once a process
            del sys.modules[name]
    with suppress(ImportError, AttributeError):  # no Triton, or one of another build, which patches as it does
        interpreter: Any = import_module("triton.runtime.interpreter")
        once = PatchedOnce(interpreter._patch_lang, (interpreter.tl, interpreter.tl.core))  # noqa: SLF001
        interpreter._patch_lang = once  # noqa: SLF001
        builder = interpreter.interpreter_builder
        if not builder.options.debug:  # which alone would look at what is worked out to see integers overflow
            builder.options = replace(builder.options, sanitize_overflow=False)


def check(key: Key, seed: int, operations: Operations | None = None) -> Checked:
    """Run `key`'s path in this process on fp32 inputs of its case. For the child alone."""
    import torch

    from rope_prof.kernels.paths import path_of
    from rope_prof.record.bench.accuracy import judged, limits, run_once
    from rope_prof.record.bench.copies import copied
    from rope_prof.record.bench.layouts import layout_errors
    from rope_prof.record.bench.operations import Operations as Found
    from rope_prof.record.bench.values import number_errors, require_kept, value_errors
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
        wrong += number_errors(call, given, operation, baseline)
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
