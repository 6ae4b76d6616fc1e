"""What is private in a file for others: the words of a machine and its owner, and how to find and blank them in text.

Host, user, home folder and the environment's values are looked up where this program runs; secrets and absolute paths
are found by their form (`secrets`, `personal_paths`), since a file may come from another machine. One cleaner for all
that leaves: archives, reports, tables, native traces.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rope_prof.model.frozen import Frozen

if TYPE_CHECKING:
    from rope_prof.io.run.secrets import Note

#: Names that most machines carry, or that mean no one.
_NOBODY: Final = frozenset(
    (
        *("localhost", "root", "user", "ubuntu", "runner", "nobody", "docker", "admin", "guest", "test", "build"),
        *("jovyan", "coder", "vscode", "ec2-user", "azureuser", "debian", "centos", "fedora", "default", "workspace"),
        *("jenkins", "cuda", "torch", "pytorch", "triton", "nvidia", "flash", "python", "kernel"),
    )
)
_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASS|AUTH|CRED", re.IGNORECASE)
#: Variables that images of NVIDIA's set alike for everybody (`compute,graphics,utility`), and the shell's own `_`, the
#: program as it was typed (`.venv/bin/python`).
_PUBLIC_NAME: Final = re.compile(r"(?:NVIDIA|NV|CUDA)_|_$")
_LEAST_VALUE: Final = 16
_LEAST_SECRET: Final = 6
#: A host's or user's name of so many letters is found between two `_`, and in the midst of a word.
_LEAST_JOINED: Final = 5
_LEAST_INSIDE: Final = 8
_MOST_PASSES: Final = 4
#: A printable run of so many letters in a binary file is no chance.
_LEAST_FORM: Final = 12
#: So many texts are remembered.
_MOST_KNOWN: Final = 1 << 14


class PrivateWords(Frozen):
    """word -> what it is: `host`, `user`, `home` or `environment`. Longest first, so that no part is left over."""

    kinds: Mapping[str, str]

    def found(self, text: str) -> Iterator[str]:
        """The kinds of the words that stand in `text`, each once."""
        seen = {
            kind for word, kind in self.kinds.items() if _stands(word, kind, text) and _whole(word, kind).search(text)
        }
        yield from sorted(seen)

    def blank(self, text: str, note: Note | None = None) -> str:
        """`text` without secrets, without the words and without absolute paths outside the system's own folders.

        Again until nothing more goes: what is taken out may lay bare what stood before or behind it. `note` is called
        with kind and text of each thing that goes.
        """
        for _ in range(_MOST_PASSES):
            before, text = text, self._blank(text, note)
            if text == before:
                break
        return text

    def _blank(self, text: str, note: Note | None) -> str:
        from rope_prof.io.run.personal_paths import without_paths  # dear to load, and many commands clean nothing
        from rope_prof.io.run.secrets import without_secrets

        text = without_secrets(text, note)
        for word, kind in self.kinds.items():
            if kind == "home" and word in text:
                text = _blanked(re.compile(rf"{re.escape(word)}(?![\w.+@~%/-])"), kind, text, note)
        text = without_paths(text, note)
        for word, kind in self.kinds.items():
            if _stands(word, kind, text):
                text = _blanked(_whole(word, kind), kind, text, note)
        return text


@dataclass(slots=True)
class Cleaner:
    """Texts for everybody: no token, no private word, no path. `removed`: kind -> the different things that went."""

    words: PrivateWords
    removed: dict[str, set[str]] = field(default_factory=dict)
    _known: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, text: str) -> str:
        """`text` without them. The same texts come again and again: what became of the last ones is known."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[text] = self.words.blank(text, self._note)
        return found

    def _note(self, kind: str, what: str) -> None:
        self.removed.setdefault(kind, set()).add(what)

    def lines(self) -> tuple[str, ...]:
        """`2 home folders`, `1 token`: how many different ones of each kind went."""
        names = {
            "home": "home folder",
            "address": "mail or network name",
            "host": "host name",
            "user": "user name",
            "environment": "environment value",
        }
        counts = {names.get(kind, kind): len(found) for kind, found in sorted(self.removed.items())}
        return tuple(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())

    def sentence(self) -> str:
        """What went until now, for who writes the text: `removed before writing: 1 token`."""
        found = self.lines()
        return f"removed before writing: {', '.join(found)}" if found else "nothing private was found in it"

    def notice(self) -> str:
        """The same for who reads it, with what was looked for."""
        said = self.sentence()
        return f"{said[0].upper()}{said[1:]} (tokens, host and user names, home folders, paths)."


def _blanked(pattern: re.Pattern[str], kind: str, text: str, note: Note | None) -> str:
    if note is not None:
        for found in pattern.finditer(text):
            note(kind, found.group(0))
    from rope_prof.io.run.secrets import BLANK

    return pattern.sub(BLANK, text)


def _stands(word: str, kind: str, text: str) -> bool:
    """Whether it could; names of hosts and users are the same in capitals."""
    return word in text or (kind in {"host", "user"} and word.lower() in text.lower())


def _whole(word: str, kind: str) -> re.Pattern[str]:
    """A value or a folder may be part of a longer word; a name the less, the shorter it is, since it may be chance."""
    escaped = re.escape(word)
    if kind not in {"host", "user"}:
        return re.compile(escaped)
    if len(word) >= _LEAST_INSIDE:
        return re.compile(rf"(?i:{escaped})")
    letter = "[A-Za-z0-9]" if len(word) >= _LEAST_JOINED else "[A-Za-z0-9_]"
    return re.compile(rf"(?i:(?<!{letter}){escaped}(?!{letter}))")


def cleaner(words: PrivateWords | None = None) -> Cleaner:
    """A fresh cleaner. `words`: what counts as private besides secrets and paths; by default this machine's own."""
    return Cleaner(private_words() if words is None else words)


def private_words(environment: Mapping[str, str] | None = None) -> PrivateWords:
    """The private words of this machine, this user and this process's environment."""
    kinds: dict[str, str] = {}
    for value in _values(os.environ if environment is None else environment):
        kinds[value] = "environment"
    home = str(Path.home())
    if len(home) > len("/"):
        kinds[home] = "home"
    names = {"host": socket.gethostname(), "user": _user()}
    kinds |= {word: kind for kind, word in names.items() if len(word) >= 3 and word.lower() not in _NOBODY}
    return PrivateWords({word: kinds[word] for word in sorted(kinds, key=lambda word: (-len(word), word))})


def _values(environment: Mapping[str, str]) -> Iterator[str]:
    """Values that could tell of somebody: long ones, and shorter ones under a name that says secret; no path lists."""
    for name, value in environment.items():
        secret = _SECRET_NAME.search(name) is not None
        if not secret and _PUBLIC_NAME.match(name):
            continue
        if len(value) < (_LEAST_SECRET if secret else _LEAST_VALUE):
            continue
        if not secret and value.startswith("/"):
            continue
        yield value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


#: Letters of ASCII, and those that UTF-8 writes in two or three bytes.
_STRING: Final = re.compile(rb"(?:[\x20-\x7e]|[\xc3-\xdf][\x80-\xbf]|[\xe1-\xe9][\x80-\xbf]{2}){4,}")


def strings(data: bytes) -> Iterator[str]:
    """The printable runs of a binary file, in UTF-8 and in UTF-16."""
    for run in _STRING.finditer(data):
        yield run.group().decode("utf-8", errors="replace")
    for wide in re.finditer(rb"(?:[\x20-\x7e]\x00){4,}", data):
        yield wide.group().decode("utf-16-le")


def kinds_in(data: bytes, words: PrivateWords) -> tuple[str, ...]:
    """The kinds of private things among the printable runs of `data`; secrets and paths where no chance made them."""
    from rope_prof.io.run.personal_paths import BUILT_ELSEWHERE, without_paths
    from rope_prof.io.run.secrets import without_secrets

    kinds: set[str] = set()
    for text in strings(data):
        kinds.update(words.found(text))
        if len(text) >= _LEAST_FORM and not BUILT_ELSEWHERE.search(text):
            without_secrets(text, lambda kind, _: kinds.add(kind))
            without_paths(text, lambda kind, _: kinds.add(kind))
    return tuple(sorted(kinds))
