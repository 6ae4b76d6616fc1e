"""Recordings that are kept under names: a store of them, in the user's data folder or where `--store` says.

    STORE/main/20261130104512-1a2b3c4d.json            the figures, written last: without it nothing is there
    STORE/main/20261130104512-1a2b3c4d/run.json ...    the run itself, of the newest of its operation and machine

Every recording has files of its own, so that two machines that keep one at a time lose neither, on any store. Of older
ones the figures stay for the history and the run goes.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from rope_prof.errors import RunError, UsageError
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.layout import RUN_FILE, SAMPLES_FILE
from rope_prof.io.run.folder import RunFolder
from rope_prof.io.run.shelf import Shelf, shelf
from rope_prof.model.baseline import NamedRun
from rope_prof.model.frozen import decodable

VARIABLE: Final = "ROPE_PROF_BASELINES"
VERSION: Final = 1
_FACTS: Final = ".json"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Told(msgspec.Struct):
    version: int


class Baselines:
    """The store at `place`: a folder, a URL, or None for the variable's, else the user's data folder.

    Errors: UsageError for a name that none can have; RunError or StorageError where it cannot be read or written.
    """

    def __init__(self, place: str | None = None) -> None:
        self._place = place or default_place()

    @cached_property
    def _shelf(self) -> Shelf:
        return shelf(self._place)

    @property
    def address(self) -> str:
        """Where it lies."""
        return self._shelf.address

    def names(self) -> tuple[str, ...]:
        """The names that hold a recording, in order."""
        return tuple(name for name in self._shelf.names() if _NAME.fullmatch(name) and self._ids(name))

    def all(self, name: str) -> tuple[NamedRun, ...]:
        """Every recording under `name`, the oldest first.

        Errors: UsageError where there is none; RunError for a damaged one.
        """
        ids = self._ids(name)
        read = self._shelf.read([f"{name}/{one}{_FACTS}" for one in ids])
        found = [self._decoded(name, one, data) for one, data in zip(ids, read, strict=True)]
        if not found:
            known = ", ".join(self.names()) or "no names"
            raise UsageError(
                f"no baseline {name!r} in {self.address!r}, which holds {known}; keep one: baseline set {name} RUN"
            )
        return tuple(sorted(found, key=lambda one: (one.created, one.id)))

    def put(self, made: NamedRun, run: RunFolder) -> NamedRun:
        """Keep `made` with the files of its run; as it is kept. Older ones of its operation and machine lose theirs."""
        files = {name: (run.path / name).read_bytes() for name in _run_files(run)}
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        stamp = re.sub(r"\D", "", made.created[:19]) or "0"
        kept = replace(made, version=VERSION, id=f"{stamp}-{hashes[RUN_FILE][:8]}", files=hashes)
        with self._shelf.writer():
            at = f"{checked_name(made.name)}/{kept.id}"
            for name, data in files.items():
                self._shelf.write(f"{at}/{name}", data)
            self._shelf.write(f"{at}{_FACTS}", msgspec.json.encode(kept))
            alike = [one for one in self.all(made.name) if _kind(one) == _kind(kept)]
            for older in filter(lambda one: one.files, alike[:-1]):
                at = f"{older.name}/{older.id}"
                self._shelf.write(f"{at}{_FACTS}", msgspec.json.encode(replace(older, files={})))
                self._shelf.remove(at)
        return kept

    def remove(self, name: str) -> int:
        """Take everything under `name` away; how many recordings that were. Errors: UsageError where there is none."""
        count = len(self._ids(checked_name(name)))
        if not count:
            self.all(name)
        with self._shelf.writer():
            self._shelf.remove(name)
        return count

    @contextmanager
    def opened(self, one: NamedRun) -> Iterator[Path]:
        """The run folder of `one`, while the context lasts. Errors: RunError for files that are gone or not as kept."""
        with self._shelf.folder(f"{one.name}/{one.id}") as folder:
            for name, expected in one.files.items():
                path = folder / name
                seen = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "nothing"
                if seen != expected:
                    raise RunError(
                        f"{name} of baseline {one.name!r} in {self.address!r} is not what was kept "
                        f"({seen[:8]}; expected {expected[:8]}); keep it anew: baseline set {one.name} RUN"
                    )
            yield folder

    def _ids(self, name: str) -> list[str]:
        """The recordings under `name` that were kept whole."""
        found = self._shelf.names(checked_name(name))
        return [one.removesuffix(_FACTS) for one in found if one.endswith(_FACTS)]

    def _decoded(self, name: str, one: str, data: bytes) -> NamedRun:
        where = f"{name}/{one}{_FACTS}"
        try:
            version = msgspec.json.decode(data, type=decodable(_Told)).version
            if version > VERSION:
                raise RunError(
                    f"{where!r} in {self.address!r} has version {version}; this rope_prof reads up to {VERSION}: "
                    "install a newer rope_prof"
                )
            found = msgspec.json.decode(data, type=decodable(NamedRun))
        except DAMAGED as error:
            raise RunError(
                f"{where!r} in {self.address!r} is damaged ({error}); delete it, or all: baseline rm {name}"
            ) from error
        stray = [file for file in found.files if Path(file).name != file or file in {"", ".", ".."}]
        if (found.name, found.id) != (name, one) or stray:
            raise RunError(
                f"{where!r} in {self.address!r} says that it is {found.name}/{found.id}"
                f"{' with the file ' + repr(stray[0]) if stray else ''}; expected {name}/{one} and files of its own: "
                f"delete it, or all: baseline rm {name}"
            )
        return found


def default_place() -> str:
    """The variable's folder or URL; else `rope_prof/baselines` in XDG_DATA_HOME, else in `~/.local/share`."""
    told = os.environ.get(VARIABLE, "")
    if told:
        return told
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return str(base / "rope_prof" / "baselines")


def checked_name(name: str) -> str:
    """That name. Errors: UsageError for one that is no file name everywhere."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name of a baseline; expected a letter or digit, then up to 63 letters, digits, '.', '_' "
            "or '-', as in main or release-0.2"
        )
    return name


def _kind(one: NamedRun) -> tuple[str, str]:
    return one.operation, one.machine


def _run_files(run: RunFolder) -> list[str]:
    """What a comparison needs of a run folder."""
    traces = [name for one in run.run.keys for name in (one.trace, one.light_trace) if name]
    return [name for name in (RUN_FILE, SAMPLES_FILE, *traces) if (run.path / name).is_file()]
