"""Which of many files are one: two copies, a link, a second name. Of files on this disk; a URL is not asked for it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rope_prof.io.trace.storage import Source

#: Bytes in which nearly all traces of one size differ: Kineto writes the time of the first event there.
_BEGINNING: Final = 1 << 16
_PIECE: Final = 1 << 20


def one_content(sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """The names of each content that has several; files of one size are read as far as they are alike, side by side."""
    sized: dict[int, list[Source]] = defaultdict(list)
    for source in sources:
        if "://" not in source.address:
            sized[source.size].append(source)
    place = {source.shown: at for at, source in enumerate(sources)}
    found: list[tuple[str, ...]] = []
    waiting = [(0, same) for same in sized.values() if len(same) > 1]
    while waiting:
        at, same = waiting.pop()
        most = _PIECE if at else _BEGINNING
        for length, alike in _alike(same, at, most):
            if length == most:
                waiting.append((at + length, alike))
            else:
                found.append(tuple(source.shown for source in alike))
    return sorted(found, key=lambda names: place[names[0]])


def _alike(sources: Sequence[Source], at: int, most: int) -> list[tuple[int, list[Source]]]:
    """Those that are alike for `most` bytes from `at` or to their ends, and how many bytes those were."""
    first: bytes | None = None
    parts: dict[bytes, list[Source]] = defaultdict(list)
    lengths: dict[bytes, int] = {}
    for source in sources:
        with suppress(OSError), Path(source.address).open("rb", buffering=0) as file:
            file.seek(at)
            piece = file.read(most)
            first = piece if first is None else first
            mark = b"" if piece == first else hashlib.sha256(piece).digest()
            parts[mark].append(source)
            lengths[mark] = len(piece)
    return [(lengths[mark], alike) for mark, alike in parts.items() if len(alike) > 1]


def said(names: Sequence[str]) -> str:
    """`2 names of one content: a.json, b.json; each is counted by itself`."""
    listed = ", ".join(ascii(name)[1:-1] for name in names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} names of one content: {listed}; each is counted by itself"
