"""The answer about the latest trace, kept as long as the frames that it rests on: each account asks for it anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar
from weakref import ref

import polars as pl

from rope_prof.model.trace import Trace

T = TypeVar("T")
P = ParamSpec("P")


def kept_for(*names: str) -> Callable[[Callable[Concatenate[Trace, P], T]], Callable[Concatenate[Trace, P], T]]:
    """A function of a trace, and of what is asked of it, that rests on those frames alone: once for the latest ones."""

    def kept(work: Callable[Concatenate[Trace, P], T]) -> Callable[Concatenate[Trace, P], T]:
        held: list[tuple[tuple[ref[pl.DataFrame], ...], object, T]] = []

        def forget(_: ref[pl.DataFrame]) -> None:
            held.clear()

        def answer(trace: Trace, /, *words: P.args, **options: P.kwargs) -> T:
            frames, asked = [getattr(trace, name) for name in names], (words, options)
            for known, before, found in held:
                if before == asked and all(one() is frame for one, frame in zip(known, frames, strict=True)):
                    return found
            found = work(trace, *words, **options)
            held[:] = [(tuple(ref(frame, forget) for frame in frames), asked, found)]
            return found

        answer.__doc__ = work.__doc__
        return answer

    return kept
