"""Student's t, held against scipy."""

from __future__ import annotations

from math import inf

import pytest
from scipy.special import stdtr, stdtrit

from rope_prof.analysis.student import quantile, tail

FREEDOMS = (1, 1.3, 2, 4, 7.5, 30, 200, 5000)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("t", [0, 1e-6, 0.1, 0.499, 0.5, 1, 3, 12, 300])
def test_the_tail_is_that_of_scipy(t: float, freedom: float) -> None:
    assert tail(t, freedom) == pytest.approx(stdtr(freedom, -t), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("probability", [0.51, 0.6, 0.9, 0.975, 0.99, 0.9999, 0.99999])
def test_the_quantile_is_that_of_scipy(probability: float, freedom: float) -> None:
    assert quantile(probability, freedom) == pytest.approx(stdtrit(freedom, probability), rel=1e-9)


def test_nothing_lies_beyond_infinity() -> None:
    assert tail(inf, 3) == 0
    assert tail(0, 3) == pytest.approx(0.5)
