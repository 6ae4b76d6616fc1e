"""Ranges around a rope, or any call, of somebody else's server: the public way in.

    from rope_prof.attach import attach

    with attach(model, path="unfused", match="*.rotary_emb"):
        serve()  # with the server's profiler on
    # python -m rope_prof analyze TRACE --range "unfused#"

Every call runs inside an NVTX range (domain `rope_prof`) and a `record_function`, both named `<path>#<n>`; of a
generator or a coroutine each step does, so that ranges close in the order in which they open. Nothing else changes:
arguments, results and errors pass through, and at the end what was there before is back. A range costs the host some
µs a call: take times from runs without it. Loads torch only when it is entered.

What has no range: calls that torch.compile has compiled (a range would break the graph and compile anew for each
number: compiled code is left alone, and `calls` does not count it), asynchronous generators, and for torch.profiler
the calls of threads that it does not record (it records the thread that started it, unless asked otherwise): the first
of them is said in the log, and `unseen` counts them. NVTX
keeps each name that it is given for good: its names begin anew after 16,384 calls, the payload is the call's number.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from fnmatch import fnmatchcase
from functools import partial
from itertools import count
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Final

from rope_prof.errors import UsageError

if TYPE_CHECKING:
    from rope_prof.record.capture.ranges import CallRange

_ABSENT = object()
#: Of what stands around a call: itself (`functools.wraps` hands it on), whether it is on, and what it stands over.
_BELOW: Final = "_rope_prof_below"
_log = logging.getLogger(__name__)
#: NVTX keeps every name that it has seen, some 380 bytes each: 6 MB at most.
_NVTX_NAMES: Final = 16_384


def attach(target: Any, *, path: str = "rope", match: str | None = None) -> Attached:
    """A context manager that puts every call of `target` in a range `<path>#<n>`.

    `target`: a module of torch (its `forward`; with `match` those of all modules under it whose qualified name fits
    the pattern, a shared one once), a `"package.module:function"` or `"package.module:Class.method"` (replaced where it
    is looked up), or any callable (take the ranged one from `Attached.call`). `path` names the ranges.
    Errors: UsageError where there is nothing to attach to.
    """
    if not path or "#" in path:
        raise UsageError(f"path {path!r}; expected a name without '#', such as 'unfused'")
    return Attached(path, _places(target, match), target if callable(target) else None)


class Attached:
    """The ranges of one `attach`. May be entered and left again; left open, the ranges stay on.

    `calls` counts the calls so far; `unseen` those made while torch.profiler was on, in threads that it does not record
    unless it is told to record all. `call` is the target with ranges around it, while a callable is attached.
    """

    def __init__(self, path: str, places: list[tuple[Any, str]], target: Callable[..., Any] | None) -> None:
        self.path, self.calls, self.unseen = path, 0, 0
        self._places, self._target = places, target
        self._before: list[tuple[Any, str, Any, Any]] = []
        self._entries = 0
        self._numbers = count()
        self._entered = False

    def __enter__(self) -> Attached:
        if self._entered:
            raise UsageError(f"the ranges {self.path!r} are on already; leave them before entering again")
        self._entered = True
        self._entries += 1
        for owner, name in self._places:
            before, ranged = vars(owner).get(name, _ABSENT), self._around(owner, name)
            ranged.__dict__[_BELOW] = (ranged, partial(self._is_on, self._entries), before)
            self._before.append((owner, name, before, ranged))
            setattr(owner, name, ranged)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        while self._before:
            owner, name, before, ranged = self._before.pop()
            if vars(owner).get(name) is not ranged:
                continue  # another stands over it: this one is bare from now on, and goes when that one does
            while (below := getattr(before, _BELOW, None)) and below[0] is before and not below[1]():
                before = below[2]
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def _is_on(self, entry: int) -> bool:
        return self._entered and self._entries == entry

    @property
    def call(self) -> Callable[..., Any]:
        """The attached callable, in ranges while they are on and bare otherwise."""
        if self._target is None:
            raise UsageError("a name was attached, no callable; call it where it is looked up")
        if self._places:
            return self._target
        return self._ranged(self._target, lambda: self._entered)

    def _around(self, owner: Any, name: str) -> Any:
        """What stands at `owner.name` with ranges around it, of the same kind: static and class methods stay such."""
        raw, on = vars(owner).get(name, _ABSENT), partial(self._is_on, self._entries)
        if isinstance(raw, staticmethod | classmethod):
            return type(raw)(self._ranged(raw.__func__, on))
        return self._ranged(getattr(owner, name) if raw is _ABSENT else raw, on)

    def _not_seen(self) -> None:
        """Said once: a server's log shall not fill, and a warning could be made an error inside of somebody's call."""
        self.unseen += 1
        if self.unseen == 1:
            _log.warning(
                "the ranges %r: a call in thread %r, where torch.profiler is not on: it records the thread that "
                "started it, and no range of such calls unless it was told to record all threads (experimental_config="
                "torch._C._profiler._ExperimentalConfig(profile_all_threads=True)); nsys sees them",
                self.path,
                threading.current_thread().name,
            )

    def _ranged(self, call: Callable[..., Any], on: Callable[[], bool]) -> Callable[..., Any]:
        from torch.compiler import is_compiling as compiling

        from rope_prof.record.capture.ranges import CallRange, records_elsewhere

        def numbered() -> CallRange:
            number = next(self._numbers)
            self.calls = number + 1
            if records_elsewhere():
                self._not_seen()
            return CallRange(self.path, number, nvtx_call=number % _NVTX_NAMES)

        def off() -> bool:
            return compiling() or not on()

        return _like(call, numbered, off)


def _like(call: Callable[..., Any], ranged: Callable[[], CallRange], off: Callable[[], bool]) -> Callable[..., Any]:
    """A function of the same kind as `call` with each of its calls, or steps, in a range; bare where `off()`."""
    if inspect.iscoroutinefunction(call):

        @functools.wraps(call)
        async def awaited(*arguments: Any, **named: Any) -> Any:
            made = call(*arguments, **named)
            return await (made if off() else _Awaited(_steps(made, ranged)))

        return awaited
    if inspect.isgeneratorfunction(call):

        @functools.wraps(call)
        def yielded(*arguments: Any, **named: Any) -> Any:
            made = call(*arguments, **named)
            return (yield from made) if off() else (yield from _steps(made, ranged))

        return yielded
    if inspect.isasyncgenfunction(call):
        return call

    @functools.wraps(call)
    def called(*arguments: Any, **named: Any) -> Any:
        if off():
            return call(*arguments, **named)
        with ranged():
            return call(*arguments, **named)

    return called


class _Awaited:
    """Something to await that goes on by `steps`."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._steps


def _steps(made: Any, ranged: Callable[[], CallRange]) -> Generator[Any, Any, Any]:
    """Go through a generator or a coroutine, each step of it in a range; what goes in and out of it is untouched."""
    value: Any = None
    error: BaseException | None = None
    try:
        while True:
            try:
                with ranged():
                    out = made.send(value) if error is None else made.throw(error)
            except StopIteration as end:
                return end.value
            value, error = None, None
            try:
                value = yield out
            except GeneratorExit:
                raise
            except BaseException as caught:
                error = caught
    finally:
        made.close()


def _places(target: Any, match: str | None) -> list[tuple[Any, str]]:
    """(owner, attribute) of everything that must be replaced; empty for a plain callable."""
    if isinstance(target, str):
        return [_named(target)]
    modules = getattr(target, "named_modules", None)
    if modules is not None and hasattr(target, "forward"):
        return [(module, "forward") for module in _modules(modules(), target, match)]
    if match is not None:
        raise UsageError(f"match {match!r} needs a module of torch; {type(target).__name__} has no modules under it")
    if not callable(target):
        raise UsageError(
            f"cannot attach to {type(target).__name__}; expected a module of torch, a callable or 'package.module:name'"
        )
    return []


def _modules(named: Iterator[tuple[str, Any]], target: Any, match: str | None) -> list[Any]:
    if match is None:
        return [target]
    names, found = [], []
    for name, module in named:
        names.append(name)
        if fnmatchcase(name, match):
            found.append(module)
    if not found:
        seen = ", ".join(names[1:4]) or "none"
        raise UsageError(f"no module of {type(target).__name__} matches {match!r} ({len(names)} modules: {seen}, ...)")
    return found


def _named(name: str) -> tuple[Any, str]:
    module, _, attributes = name.partition(":")
    if not module or not attributes:
        raise UsageError(f"cannot attach to {name!r}; expected 'package.module:function' or '...:Class.method'")
    try:
        owner: Any = importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"cannot attach to {name!r}: cannot import {module!r} ({error})") from error
    *parents, last = attributes.split(".")
    for part in parents:
        owner = getattr(owner, part, None)
    if not callable(getattr(owner, last, None)):
        raise UsageError(f"cannot attach to {name!r}: {module!r} has no callable {attributes!r}")
    return owner, last


class _CalledAsItsFunction(ModuleType):
    """`rope_prof.attach(model, path="unfused")` means the function, though `rope_prof.attach` is this module."""

    __call__ = staticmethod(attach)


sys.modules[__name__].__class__ = _CalledAsItsFunction
