"""Does an event hold a key twice? The decoder keeps the last one and says nothing, so the text is counted.

The quick answer: each searched key stands in the text as often as the decoded events are known to have it. Only where
that fails each event is looked at. What it can miss: a repeat of the very key that an arrow or a mark lacks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from rope_prof.io.kineto.structs import ABSENT, Label

#: Keys of args that a GPU event has and a figure rests on.
GPU_KEYS: Final = (
    *("graph id", "graph node id", "registers per thread", "shared memory"),
    *("grid", "block", "bytes", "External id"),
)
#: Keys whose repetition is looked for: of an event, and those of its args.
_SEARCHED: Final = (
    *("ts", "dur", "ph", "pid", "tid", "cat", "name", "args", "correlation", "stream", "device"),
    *GPU_KEYS,
)
_SEARCH: Final = "|".join(f'"{key}"' for key in _SEARCHED)
#: Searched key -> its length in quotes (at most eight), and the number that its last so many bytes are.
_ENDS: Final = {
    key: (min(len(key) + 2, 8), np.uint64(int.from_bytes(f'"{key}"'.encode()[-8:], "little"))) for key in _SEARCHED
}


class _Keys(msgspec.Struct, gc=False):
    """Which of the keys an event has."""

    ph: msgspec.Raw = ABSENT
    cat: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    pid: msgspec.Raw = ABSENT
    tid: msgspec.Raw = ABSENT
    ts: msgspec.Raw = ABSENT
    dur: msgspec.Raw = ABSENT
    args: msgspec.Raw = ABSENT


_decode_keys = msgspec.json.Decoder(list[_Keys]).decode
_decode_label = msgspec.json.Decoder(Label).decode


def keys_repeat(text: bytes, held: Mapping[str, int] | None, joins: int) -> bool:
    """Whether the text holds a key more often than there are events that have it: cause for a look at each.

    `held` says how many events are known to have each key, at least (None: not known); `joins` how many keys of args
    there are among those that are searched.
    """
    if held is not None and _colon_keys(text) == {key: held.get(key, 0) for key in _SEARCHED}:
        return False
    searched = pl.Series([text.decode("utf-8", errors="replace")])
    found = int(searched.str.count_matches(_SEARCH)[0])
    events = _decode_keys(b"[" + text.rstrip().removesuffix(b"]") + b"]")
    outer = sum(sum(map(bool, map(attrgetter(name), events))) for name in _Keys.__struct_fields__)
    named = sum(_labels(event.args) for event in events if bytes(event.ph) == b'"M"')
    return found > outer + joins + named


def _labels(args: msgspec.Raw) -> bool:
    """Whether the args of metadata have a name."""
    try:
        return _decode_label(args).name is not None
    except msgspec.DecodeError:
        return False
    except UnicodeDecodeError:  # a name in another encoding: there is one, and it is not read
        return b'"name"' in bytes(args)


def _colon_keys(text: bytes) -> dict[str, int]:
    """How often each searched key stands before a colon, by the eight bytes up to it: faster than a regex.

    Misses a key with a blank before its colon: then it is less than what is held, and the slower count decides.
    """
    text = b" " * 8 + text  # so that eight bytes end at any quote
    characters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero((characters[7:-1] == ord('"')) & (characters[8:] == ord(":")))
    eights = np.ndarray((len(text) - 7,), np.dtype("<u8"), buffer=text, strides=(1,))[ends]
    lasts = {length: eights >> np.uint64(8 * (8 - length)) for length in {length for length, _ in _ENDS.values()}}
    return {key: int(np.count_nonzero(lasts[length] == end)) for key, (length, end) in _ENDS.items()}


def pairs_repeat(text: bytes) -> bool:
    """Whether any object in the text of one event holds a key twice."""
    repeats = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal repeats
        repeats = repeats or len({key for key, _ in pairs}) < len(pairs)

    try:
        json.loads(text, object_pairs_hook=look, strict=False)
    except (ValueError, RecursionError):
        return False
    return repeats
