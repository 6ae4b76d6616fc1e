"""How an answer travels to the browser: arrays as base64 of little-endian numbers, each name once under a number."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rope_prof.views.timeline.marks import grouped
from rope_prof.views.timeline.scene import Scene, name_key
from rope_prof.views.words.causes import CAUSE_WORDS, cause_name
from rope_prof.views.words.names import short_name, told_apart

_SHORT: Final = 60
#: What tells groups apart may stand at their end: a shape.
_SHORT_GROUP: Final = 150
#: A name is sent whole up to here; a click on it brings all of it.
LONGEST_NAME: Final = 400


class SentNames:
    """The names that one answer needs, numbered in the order in which they are met; groups of kernels are names too."""

    def __init__(self, scenes: tuple[Scene, ...], by: str) -> None:
        self._at: dict[str, int] = {}
        time: dict[str, int] = {}
        for scene in {id(scene): scene for scene in scenes}.values():
            found = grouped(scene, by)
            for name, ns in zip(found.names, found.ns.tolist(), strict=True):
                time[name] = time.get(name, 0) + ns
        ordered = sorted((name for name in time if time[name]), key=lambda name: (-time[name], name))
        self._short = _SHORT if by == "name" else _SHORT_GROUP
        self._shorts = told_apart(ordered, self._short)
        self._hues = {name: hue for hue, name in enumerate(ordered)}

    def number(self, name: str) -> int:
        """The number of that name."""
        return self._at.setdefault(name, len(self._at))

    def numbers(self, names: tuple[str, ...], codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the names with those codes."""
        distinct, back = np.unique(codes, return_inverse=True)
        found = np.array([self.number(names[code]) for code in distinct.tolist()], np.int64)
        return found[back] if len(found) else back

    def entry(self, name: str) -> list[Any]:
        """What the browser knows of a name: key, name, short name, place among the groups by time or -1."""
        short = cause_name(name) if name in CAUSE_WORDS else self._shorts.get(name) or short_name(name, self._short)
        sent = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
        return [name_key(name), sent, short, self._hues.get(name, -1)]

    def table(self) -> list[list[Any]]:
        """The entry of each, by its number."""
        return [self.entry(name) for name in self._at]

    def legend(self) -> list[int]:
        """The numbers of the groups that take the most time, the most expensive first."""
        return [self._at[name] for name in [name for name in self._hues if name in self._at][:6]]


def _b64(array: npt.NDArray[Any]) -> str:
    return b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def f8(array: npt.NDArray[Any]) -> str:
    """Times."""
    return _b64(array.astype("<f8"))


def i4(array: npt.NDArray[Any]) -> str:
    """Numbers."""
    return _b64(array.astype("<i4"))


def u1(array: npt.NDArray[Any]) -> str:
    """Flags and shares."""
    return _b64(array.astype("u1"))
