"""Differences of shares and of small counts as people say them; those of amounts are tried with the pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rope_prof.views.words.difference import bracketed, more, points

SHARES = st.floats(0, 100)


def test_points_and_counts() -> None:
    assert points(58.0, 22.4) == "+36 pp"
    assert points(2.2, 9.7) == "−7.5 pp"
    assert points(50.0, 50.02) == "±0 pp"
    assert points(None, 1.0) == points(1.0, None) == ""
    assert (more(80, 34), more(25, 34), more(34, 34), more(None, 34)) == ("+46", "−9", "±0", "")
    assert (bracketed("80", "+46"), bracketed("80", "")) == ("80 (+46)", "80")


@given(SHARES, SHARES)
def test_turned_round_only_the_sign_changes(one: float, other: float) -> None:
    turned = str.maketrans("+−", "−+")
    assert points(one, other).translate(turned) == points(other, one)
