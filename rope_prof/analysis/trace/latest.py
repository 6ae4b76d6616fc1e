"""The answers about the latest traces, kept as long as the frames that they rest on: each account asks anew."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Concatenate, Final, ParamSpec, TypeVar
from weakref import ref

import polars as pl

from rope_prof.model.trace import Trace

T = TypeVar("T")
P = ParamSpec("P")
#: Answers of each function. A run has some dozen captures: who draws it asks of each of them, and then of each again.
MOST: Final = 48


def kept_for(*names: str) -> Callable[[Callable[Concatenate[Trace, P], T]], Callable[Concatenate[Trace, P], T]]:
    """A function of a trace, and of what is asked of it, that rests on those frames alone: once for the latest ones."""

    def kept(work: Callable[Concatenate[Trace, P], T]) -> Callable[Concatenate[Trace, P], T]:
        held: dict[int, tuple[tuple[ref[pl.DataFrame], ...], object, T]] = {}
        numbers = count()

        def forget(gone: ref[pl.DataFrame]) -> None:
            for number, (known, _, _) in held.copy().items():
                if any(one is gone for one in known):
                    held.pop(number, None)

        def answer(trace: Trace, /, *words: P.args, **options: P.kwargs) -> T:
            frames, asked = [getattr(trace, name) for name in names], (words, options)
            for known, before, found in held.copy().values():
                if all(one() is frame for one, frame in zip(known, frames, strict=True)) and before == asked:
                    return found
            found = work(trace, *words, **options)
            held[next(numbers)] = tuple(ref(frame, forget) for frame in frames), asked, found
            for number in list(held)[:-MOST]:
                held.pop(number, None)
            return found

        answer.__doc__ = work.__doc__
        return answer

    return kept
