"""Answers about traces are worked out once while their frames live, and go with them."""

from __future__ import annotations

import gc

from rope_prof.analysis.trace.latest import MOST, kept_for
from rope_prof.model.trace import Trace
from tests.builders import kernel, trace


def test_answers_of_several_traces_are_kept_until_their_frames_go() -> None:
    asked: list[int] = []

    @kept_for("gpu")
    def kernels(one: Trace, more: int = 0) -> int:
        asked.append(one.gpu.height)
        return one.gpu.height + more

    small, large = trace(kernel(0, 10)), trace(kernel(0, 10), kernel(14, 20))
    for _ in range(2):
        assert (kernels(small), kernels(large), kernels(large, 5), kernels(small, more=5)) == (1, 2, 7, 6)
    assert asked == [1, 2, 2, 1]
    del large
    gc.collect()
    assert kernels(small) == 1
    again = trace(kernel(0, 10), kernel(14, 20))
    assert kernels(again) == 2
    assert asked == [1, 2, 2, 1, 2]


def test_only_the_latest_are_kept() -> None:
    asked: list[int] = []

    @kept_for("gpu")
    def answer(_: Trace, number: int) -> int:
        asked.append(number)
        return number

    one = trace(kernel(0, 10))
    for number in (*range(MOST + 1), MOST, 0):
        assert answer(one, number) == number
    assert asked == [*range(MOST + 1), 0]
