"""The way of a run through `show`: where it is handed from file to file, counted while the command runs.

A *stay* is one hand-over: a function of one file calls a function of another file of ours and gives it the run, in one
of the forms that a whole run has on its way (`CARRIERS`, or rows). The same hand-over counts once, however often it is
made. A *room* is a file that holds the run. A *climb* is any call, with the run or without, from a lower package to a
higher one (`FLOORS`, the order of `.importlinter`): imports cannot do that, a function given as a value can. What runs
while modules are imported is left out, and so are generators: their body runs in whoever takes the next value.

    python -m tests.walk traces/h100-ernie28b          # the stays, one a line, and their numbers

To count another version: `PYTHONPATH=THAT_TREE python tests/walk.py RUN`, from a folder outside of it.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

#: Names of the classes that stand for a whole run.
CARRIERS = frozenset({"RunFolder", "Run", "OpenedRun", "Numbers"})
#: Beginnings of the names of files, from the ground up; a longer one stands before its own beginning.
FLOORS = (
    *("errors", "units", "model"),
    *("io/atomic", "io/bombs", "io/damaged", "io/layout", "io/font", "io/sqlite", "io/store", "io/kept", "io/compiled"),
    *("io/kineto", "io/rocm", "io/perfetto", "io/trace", "io/"),
    *("analysis/stats", "analysis/verdict", "analysis/trace", "analysis/run", "analysis/", "compare"),
    *("views/words", "views/draw", "views/blocks", "views/timeline", "views/"),
    *("serve", "record", "opened/requests", "opened/run", "opened/", "commands", "cli"),
)


@dataclass
class Walk:
    """Distinct hand-overs and climbs in the order in which they are made first: (caller, callee), `file:function`."""

    stays: dict[tuple[str, str], None] = field(default_factory=dict)
    climbs: dict[tuple[str, str], None] = field(default_factory=dict)

    @property
    def rooms(self) -> set[str]:
        """The files that hold the run."""
        return {place.partition(":")[0] for stay in self.stays for place in stay}

    def seen(self, frame: FrameType, event: str, _: Any) -> None:
        """What `sys.setprofile` calls."""
        code = frame.f_code
        if event != "call" or frame.f_back is None or code.co_flags & inspect.CO_GENERATOR:
            return
        callee, caller = _place(frame), _place(frame.f_back)
        if callee is None or caller is None or callee.partition(":")[0] == caller.partition(":")[0]:
            return
        if _floor(callee) > _floor(caller):
            self.climbs.setdefault((caller, callee))
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        if any(_carries(frame.f_locals.get(name)) for name in names):
            self.stays.setdefault((caller, callee))


def _place(frame: FrameType) -> str | None:
    """`analysis/run/rows.py:rows_of`; None outside of the package, and while a module is imported."""
    name = str(frame.f_globals.get("__name__", ""))
    if not name.startswith("rope_prof.") or frame.f_code.co_name == "<module>":
        return None
    return f"{name.removeprefix('rope_prof.').replace('.', '/')}.py:{frame.f_code.co_qualname}"


def _carries(value: object) -> bool:
    if isinstance(value, tuple | list) and value:
        return type(value[0]).__name__ == "Row"
    return type(value).__name__ in CARRIERS


def _floor(place: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if place.startswith(floor))


@contextlib.contextmanager
def walked() -> Iterator[Walk]:
    """Watches all calls until it ends."""
    walk, before = Walk(), sys.getprofile()
    sys.setprofile(walk.seen)
    try:
        yield walk
    finally:
        sys.setprofile(before)


def walk_of(*words: str) -> Walk:
    """The walk of one command; what it prints is thrown away."""
    from rope_prof.cli import main

    with contextlib.redirect_stdout(io.StringIO()), walked() as walk:
        code = main(words)
    if code:
        raise SystemExit(f"{' '.join(words)} exited {code}")
    return walk


if __name__ == "__main__":
    found = walk_of("show", str(Path(sys.argv[1])))
    for way, pairs in (("stay", found.stays), ("climb", found.climbs)):
        for caller, callee in pairs:
            sys.stdout.write(f"{way}: {caller} -> {callee}\n")
    sys.stdout.write(f"{len(found.stays)} stays in {len(found.rooms)} rooms, {len(found.climbs)} climbs\n")
