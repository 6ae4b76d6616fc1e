"""One JSON document on standard output, where `--json` asked for it; all else goes to standard error.

That holds for children and libraries too: while a command runs, the descriptor of standard output is that of standard
error, so that nothing that a kernel prints can pass for an answer of ours. Knows nothing of what a document holds but
its member `error`, which every command's document has where the command ended with one (docs/schema).
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import IO, Any

from rope_prof.errors import RopeProfError

#: Of every document that has no version of its own.
VERSION = 1
FLAG = "--json"


class OneDocument:
    """Standard output while a command runs that was asked for JSON, and the document that it gave."""

    #: The one of the command that runs; None where JSON was not asked for.
    running: OneDocument | None = None

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._text: str | None = None
        self._written = False

    @property
    def text(self) -> str | None:
        """The document, where there is one yet."""
        return self._text

    def take(self, text: str) -> None:
        """Keep that document until the command ends. Errors: AssertionError for a second one, which is a bug."""
        assert self._text is None, "a command gave two documents"
        self._text = text

    def write(self, error: RopeProfError | None = None) -> None:
        """Print the document, once: with `error` as its member, or as all that it holds beside its version."""
        if self._written or (self._text is None and error is None):
            return
        self._written = True
        text = self._text
        if error is not None:
            found = {"schema_version": VERSION} if text is None else json.loads(text)
            text = encoded(found | {"error": error.as_json()})
        self._out.write(f"{text}\n")
        self._out.flush()


def emit(document: Mapping[str, Any] | str, *, at_once: bool = False) -> None:
    """Give the command's document, text where it is encoded already. `at_once`: the command goes on, as a server."""
    text = document if isinstance(document, str) else encoded(document)
    held = OneDocument.running
    if held is None:
        sys.stdout.write(f"{text}\n")
        return
    held.take(text)
    if at_once:
        held.write()


def asked() -> bool:
    """Whether the command that runs was asked for JSON."""
    return OneDocument.running is not None


def given() -> str | None:
    """The document that the command has given; None where it gave none yet, or was not asked for one."""
    return None if OneDocument.running is None else OneDocument.running.text


def encoded(document: Mapping[str, Any]) -> str:
    """The text of a document, as every command writes it. Errors: ValueError for a figure that JSON lacks."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


@contextmanager
def one_document(argv: Sequence[str]) -> Iterator[OneDocument | None]:
    """What those words print: None, and all as usual, where they do not ask for JSON."""
    if FLAG not in argv[: argv.index("--") if "--" in argv else None]:
        yield None
        return
    with _kept_apart() as out:
        OneDocument.running = held = OneDocument(out)
        try:
            yield held
        finally:
            OneDocument.running = None


@contextmanager
def _kept_apart() -> Iterator[IO[str]]:
    """The real standard output, as nobody else has it."""
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        try:
            number, other = out.fileno(), sys.stderr.fileno()
        except (AttributeError, io.UnsupportedOperation):  # a stream in memory has no descriptor to take away
            yield out
            return
        out.flush()
        saved = os.dup(number)
        os.dup2(other, number)
        try:
            with open(saved, "w", encoding=out.encoding, errors=out.errors, closefd=False) as alone:
                yield alone
        finally:
            os.dup2(saved, number)
            os.close(saved)
