"""Which spans of a scene a viewer marks: those of a group of the table, or those that a search finds.

Computed once a scene and question, so that a zoom only cuts. Knows a scene and a question; no window, no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.analysis.selection.grouping import groups_of
from rope_prof.views.timeline.lanes import TONES, Int64s, Lane, lane
from rope_prof.views.timeline.scene import Scene, name_key
from rope_prof.views.words.groupings import NOT_TOLD

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Question:
    """What is marked: the spans of the group `key` of grouping `by`, else the spans whose name holds `find`.

    `only`: what is not marked is not drawn.
    """

    by: str = "name"
    key: str | None = None
    find: str = ""
    only: bool = False

    @property
    def asks(self) -> bool:
        return self.key is not None or bool(self.find)


@dataclass(frozen=True, slots=True, eq=False)
class Grouped:
    """The GPU events of a scene by one grouping: `codes` numbers `names` for each row of `Scene.events`.

    `ns`: the summed time of each on the lanes that are drawn; copies and sets, which have a colour of their own, aside.
    """

    names: tuple[str, ...]
    codes: Int64s
    ns: Int64s


@lru_cache(maxsize=24)
def grouped(scene: Scene, by: str) -> Grouped:
    """The scene's events by that grouping."""
    told = groups_of(scene.trace, scene.events, by).fill_null(NOT_TOLD.get(by, ""))
    names = told.unique(maintain_order=True)
    numbers = np.zeros(0, np.int64)
    if len(names):
        numbers = told.replace_strict(names, pl.int_range(len(names), eager=True), return_dtype=pl.Int64).to_numpy()
    total = np.zeros(len(names))
    for one in scene.lanes:
        if one.role == "kernel":
            taken = np.where(one.tones == TONES.index("copy"), 0, one.ends - one.starts)
            total += np.bincount(numbers[one.rows], weights=taken, minlength=len(names))
    return Grouped(tuple(names), numbers, total.astype(np.int64))


def codes_of(scene: Scene, one: Lane, by: str) -> tuple[tuple[str, ...], Int64s]:
    """Names, and the number of each span of that lane: of kernels its group, of all else its name."""
    if one.role != "kernel" or by == "name":
        return scene.names, one.codes
    found = grouped(scene, by)
    return found.names, found.codes[one.rows]


@lru_cache(maxsize=256)
def marked(scene: Scene, number: int, question: Question) -> Bools | None:
    """Of each span of that lane whether it is marked; None where nothing is asked for."""
    if not question.asks:
        return None
    one = scene.lanes[number]
    if question.key is None:
        return _holding(scene, question.find)[one.codes]
    names, codes = codes_of(scene, one, question.by)
    keys = scene.keys if names is scene.names else tuple(map(name_key, names))
    found: Bools = codes == (keys.index(question.key) if question.key in keys else -1)
    return found


@lru_cache(maxsize=16)
def _holding(scene: Scene, find: str) -> Bools:
    """Of each name whether it holds that text, in any case."""
    names = pl.Series(scene.names, dtype=pl.String).str.to_lowercase()
    found: Bools = names.str.contains(find.lower(), literal=True).to_numpy()
    return found


@lru_cache(maxsize=64)
def drawn(scene: Scene, number: int, question: Question) -> Lane:
    """That lane as it is drawn: where only marked spans are wanted, those alone; idle time always is."""
    one = scene.lanes[number]
    marks = marked(scene, number, question) if question.only else None
    if marks is None or one.role == "bubble":
        return one
    at = np.flatnonzero(marks)
    kept = lane(one.label, one.role, one.starts[at], one.ends[at], one.codes[at], one.tones[at], one.rows, items=at)
    return replace(kept, links=one.links, link_lanes=one.link_lanes)


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What a search finds, by start: the lane of each span, its place there, its start."""

    lanes: Int64s
    items: Int64s
    starts: Int64s


@lru_cache(maxsize=16)
def hits(scene: Scene, find: str, device: tuple[int, int], host: tuple[int, int] | None) -> Hits:
    """The spans whose name holds `find` in [lo, hi) of the device's lanes and of the host's (None: anywhere)."""
    lanes, items, starts = [], [], []
    for number, one in enumerate(scene.lanes if find else ()):
        marks = marked(scene, number, Question(find=find))
        if one.role == "bubble" or marks is None:
            continue
        part = device if one.role == "kernel" else host
        first, last = (0, len(one.starts)) if part is None else one.slice(*part)
        at = first + np.flatnonzero(marks[first:last])
        lanes.append(np.full(len(at), number))
        items.append(at)
        starts.append(one.starts[at])
    none = [np.zeros(0, np.int64)]
    order = np.argsort(np.concatenate(starts or none), kind="stable")
    return Hits(*(np.concatenate(arrays or none)[order] for arrays in (lanes, items, starts)))
