"""What tests keep: a verdict rests on what was done, never on how long it took here today."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time", "time_ns"}


def clocked(source: str) -> Iterator[int]:
    """Lines of assertions that read a clock, or a name that holds the time since another reading."""
    for scope in ast.walk(ast.parse(source)):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        kept = (node for node in ast.walk(scope) if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp))
        spent = {
            name for node in kept if _reads(node.value) and _is_minus(node.value) for name in _names(node.targets[0])
        }
        for node in ast.walk(scope):
            if isinstance(node, ast.Assert) and (_reads(node.test) or _names(node.test) & spent):
                yield node.lineno


def _is_minus(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)


def _reads(node: ast.AST) -> bool:
    calls = (one.func for one in ast.walk(node) if isinstance(one, ast.Call))
    return any(isinstance(one, ast.Attribute) and one.attr in CLOCKS and _names(one.value) == {"time"} for one in calls)


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def test_no_test_measures_wall_time(repository: Path) -> None:
    files = sorted((repository / "tests").rglob("test_*.py"))
    assert len(files) > 150
    found = {path.name: list(clocked(path.read_text(encoding="utf-8"))) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_no_two_files_of_tests_share_a_name(repository: Path) -> None:
    """pytest imports a file of a folder that is no package by its bare name."""
    names = [path.name for path in (repository / "tests").rglob("test_*.py")]
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_a_measured_time_is_seen() -> None:
    assert list(clocked("def f():\n    assert time.monotonic() - began < 30")) == [2]
    assert list(clocked("def f():\n    took = time.perf_counter() - began\n    assert took < 1")) == [3]
    assert list(clocked("def f():\n    while time.monotonic() < until:\n        pass\n    assert done")) == []
