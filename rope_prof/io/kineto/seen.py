"""An event of a Kineto file as a finding names it, from its text or its fields, as far as they can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from rope_prof.io.kineto.categories import role
from rope_prof.io.kineto.digits import microseconds_to_ns

#: What `model.trace.Finding.events` holds.
Seen = dict[str, Any]
_FIELDS: Final = re.compile(rb'"(cat|name|ts|dur)"\s*:\s*("(?:[^"\\]|\\.)*"|[-+.\w]+)')


def seen(text: bytes) -> Seen:
    """The event of a text that may be damaged: the first of each field counts."""
    fields: dict[str, bytes] = {}
    for name, value in _FIELDS.findall(text):
        fields.setdefault(name.decode(), value)
    return told(_plain(fields.get("cat")), _plain(fields.get("name")), fields.get("ts", b""), fields.get("dur", b""))


def told(category: str | None, name: Any, start: bytes, taken: bytes) -> Seen:
    """The event of these fields; times are JSON text in microseconds, and None where they cannot be read."""
    values, good = microseconds_to_ns([bytes(start), bytes(taken)])
    times = [int(value) if fine else None for value, fine in zip(values, good, strict=True)]
    kind = "gpu" if role(category)[0] == "gpu" else "host"
    text = None if name is None else str(name).encode(errors="replace").decode()  # half a letter is none
    return {"kind": kind, "name": text, "start_ns": times[0], "dur_ns": times[1]}


def told_objects(events: Iterable[Any]) -> list[Seen]:
    """Events that stand as objects of JSON; others are left out."""
    held = (event for event in events if isinstance(event, dict))
    return [
        told(str(e.get("cat")), e.get("name"), *(json.dumps(e.get(key)).encode() for key in ("ts", "dur")))
        for e in held
    ]


def _plain(value: bytes | None) -> str | None:
    if value is None:
        return None
    text = value.decode("utf-8", errors="replace")
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text, strict=False))
    except ValueError:
        return text.strip('"')
