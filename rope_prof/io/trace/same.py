"""Which of many files are one: two copies, a link, a second name. Of files on this disk; a URL is not asked for it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rope_prof.io.trace.storage import Source


def one_content(sources: Sequence[Source]) -> list[tuple[str, ...]]:
    """The names of each content that has several; only files of one size are read."""
    sizes: dict[int, list[Source]] = defaultdict(list)
    for source in sources:
        if "://" not in source.address:
            sizes[source.size].append(source)
    found: dict[str, list[str]] = defaultdict(list)
    for source in (one for alike in sizes.values() if len(alike) > 1 for one in alike):
        with suppress(OSError), Path(source.address).open("rb") as file:
            found[hashlib.file_digest(file, "blake2b").hexdigest()].append(source.shown)
    return [tuple(names) for names in found.values() if len(names) > 1]


def said(names: Sequence[str]) -> str:
    """`2 names of one content: a.json, b.json; each is counted by itself`."""
    listed = ", ".join(ascii(name)[1:-1] for name in names[:6]) + (", ..." if len(names) > 6 else "")
    return f"{len(names)} names of one content: {listed}; each is counted by itself"
