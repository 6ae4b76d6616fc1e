"""A copy of a run, or of one trace, for others: secrets, host, user, environment and paths out of every file.

What a file looks like for others says `clean_files`. A link is not followed, what a cache or a lock holds is no part of
the run, and every file that is not in the copy is named with the reason.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from rope_prof.errors import RunError, UsageError
from rope_prof.io.layout import is_export_folder
from rope_prof.io.run.clean_files import clean_file
from rope_prof.io.run.redact import PrivateWords, private_words

_ARCHIVES: Final = {".zip": "zip", ".tar": "w", ".gz": "w:gz", ".tgz": "w:gz"}
#: Ends of the names of files and folders that are no part of a run.
_SKIPPED: Final = (".part", ".rope_prof-cache", "__pycache__")
#: A time for all files of an archive: when they were made is nobody's business. The earliest that zip knows.
_TIME: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Archive:
    """What was made. `uneditable`: file -> what is to be known of it; `left_out`: file -> why it is not in the copy.

    `notes`: file -> what was not cleaned as its format would allow, or what went from it whole.
    """

    path: Path
    cleaned: tuple[str, ...] = ()
    uneditable: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """What a user must read, a line each."""
        yield f"{len(self.cleaned)} files cleaned of secrets, host, user, environment and paths in {self.path}"
        for name, what in (self.notes | self.uneditable).items():
            yield f"{name}: {what}"
        for name, why in self.left_out.items():
            yield f"{name}: left out; {why}"


def write_archive(source: Path, out: Path, words: PrivateWords | None = None) -> Archive:
    """Write a cleaned copy of `source` (a run folder or one trace) to `out`: a folder, or a .zip, .tar or .tar.gz.

    `words`: what counts as private besides secrets and paths; by default this machine's own.
    Errors: UsageError where `out` is there already or `source` is not; RunError where a file cannot be read or written.
    """
    if not source.exists():
        raise UsageError(f"no file or folder {str(source)!r}; expected a run folder or a trace")
    if out.exists():
        raise UsageError(f"{str(out)!r} is there already; choose another -o, an archive overwrites nothing")
    found = private_words() if words is None else words
    left_out: dict[str, str] = {}
    files = dict(_files(source, left_out)) if source.is_dir() else {source.name: source}
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        copy = Path(scratch) / "copy"
        copy.mkdir()
        try:
            archive = _fill(copy, files, found, Archive(out, left_out=left_out))
            _deliver(copy, out)
        except OSError as error:
            raise RunError(
                f"cannot write the archive {str(out)!r} ({error.strerror or error}); choose another -o"
            ) from error
    return archive


def _files(root: Path, left_out: dict[str, str]) -> Iterator[tuple[str, Path]]:
    """(name, file) of all that is a part of the run, in order; what else lies there is named in `left_out`."""
    for here, folders, names in os.walk(root, followlinks=False):
        for name in sorted((*folders, *names)):
            path = Path(here) / name
            told = str(path.relative_to(root))
            if path.is_symlink():
                left_out[told] = "a link; what it leads to is no part of the run"
            elif name.endswith(_SKIPPED) or name.startswith("."):
                continue
            elif is_export_folder(path.parent):
                left_out[told] = "a table of an nsys export; export it as SQLite, which is cleaned as a whole"
            elif path.is_file():
                yield told, path
            elif not path.is_dir():
                left_out[told] = "no file but a pipe or a device"
        folders[:] = sorted(name for name in folders if not name.endswith(_SKIPPED) and not name.startswith("."))


def _fill(copy: Path, files: dict[str, Path], words: PrivateWords, archive: Archive) -> Archive:
    cleaned: list[str] = []
    for name, path in sorted(files.items()):
        made = clean_file(path.name, path.read_bytes(), words)
        shown = _free(copy, _clean_name(name, words))
        if made.data is None:
            archive.left_out[shown] = made.note or ""
            continue
        target = copy / shown
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(made.data)
        if made.edited:
            cleaned.append(shown)
        if made.note is not None:
            (archive.notes if made.edited else archive.uneditable)[shown] = made.note
    return Archive(archive.path, tuple(cleaned), archive.uneditable, archive.left_out, archive.notes)


def _clean_name(name: str, words: PrivateWords) -> str:
    """A file's name without private words, which `run.json` names cleaned as well; each part by itself."""
    parts = [words.blank(part).replace("/", "_") for part in PurePath(name).parts]
    return str(PurePath(*(part.encode("utf-8", errors="replace").decode() for part in parts)))


def _free(copy: Path, name: str) -> str:
    """`name`, or `name.2` and so on where another file has lost its own name to that one."""
    number, free = 1, name
    while (copy / free).exists():
        number += 1
        free = f"{name}.{number}"
    return free


def _deliver(copy: Path, out: Path) -> None:
    """The cleaned files as `out`: no owner, no time of theirs goes with them."""
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    mode = _ARCHIVES.get(out.suffix)
    if mode is None:
        for path in files:
            target = out / path.relative_to(copy)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        out.mkdir(parents=True, exist_ok=True)
        return
    stem = re.sub(r"\.(zip|tar|tgz|tar\.gz)$", "", out.name) or "run"
    named = [(f"{stem}/{path.relative_to(copy).as_posix()}", path.read_bytes()) for path in files]
    out.parent.mkdir(parents=True, exist_ok=True)
    if mode == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in named:
                archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
        return
    with tarfile.open(out, mode) as packed:  # type: ignore[call-overload]
        for name, data in named:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            packed.addfile(about, io.BytesIO(data))
