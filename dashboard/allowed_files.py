"""Which files a viewer may open: those inside the folders given at start, by name, with no way out of them.

A name is `FOLDER/inside/of/it.json.gz`, FOLDER the short name of a permitted folder. No `..`, and a link counts as
where it leads.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path, PurePosixPath
from typing import Final

from rope_prof.errors import UsageError
from rope_prof.io.trace.cache import SUFFIX as CACHE_SUFFIX
from rope_prof.io.trace.formats import SUFFIXES

MOST_OFFERED: Final = 400
_NOT_TRACES: Final = frozenset({"run.json", "end_to_end.json", "nsight.json", "facts.json"})


def asked_folders(arguments: Sequence[str] | None = None) -> list[Path]:
    """The folders after each `--folder` on the command line of the app."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    return [Path(following) for word, following in pairwise(words) if word == "--folder"]


def named(folders: Sequence[Path]) -> dict[str, Path]:
    """Short name -> real folder, each once; folders of one name get a number."""
    found: dict[str, Path] = {}
    for folder in dict.fromkeys(Path(os.path.realpath(folder)) for folder in folders):
        if folder.is_dir():
            base = folder.name or "root"
            name = next(n for n in (base, *(f"{base}-{k}" for k in range(2, 1000))) if n not in found)
            found[name] = folder
    return found


def offered(folders: Mapping[str, Path]) -> list[str]:
    """The names of the traces inside, in order; at most `MOST_OFFERED`. Follows no link."""
    return list(islice(_names(folders), MOST_OFFERED))


def _names(folders: Mapping[str, Path]) -> Iterator[str]:
    for name, folder in folders.items():
        for here, below, files in os.walk(folder, followlinks=False):
            below[:] = sorted(one for one in below if not one.startswith(".") and not one.endswith(CACHE_SUFFIX))
            for file in sorted(files):
                path = Path(here) / file
                if file.endswith(SUFFIXES) and file not in _NOT_TRACES and not path.is_symlink():
                    yield f"{name}/{path.relative_to(folder).as_posix()}"


def resolve(folders: Mapping[str, Path], text: str) -> Path:
    """The real file of that name, or of a path that lies inside a permitted folder.

    Errors: UsageError for anything else, whether it exists or not.
    """
    wanted = PurePosixPath(text.strip())
    if "\0" in text or ".." in wanted.parts or not wanted.name:
        raise UsageError(f"'{text}' is no path inside a permitted folder; expected a path without '..'")
    for folder, inside in _places(folders, wanted):
        path = folder / inside
        real = Path(os.path.realpath(path))
        if real != folder and real.is_relative_to(folder):
            if real.is_file():
                return real
        elif os.path.lexists(path):
            raise UsageError(f"'{text}' leads out of the permitted folders; copy the file into one of them")
    where = ", ".join(str(folder) for folder in folders.values()) or "none was given"
    raise UsageError(f"no file '{text}' inside the permitted folders ({where}); start with --folder to permit another")


def _places(folders: Mapping[str, Path], wanted: PurePosixPath) -> Iterator[tuple[Path, PurePosixPath]]:
    """Where that could lie: as an absolute path, below the folder that it names, below any folder."""
    if wanted.is_absolute():
        for folder in folders.values():
            if wanted.is_relative_to(PurePosixPath(folder)):
                yield folder, wanted.relative_to(PurePosixPath(folder))
        return
    first = folders.get(wanted.parts[0])
    if first is not None and len(wanted.parts) > 1:
        yield first, PurePosixPath(*wanted.parts[1:])
    for folder in folders.values():
        yield folder, wanted
