"""The answer about the latest trace, kept as long as the frames that it rests on: each account asks for it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from weakref import ref

import polars as pl

from rope_prof.model.trace import Trace

T = TypeVar("T")


def kept_for(*names: str) -> Callable[[Callable[[Trace], T]], Callable[[Trace], T]]:
    """A function of a trace that rests on those frames of it alone, worked out once for the latest ones."""

    def kept(work: Callable[[Trace], T]) -> Callable[[Trace], T]:
        held: list[tuple[tuple[ref[pl.DataFrame], ...], T]] = []

        def forget(_: ref[pl.DataFrame]) -> None:
            held.clear()

        def answer(trace: Trace) -> T:
            frames = [getattr(trace, name) for name in names]
            for known, found in held:
                if all(one() is frame for one, frame in zip(known, frames, strict=True)):
                    return found
            found = work(trace)
            held[:] = [(tuple(ref(frame, forget) for frame in frames), found)]
            return found

        answer.__doc__ = work.__doc__
        return answer

    return kept
