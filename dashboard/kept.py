"""What is read and computed once and kept for all sessions: files count with what stands in them.

The one home of the dashboard's caches. Streamlit leaves arguments whose name starts with `_` out of a cache's key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import streamlit as st

from rope_prof.io.run.folder import RunFolder

P = ParamSpec("P")
R = TypeVar("R")


def stamp(path: Path) -> str:
    """Name, time and size of that file, or of every file in that folder: changes when anything of it does.

    One text, since Streamlit hashes a tuple member by member. Nothing stands for what is not there: who reads it says
    what is wrong.
    """
    return "\n".join(sorted(_facts(str(path))))


def _facts(path: str) -> Iterator[str]:
    try:
        with os.scandir(path) as entries:
            for one in entries:
                if one.is_dir(follow_symlinks=False):
                    yield from _facts(one.path)
                else:
                    with suppress(OSError):
                        yield _fact(one.path, one.stat())
    except NotADirectoryError:
        yield _fact(path, Path(path).stat())
    except OSError:
        return


def _fact(path: str, found: os.stat_result) -> str:
    return f"{path}\0{found.st_mtime_ns}\0{found.st_size}"


_STAMPED: dict[str | type[Any], Callable[[Any], Any]] = {
    type(Path()): lambda path: f"{path}\n{stamp(path)}",
    RunFolder: lambda run: f"{run.path}\n{stamp(run.path)}",
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
