"""What the child that has no GPU checks: the case itself for its values, few rows of it for other layouts."""

from __future__ import annotations

from typing import Any

import pytest

from rope_prof.record.bench import interpret, layouts
from rope_prof.record.bench.interpret import LAYOUT_ROWS, check
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
