"""What is read and computed once and kept for all sessions: files count with what stands in them.

The one home of the dashboard's caches. Streamlit leaves arguments whose name starts with `_` out of a cache's key.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import streamlit as st

from rope_prof.io.run.folder import RunFolder

P = ParamSpec("P")
R = TypeVar("R")
Stamp = tuple[tuple[str, int, int], ...]


def stamp(path: Path) -> Stamp:
    """Name, time and size of that file, or of every file in that folder: changes when anything of it does.

    Nothing stands for what is not there: who reads it says what is wrong.
    """
    inside = [Path(here) / name for here, _, names in os.walk(path) for name in names] if path.is_dir() else [path]
    found = []
    for one in inside:
        try:
            facts = one.stat()
        except OSError:
            continue
        found.append((str(one), facts.st_mtime_ns, facts.st_size))
    return tuple(sorted(found))


_STAMPED: dict[str | type[Any], Callable[[Any], Any]] = {
    type(Path()): lambda path: (str(path), stamp(path)),
    RunFolder: lambda run: (str(run.path), stamp(run.path)),
}


def kept(
    most: int, *, of_session: bool = False, release: Callable[[Any], None] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A function whose last `most` results serve all sessions, until a file that it was given changes.

    `of_session`: each session has its own, which go when its viewer does. `release` is called with what goes.
    """

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        cached = st.cache_resource(
            max_entries=most,
            show_spinner=False,
            hash_funcs=_STAMPED,
            on_release=release,
            scope="session" if of_session else "global",
        )
        return cast("Callable[P, R]", cached(function))

    return wrap


def forget(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> None:
    """Let go of what a `kept` function has for these arguments."""
    cast("Any", function).clear(*arguments, **named)
