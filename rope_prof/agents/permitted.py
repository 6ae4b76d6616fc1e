"""Which files an agent may name: those below the folders that whoever started the server allowed, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rope_prof.errors import UsageError


@dataclass(frozen=True, slots=True)
class Permitted:
    """The folders, resolved. A relative name counts from the first of them. Links are followed before it is judged."""

    folders: tuple[Path, ...]

    @property
    def home(self) -> Path:
        """Where relative names begin, and where new runs go."""
        return self.folders[0]

    def path(self, text: str) -> Path:
        """The file or folder that `text` names. Errors: UsageError outside of the folders, or for an address."""
        if "://" in text or text.startswith("-") or "\0" in text:
            raise UsageError(f"{text!r} is no file; expected one below {self._said()}")
        found = (self.home / text).resolve()
        if not any(found.is_relative_to(folder) for folder in self.folders):
            raise UsageError(
                f"{text!r} lies outside of what this server may touch; expected a file below {self._said()}"
            )
        return found

    def first(self, text: str, marks: str = ":") -> str:
        """`RUN:fused/graph`, `FILE.py:object`: the file checked and made whole, what follows the first mark kept."""
        cut = next((i for i, letter in enumerate(text) if letter in marks and self._is_there(text[:i])), len(text))
        return f"{self.path(text[:cut])}{text[cut:]}"

    def _is_there(self, text: str) -> bool:
        return (self.home / text).exists()

    def _said(self) -> str:
        return ", ".join(map(str, self.folders))


def permitted(folders: tuple[Path, ...]) -> Permitted:
    """Those folders. Errors: UsageError for one that is none."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--folder '{folder}' is no folder; name one that exists")
    return Permitted(tuple(folder.resolve() for folder in folders))
