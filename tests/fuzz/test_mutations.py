"""Every kind of lying trace keeps its law: a few cases of each, or all of them.

`ROPE_PROF_FUZZ=30` draws thirty times as many, as `python -m tests.fuzz.mutations --cases 30` does, with a table.
"""

from __future__ import annotations

import os

import pytest

from tests.fuzz.mutations import KINDS, cases

MORE = int(os.environ.get("ROPE_PROF_FUZZ", "1"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_lie_is_found_or_the_file_says_why_it_cannot_be(kind: str) -> None:
    told = list(cases(kind, 2 * MORE, seed=MORE))
    assert len(told) == 2 * MORE
    assert {case: outcome.why for case, outcome in told if outcome.word == "broken"} == {}
