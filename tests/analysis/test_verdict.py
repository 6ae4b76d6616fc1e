"""One rule for faster and slower, and every place that says so says the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.comparison.compare import judged
from rope_prof.analysis.stats import Figure
from rope_prof.analysis.verdict import SAME_WITHIN, judge
from rope_prof.views.words.verdicts import SIGNS, gain

ENDS = st.floats(0.3, 3)


@pytest.mark.parametrize(
    ("lo", "hi", "word"),
    [
        (1.001, 1.5, "FASTER"),
        (0.5, 0.999, "SLOWER"),
        (0.99, 1.5, "UNDECIDED"),
        (1.001, 1.02, "SAME"),
        (0.98, 0.999, "SAME"),
        (0.98, 1.02, "SAME"),
        (0.979, 1.0, "UNDECIDED"),
        (None, None, "UNKNOWN"),
    ],
)
def test_the_word_of_an_interval(lo: float | None, hi: float | None, word: str) -> None:
    assert judge(lo, hi) == word


@given(ENDS, ENDS)
def test_swapping_the_sides_turns_the_word_round(one: float, other: float) -> None:
    lo, hi = sorted((one, other))
    there, back = judge(lo, hi), judge(1 / hi, 1 / lo)
    turned = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    # 1 / 1.02 is not quite 0.98, so that only the end of SAME may differ between the two
    assert back == turned.get(there, there) or min(abs(hi - 1), abs(lo - 1)) < 2 * SAME_WITHIN


@given(ENDS, ENDS)
def test_compare_and_every_mark_follow_it(one: float, other: float) -> None:
    lo, hi = sorted((one, other))
    found = Figure((lo + hi) / 2, lo, hi, 12)
    assert judged(found)[0] == judge(lo, hi)
    assert gain(found).startswith(SIGNS[judge(lo, hi)])
