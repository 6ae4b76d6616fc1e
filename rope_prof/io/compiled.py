"""Functions in C, compiled on the user's machine where a C compiler is; everything works without them.

A source is compiled once, in under a second, by the user's own compiler when a trace is large enough, or as much was
read of small ones, kept in the user's cache folder by its text, and loaded from there. `ROPE_PROF_SCANNER=0` turns all
of it off, `1` compiles it for a trace of any size.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, cast

from rope_prof.io.store import compiled_kept, digest

VARIABLE: Final = "ROPE_PROF_SCANNER"
#: Compiling takes as long as a scan saves on so much.
WORTH_BYTES: Final = 32 << 20
_FILE: Final = "scan.so"
_BUILD_S: Final = 60


@dataclass(frozen=True)
class CompiledSource:
    """A file of C."""

    path: Path
    #: Bytes that this process read in Python, piece by piece, while there was nothing compiled.
    missed: list[int] = field(default_factory=list, compare=False)

    def ready(self, size: int) -> bool:
        """Whether it can be used; compiled now where `size` bytes are to be read that are worth it, or were."""
        worth = max(size, sum(self.missed)) >= WORTH_BYTES or os.environ.get(VARIABLE) == "1"
        if self._library() is None and worth and _is_wanted() and self._build():
            _loaded.cache_clear()
        return self._library() is not None

    def function(self, name: str) -> Callable[..., int] | None:
        """One of its functions, which give int64; None where there is nothing to use."""
        library = self._library()
        if library is None:
            return None
        function = getattr(library, name)
        function.restype = ctypes.c_int64
        return cast(Callable[..., int], function)

    def _library(self) -> ctypes.CDLL | None:
        return _loaded(self.path, compiled_kept().folder) if _is_wanted() else None

    def _build(self) -> bool:
        """Compile it with the user's compiler and keep it; whether that was done."""
        found = (shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang"))
        compiler = next((path for path in found if path), None)
        return compiler is not None and _built_by(compiler, self.path, compiled_kept().folder)


def _is_wanted() -> bool:
    return os.environ.get(VARIABLE) != "0" and sys.byteorder == "little"


@cache
def _loaded(source: Path, _: Path) -> ctypes.CDLL | None:
    """What is kept in that folder of a source."""
    entry = compiled_kept().entry(_key(source))
    with suppress(OSError, ValueError, KeyError):
        if entry is not None:
            entry.read(_FILE)  # holds it against its digest
            return ctypes.CDLL(str(entry.folder / _FILE))
    return None


def _key(source: Path) -> str:
    return digest(json.dumps([source.read_text(), sys.platform, platform.machine()]).encode())


@cache
def _built_by(compiler: str, source: Path, _: Path) -> bool:
    with tempfile.TemporaryDirectory() as folder, suppress(OSError, subprocess.SubprocessError):
        out = Path(folder) / _FILE
        command = [compiler, "-O3", "-shared", "-fPIC", "-o", str(out), str(source)]
        subprocess.run(command, check=True, capture_output=True, timeout=_BUILD_S)
        compiled_kept().keep(_key(source), [(_FILE, out.read_bytes())])
        return True
    return False
