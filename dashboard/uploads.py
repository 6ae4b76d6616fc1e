"""Files that viewers drop: each in a folder of ours, under an address that nobody can guess, while a session shows it.

A page that is loaded anew is a new session: a file stays for a moment after its last one has gone, then it goes with
all that was made of it.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import streamlit as st
from rope_prof.dashboard.kept import kept

from rope_prof.dashboard import allowed_files, foreign_traces
from rope_prof.errors import UsageError
from rope_prof.io.trace.formats import SUFFIXES

#: Begins the address of an uploaded file; a word of its own and the file's name follow.
UPLOADED: Final = "upload:"
#: So long a file stays behind the last session that showed it: a page is loaded anew within it.
STAYS_S: Final = 10.0
_KEEP: Final = 4
_WORD_BYTES: Final = 16


@dataclass(eq=False)
class Upload:
    """An uploaded file on disk; its folder goes with this record. `holders`: how many sessions show it."""

    address: str
    name: str
    path: Path
    folder: tempfile.TemporaryDirectory[str]
    holders: int = 0


#: The uploads of this server, by address.
_HELD: Final[dict[str, Upload]] = {}
_LOCK: Final = threading.Lock()


def dropped(widget: str, parameter: str) -> None:
    """Handler of an uploader: its file's address into the address under `parameter`; none where it was cleared."""
    file = st.session_state[widget]
    if file is None:
        st.query_params.pop(parameter, None)
    else:
        st.query_params[parameter] = _taken(file.file_id, file.name, file).address


def resolve(folders: Mapping[str, Path], address: str) -> tuple[Path, str]:
    """The file of that address, an upload or one of `folders`, and its name; an upload is from now on shown here too.

    Errors: UsageError for a file that is not there, or no longer.
    """
    if not address.startswith(UPLOADED):
        return allowed_files.resolve(folders, address), address
    if address not in _HELD:
        raise _lost(address)
    upload = _shown(address)
    return upload.path, upload.name


def named(said: str) -> str:
    """That text with the files' own names in place of where they lie."""
    for upload in list(_HELD.values()):
        if str(upload.path) in said:
            said = said.replace(str(upload.path), upload.name).replace(upload.path.name, upload.name)
    return said


def _lost(address: str) -> UsageError:
    name = address.partition("/")[2]
    return UsageError(f"{name!r} was uploaded to a page that is closed by now, and went with it; drop it again")


@kept(_KEEP, of_session=True)
def _taken(file_id: str, name: str, _file: BinaryIO) -> Upload:  # noqa: ARG001 - the key
    made = shelved(name, _file)
    _shown(made.address)
    return made


def shelved(name: str, file: BinaryIO) -> Upload:
    """The file on disk, under an address of its own; shown by nobody yet."""
    folder = tempfile.TemporaryDirectory(prefix="rope_prof-upload-")
    path = Path(folder.name) / f"upload{next((end for end in SUFFIXES if name.endswith(end)), '.gz')}"
    file.seek(0)
    with path.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
    address = f"{UPLOADED}{secrets.token_urlsafe(_WORD_BYTES)}/{name}"
    made = _HELD[address] = Upload(address, name, path, folder)
    return made


def left(upload: Upload) -> None:
    """One session shows it no longer: it is gone, or has gone on to other files."""
    with _LOCK:
        upload.holders -= 1
    timer = threading.Timer(STAYS_S, _gone, (upload,))
    timer.daemon = True
    timer.start()


def _gone(upload: Upload) -> None:
    with _LOCK:
        if upload.holders or upload.address not in _HELD:
            return
        del _HELD[upload.address]
    foreign_traces.forget_file(upload.path)
    upload.folder.cleanup()


@kept(_KEEP, of_session=True, release=left)
def _shown(address: str) -> Upload:
    with _LOCK:
        if address not in _HELD:
            raise _lost(address)
        upload = _HELD[address]
        upload.holders += 1
    return upload
