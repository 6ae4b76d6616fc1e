"""Traces that a server writes into a folder: which are new, and whether they are whole yet.

A profiler writes straight to the last name: a file is there long before its end. Gzip says where it ends, JSON by its
last bracket.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rope_prof.io.trace.formats import FORMATS

#: Engines write what torch.profiler does.
_SUFFIXES: Final = FORMATS["kineto"].suffixes
_PIECE: Final = 1 << 20
#: So often a folder is looked at.
POLL_S: Final = 0.2
#: A stop answers once the files are written; without one after so long there will be none here.
FIRST_S: Final = 30.0
#: So many looks in a row find nothing new before the files are taken for all of them.
_QUIET: Final = 5

Stamps = Mapping[Path, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Ticks:
    """The time in seconds, and how to let some pass."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Written:
    """New traces by name: those that are whole, and those that are not."""

    whole: tuple[Path, ...]
    unfinished: tuple[Path, ...]


def stamps(folder: Path) -> Stamps:
    """Every trace in the folder with its size and time; none of a folder that is not there."""
    found = {}
    try:
        for path in sorted(folder.iterdir()):
            if path.name.endswith(_SUFFIXES) and path.is_file():
                stat = path.stat()
                found[path] = (stat.st_size, stat.st_mtime_ns)
    except OSError:
        pass  # not there, or gone while it was looked at: the next look tells
    return found


def is_whole(path: Path) -> bool:
    """Whether the file has its end."""
    try:
        with path.open("rb") as file:
            if path.suffix != ".gz":
                file.seek(max(0, path.stat().st_size - 64))
                return file.read().rstrip()[-1:] == b"}"
            unpack = zlib.decompressobj(wbits=31)
            while piece := file.read(_PIECE):
                unpack.decompress(piece)
            return unpack.eof
    except (OSError, zlib.error):
        return False


def written(
    folder: Path, before: Stamps, wait_s: float, clock: Ticks, enough: Callable[[tuple[Path, ...]], bool] = bool
) -> Written:
    """The traces that are new since `before`, once they are `enough`, all whole and no more come, or after `wait_s`."""
    began = clock.now()
    last: Stamps = {}
    quiet = 0
    whole: set[Path] = set()
    while True:
        now = {path: stamp for path, stamp in stamps(folder).items() if before.get(path) != stamp}
        quiet = quiet + 1 if now == last else 0
        still = {path for path in now if now[path] == last.get(path)}
        whole = {path for path in still if path in whole or is_whole(path)}
        last = now
        done = len(whole) == len(now) and enough(tuple(sorted(now))) and quiet >= _QUIET
        if done or clock.now() - began >= (wait_s if now else min(wait_s, FIRST_S)):
            return Written(tuple(sorted(whole)), tuple(sorted(now.keys() - whole)))
        clock.sleep(POLL_S)
