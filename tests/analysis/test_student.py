"""Student's t, held against scipy."""

from __future__ import annotations

from math import inf
from threading import Event, Thread
from typing import Any

import mpmath
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


def test_each_thread_works_alone_at_the_same_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """mpmath has one precision for the process: a figure that another thread raises it for has other last digits."""
    beta, second = mpmath.betainc, Event()
    found: list[float] = []
    other = Thread(target=lambda: found.append(tail.__wrapped__(3.0, 7.5)))

    def counted(*values: Any, **named: Any) -> Any:
        if other.ident is None:
            other.start()
            assert not second.wait(0.2), "two threads at once"
        else:
            second.set()
        return beta(*values, **named)

    alone = quantile.__wrapped__(0.975, 4)
    monkeypatch.setattr(mpmath, "betainc", counted)
    with mpmath.workprec(200):
        tail.cache_clear()
        assert quantile.__wrapped__(0.975, 4) == alone
    other.join()
    assert found == [tail.__wrapped__(3.0, 7.5)]
