"""What is private in a file for others: the words of a machine and its owner, and how to find and blank them in text.

Host, user, home folder and the environment's values are looked up where this program runs; absolute paths are found
by their form, since a file may come from another machine. A temporary folder and the interpreter name nobody.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

BLANK: Final = "(removed)"
Note = Callable[[str, str], None]
#: Names that most machines carry, or that mean no one.
_NOBODY: Final = frozenset(("localhost", "root", "user", "ubuntu", "runner", "nobody", "docker"))
_SECRET_NAME: Final = re.compile(r"TOKEN|KEY|SECRET|PASS|AUTH|CRED", re.IGNORECASE)
#: An absolute path of two parts or more; its last part is kept where a path is blanked.
_PATH: Final = re.compile(r"(?<![\w.:/)\]])/(?:[\w.+@~%-]+/)+([\w.+@~%-]*)")
_WINDOWS_PATH: Final = re.compile(r"\b[A-Za-z]:(?:\\+[\w.+@~ -]+)+\\+([\w.+@~-]*)")
#: Folders that name nobody: the system's own, and the temporary one.
_HARMLESS: Final = re.compile(r"/(?:usr|bin|sbin|lib|lib64|etc|proc|sys|dev|tmp|var/tmp|opt)/")
#: A home folder itself: its last part is a person's name.
_HOME: Final = re.compile(r"/(?:home|Users)/[^/]+/?")
#: The home folder that a path begins with, on whatever machine.
_IN_HOME: Final = re.compile(r"(?:/(?:home|Users)/|/root\b|[A-Za-z]:\\+Users\\+)[^/\\]*")
#: Tokens by the form that their makers gave them, by the option or variable that holds them, or in an address.
_TOKEN: Final = re.compile(
    r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_\w{20,}|sk-[\w-]{20,}|xox[abprs]-[\w-]{10,}|"
    r"AKIA[0-9A-Z]{16}|AIza[\w-]{35}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,})"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<![\w-])--(?:\w+-)*(?:token|password|secret|api-key))[= ][^\s\"',;]+"
    r"|\b[A-Z0-9_]*(?:TOKEN(?!S)|SECRET|PASSWORD|API_KEY)[A-Z0-9_]*=[^\s\"',;]+"
)
#: Variables that images of NVIDIA's set alike for everybody (`compute,graphics,utility`), and the shell's own `_`, the
#: program as it was typed (`.venv/bin/python`).
_PUBLIC_NAME: Final = re.compile(r"(?:NVIDIA|NV|CUDA)_|_$")
_LEAST_VALUE: Final = 16
_LEAST_SECRET: Final = 6


@dataclass(frozen=True, slots=True)
class Words:
    """word -> what it is: `host`, `user`, `home` or `environment`. Longest first, so that no part is left over."""

    kinds: Mapping[str, str]

    def found(self, text: str) -> Iterator[str]:
        """The kinds of the words that stand in `text`, each once."""
        seen = {kind for word, kind in self.kinds.items() if word in text and _whole(word, kind).search(text)}
        yield from sorted(seen)

    def blank(self, text: str, note: Note | None = None) -> str:
        """`text` without the words and without absolute paths outside the system's own folders.

        `note` is called with kind and text of each thing that goes.
        """
        for word, kind in self.kinds.items():
            if kind == "home" and word in text:
                text = _blanked(re.compile(rf"{re.escape(word)}(?![\w.+@~%/-])"), kind, text, note)
        text = without_paths(text, note)
        for word, kind in self.kinds.items():
            if word in text:
                text = _blanked(_whole(word, kind), kind, text, note)
        return text


@dataclass(slots=True)
class Cleaner:
    """Texts for everybody: no token, no private word, no path. `removed`: kind -> the different things that went."""

    words: Words
    removed: dict[str, set[str]] = field(default_factory=dict)

    def __call__(self, text: str) -> str:
        """`text` without them."""
        return self.words.blank(_blanked(_TOKEN, "token", text, self._note), self._note)

    def _note(self, kind: str, what: str) -> None:
        self.removed.setdefault(kind, set()).add(what)

    def lines(self) -> tuple[str, ...]:
        """`2 home folders`, `1 token`: how many different ones of each kind went."""
        names = {"home": "home folder", "host": "host name", "user": "user name", "environment": "environment value"}
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
    return pattern.sub(BLANK, text)


def _whole(word: str, kind: str) -> re.Pattern[str]:
    """A name stands alone; a value or a folder may be part of a longer word."""
    escaped = re.escape(word)
    return re.compile(rf"(?<![A-Za-z0-9_]){escaped}(?![A-Za-z0-9_])" if kind in {"host", "user"} else escaped)


def without_paths(text: str, note: Note | None = None) -> str:
    """Absolute paths reduced to their last part; those in the system's own folders stay."""
    if note is not None:
        for found in (*_PATH.finditer(text), *_WINDOWS_PATH.finditer(text)):
            if not _HARMLESS.match(found.group(0)):
                home = _IN_HOME.match(found.group(0))
                note("home" if home else "path", home.group(0).rstrip("/\\") if home else found.group(0))
    if "/" in text:
        text = _PATH.sub(_last_part, text)
    return _WINDOWS_PATH.sub(lambda m: f"…/{m.group(1)}", text) if "\\" in text else text


def _last_part(found: re.Match[str]) -> str:
    path = found.group(0)
    if _HARMLESS.match(path):
        return path
    return "…" if _HOME.fullmatch(path) else f"…/{found.group(1)}"


def private_words(environment: Mapping[str, str] | None = None) -> Words:
    """The private words of this machine, this user and this process's environment."""
    kinds: dict[str, str] = {}
    for value in _values(os.environ if environment is None else environment):
        kinds[value] = "environment"
    home = str(Path.home())
    if len(home) > len("/"):
        kinds[home] = "home"
    names = {"host": _host(), "user": _user()}
    kinds |= {word: kind for kind, word in names.items() if len(word) >= 3 and word.lower() not in _NOBODY}
    return Words({word: kinds[word] for word in sorted(kinds, key=lambda word: (-len(word), word))})


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


def _host() -> str:
    return socket.gethostname()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


_STRING: Final = re.compile(rb"[\x20-\x7e]{4,}")


def strings(data: bytes) -> Iterator[str]:
    """The printable runs of a binary file, plain and in UTF-16."""
    for run in _STRING.finditer(data):
        yield run.group().decode("ascii")
    for wide in re.finditer(rb"(?:[\x20-\x7e]\x00){4,}", data):
        yield wide.group().decode("utf-16-le")


def kinds_in(data: bytes, words: Words) -> tuple[str, ...]:
    """The kinds of private words among the printable runs of `data`."""
    return tuple(sorted({kind for text in strings(data) for kind in words.found(text)}))
