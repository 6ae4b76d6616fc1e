"""Which of many files are one: two copies, a link, a second name. Of files on this disk; a URL is not asked for it."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from rope_prof.io.trace.storage import Source

#: Bytes in which nearly all traces of one size differ: Kineto writes the time of the first event there.
_BEGINNING = 1 << 16


def one_content(sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """The names of each content that has several; only files of one size and one beginning are read whole."""
    local = [source for source in sources if "://" not in source.address]
    sized = _several(local, lambda source: source.size)
    begun = _several(sized, lambda source: (source.size, _digest(source, _BEGINNING)))
    found: dict[str, list[str]] = defaultdict(list)
    for source in begun:
        if (content := _digest(source)) is not None:
            found[content].append(source.shown)
    return [tuple(names) for names in found.values() if len(names) > 1]


def _several(sources: Sequence[Source], mark: Callable[[Source], object]) -> list[Source]:
    """Those that share their mark with another."""
    marks = [mark(source) for source in sources]
    counts = Counter(marks)
    return [source for source, mine in zip(sources, marks, strict=True) if counts[mine] > 1]


def _digest(source: Source, most: int | None = None) -> str | None:
    """Of the file's content, or of so many bytes of it; None where it cannot be read."""
    with suppress(OSError), Path(source.address).open("rb") as file:
        digest = hashlib.sha256(file.read(most)) if most is not None else hashlib.file_digest(file, "sha256")
        return digest.hexdigest()
    return None


def said(names: Sequence[str]) -> str:
    """`2 names of one content: a.json, b.json; each is counted by itself`."""
    listed = ", ".join(ascii(name)[1:-1] for name in names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} names of one content: {listed}; each is counted by itself"
