"""What the child that has no GPU checks: the case itself for its values, few rows of it for other layouts."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from rope_prof.record.bench import interpret, layouts
from rope_prof.record.bench.interpret import LAYOUT_ROWS, PatchedOnce, check
from tests.runs import CASE, key


def test_other_layouts_are_tried_on_few_rows_and_values_on_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []
    whole = layouts.layout_errors

    def watched(function: Any, given: Any, out: Any, *rest: Any) -> Any:
        tried.extend(output.shape[0] for output in out)
        return whole(function, given, out, *rest)

    monkeypatch.setattr(layouts, "layout_errors", watched)
    few = check(key(case=CASE), 0)
    assert few.reason is None
    assert set(tried) == {LAYOUT_ROWS}
    monkeypatch.setattr(interpret, "LAYOUT_ROWS", CASE.swept)
    assert check(key(case=CASE), 0) == few
    assert CASE.swept in tried


def test_a_language_is_patched_once_a_grid_and_another_one_where_it_is_seen() -> None:
    tl, core = ModuleType("tl"), ModuleType("core")
    kernel, helper, other = (_sees(tl), _sees(tl), _sees(core))
    patched: list[Any] = []
    restored: list[Any] = []

    def patch(function: Any) -> Any:
        patched.append(function)
        return SimpleNamespace(restore=lambda: restored.append(function))

    once = PatchedOnce(patch, (tl, core))
    for _ in range(2):  # a grid after the other
        scope = once(kernel)
        for inner in (helper, helper, other, other):
            once(inner)
        assert not restored
        scope.restore()
        assert patched == [kernel, other]
        assert restored == [kernel]
        patched.clear()
        restored.clear()


def _sees(module: ModuleType) -> Any:
    """A function whose globals hold that module."""
    return eval("lambda: None", {"language": module})
