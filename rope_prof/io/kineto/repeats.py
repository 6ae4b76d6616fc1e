"""Does an event hold a key twice, whichever key it is? The decoder keeps the last one and says nothing.

Profilers write all events of a kind with the same keys, so the text is looked at by *form*: the keys of an event, known
by the length and the last eight bytes of each. One event of each form is parsed. What it can miss: a key twice in an
event whose keys are, so seen, those of another one before it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from rope_prof.io.kineto.categories import NO_FIGURE, role
from rope_prof.model.frozen import Frozen

#: Keys that a figure rests on, of an event that is read and of its args. Of a GPU event every key counts.
_READ: Final = frozenset(
    (
        *("ts", "dur", "ph", "pid", "tid", "cat", "name", "args", "correlation", "stream", "device"),
        *("External id", "external id", "Sequence number", "Fwd thread id", "Input Dims", "Input type"),
    )
)
#: Events that are no complete ones and yet are read: metadata and the window's end. Of arrows nothing is.
_MARKS: Final = frozenset(("M", "i", "I"))
_JOINED: Final = 8
#: Distance of a key's quotes, at most seven -> which bits of the last eight bytes are its own.
_MASKS: Final = np.array([(2**64 - 1) << 8 * (7 - n) & (2**64 - 1) for n in range(8)], np.uint64)
_ODD: Final = np.array([0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93], np.uint64)

Twice = Literal["read", "unread", "none", "unparsed"]
Places = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]


class Repeats(Frozen):
    """How many events hold a key twice that a figure can rest on, and how many only others."""

    read: int = 0
    unread: int = 0
    texts: tuple[tuple[Twice, bytes], ...] = ()  # of each form that does, the first event, in the text's order


def repeats(text: bytes) -> Repeats:
    """The events of a piece of an event array that hold a key twice."""
    begins = _begins(text)
    ends = np.append(begins[1:], len(text))
    opens, keys, apart = _keys(text)
    first = np.searchsorted(keys, begins)
    held = np.flatnonzero(np.diff(first, append=len(keys)))  # events with a key
    counts = np.ones(len(held), np.int64)
    # where keys stand apart from their colons each event is parsed
    if len(held) and not apart:
        forms = np.add.reduceat(_hashes(text, opens, keys), first[held])
        _, one, counts = np.unique(forms, return_index=True, return_counts=True)
        held = held[one]
    found = Counter[Twice]()
    seen: dict[int, tuple[Twice, bytes]] = {}
    for k, count in zip(held.tolist(), counts.tolist(), strict=True):
        twice, event = _repeat(text, begins, ends, k)
        found[twice] += count
        if twice in ("read", "unread"):
            seen[k] = twice, event
    return Repeats(found["read"], found["unread"], tuple(seen[k] for k in sorted(seen)))


def _begins(text: bytes) -> Places:
    """Where events begin: behind `}`, a comma and blanks. One that begins inside an event's args is found too."""
    characters = np.frombuffer(text, np.uint8)
    opens = np.flatnonzero(characters == ord("{"))
    at = _back(characters, opens)
    at = np.where(characters[at] == ord(","), _back(characters, at), 0)
    follows = (characters[at] == ord("}")) & (at > 0)
    return np.concatenate(([0], opens[follows]))


def _back(characters: npt.NDArray[np.uint8], places: Places) -> Places:
    """For each place the last one before it that holds no blank; 0 where there is none."""
    at = np.maximum(places - 1, 0)
    blank = np.flatnonzero((characters[at] <= ord(" ")) & (at > 0))
    while len(blank):
        at[blank] -= 1
        blank = blank[(characters[at[blank]] <= ord(" ")) & (at[blank] > 0)]
    return at


def _keys(text: bytes) -> tuple[Places, Places, bool]:
    """Where keys begin and end: their quotes, a colon behind the second. And whether some stand apart from theirs."""
    characters = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(characters[:-1] == ord('"'))
    after = characters[1:][quotes]
    ends = np.flatnonzero(after == ord(":"))
    ends = ends[ends > 0]
    later = quotes[after <= ord(" ")] + 1
    while len(later):
        later = later[later + 1 < len(characters)] + 1
        if np.any(characters[later] == ord(":")):
            break
        later = later[characters[later] <= ord(" ")]
    return quotes[ends - 1], quotes[ends], bool(len(later))


def _hashes(text: bytes, opens: Places, keys: Places) -> _Words:
    """A number for each key, of its last eight bytes and its length. Their sum tells what keys an event has."""
    padded = b" " * 7 + text  # so that eight bytes end at any quote
    words = np.ndarray((len(text),), np.dtype("<u8"), buffer=padded, strides=(1,))
    size = keys - opens
    mixed: _Words = words[keys]
    mixed &= _MASKS[np.minimum(size, 7)]
    mixed += size.view(np.uint64)
    mixed *= _ODD[0]
    mixed ^= mixed >> np.uint64(29)
    mixed *= _ODD[1]
    mixed ^= mixed >> np.uint64(32)
    return mixed


def _repeat(text: bytes, begins: Places, ends: Places, k: int) -> tuple[Twice, bytes]:
    """What `repeated_key` says of event `k`, and its text."""
    for last in range(k, min(k + _JOINED, len(begins))):  # an object inside it looks like an event's begin
        event = text[begins[k] : ends[last]].rstrip(b", \t\r\n")
        found = repeated_key(event)
        if found != "unparsed":
            return found, event
    return "none", b""


def repeated_key(text: bytes) -> Twice:
    """Whether a key stands twice in the text of an event: one that a figure rests on, or only others."""
    twice: set[str] = set()

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            left = [key for key, _ in pairs]
            for key in seen:
                left.remove(key)
            twice.update(left)
        return seen

    try:
        event = json.loads(text, object_pairs_hook=look, strict=False)
    except (ValueError, RecursionError):
        return "unparsed"
    if not twice or not isinstance(event, dict):
        return "none"
    frame = role(category)[0] if isinstance(category := event.get("cat"), str) else ""
    read = twice & _READ and (frame not in NO_FIGURE or event.get("ph") in _MARKS or "cat" in twice)
    return "read" if frame == "gpu" or read else "unread"
