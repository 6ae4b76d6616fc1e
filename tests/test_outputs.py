"""Two documents held against each other field by field."""

from __future__ import annotations

from tests.outputs import changes


def test_what_is_gone_new_rounded_or_another_value() -> None:
    before = {"keys": [{"ns": 1000.4, "busy": 5, "reason": None, "lost": 1}]}
    after = {"keys": [{"ns": 1000.0, "busy": 6, "reason": {"why": "x"}, "more": [1, 2]}]}
    assert changes(before, after) == {
        ("rounded", "keys[].ns"): 1,
        ("other", "keys[].busy"): 1,
        ("new", "keys[].reason.why"): 1,
        ("gone", "keys[].lost"): 1,
        ("new", "keys[].more[]"): 2,
    }
    assert changes(before, before) == {}
