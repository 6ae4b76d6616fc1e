"""What a script calls a path: a callable and its name, with what a decorator says of it. Calls nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from rope_prof.errors import UsageError

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)
Needs = Literal["cuda"]
_SAID = "__rope_prof_path__"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSaid:
    """What is said of a path. `writes`: places of the arguments that it leaves its outputs in; it returns None then.

    `needs`: `cuda` where it runs on a GPU alone. `baseline`: what the others are held against.
    """

    name: str
    baseline: bool = False
    writes: tuple[int, ...] = ()
    needs: Needs | None = None


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A callable with what is said of it."""

    said: PathSaid
    call: Function


def path(
    name: str | None = None,
    *,
    baseline: bool = False,
    writes: Sequence[int] | int = (),
    needs: Needs | None = None,
) -> Callable[[F], F]:
    """Say of a function what `measure` is to know of it; the function stays as it is.

    `@path("triton", writes=0, needs="cuda")`: see `PathSaid`; its own name where none is given. Errors: UsageError.
    """
    if callable(name):
        raise UsageError("write @rope_prof.path() or @rope_prof.path('name'): the decorator is called")
    if needs not in (None, "cuda"):
        raise UsageError(f"needs is {needs!r}; expected 'cuda' or None")
    places = (writes,) if isinstance(writes, int) else tuple(writes) if isinstance(writes, Sequence) else (None,)
    if not all(isinstance(place, int) for place in places):
        raise UsageError(f"writes is {writes!r}; expected places of arguments, counted from 0")

    def say(function: F) -> F:
        own = _word(name) if name is not None else title(function)
        said = PathSaid(name=own, baseline=baseline, writes=places, needs=needs)
        try:
            setattr(function, _SAID, said)
        except AttributeError as error:
            raise UsageError(f"{title(function)!r} takes no attribute; decorate a function or a module") from error
        return function

    return say


def title(function: Function) -> str:
    """The name of a function, or of the class of anything else."""
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")


def named(paths: Mapping[str, Function] | Sequence[Function]) -> tuple[NamedPath, ...]:
    """The paths, the baseline first: those that are named, or decorated functions. Errors: UsageError."""
    if not isinstance(paths, Mapping | Sequence) or isinstance(paths, str):
        raise UsageError(
            f"paths is {type(paths).__name__}; expected name -> callable, or a list of them: the baseline first"
        )
    given = list(paths.items()) if isinstance(paths, Mapping) else [(None, call) for call in paths]
    found: list[NamedPath] = []
    for name, call in given:
        if not callable(call):
            raise UsageError(f"path {name or call!r} is {type(call).__name__}; expected something to call")
        said = getattr(call, _SAID, None) or PathSaid(name=title(call))
        found.append(NamedPath(said if name is None else replace(said, name=_word(name)), call))
    if not found:
        raise UsageError("paths is empty; expected name -> callable, the baseline first")
    names = [one.said.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two paths are called {twice!r}; expected a name each")
    bases = [one for one in found if one.said.baseline]
    if len(bases) > 1:
        raise UsageError(f"{bases[0].said.name!r} and {bases[1].said.name!r} are both said to be the baseline")
    return tuple(sorted(found, key=lambda one: one not in bases))


def _word(name: object) -> str:
    """`name`, which names files and ranges."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or set(name) & set("/\\#"):
        raise UsageError(f"a path is called {name!r}; expected a word without '/', '\\' and '#'")
    return name
