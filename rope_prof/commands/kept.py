"""What a command answered, kept in the user's cache (`io.kept`): whole answers alone, in the look of this terminal."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Final, TextIO

import typer

from rope_prof.commands.documents import asked, emit, given
from rope_prof.io.kept import Answer, place
from rope_prof.io.run.redact import private_words
from rope_prof.io.store import digest, stamps

#: Variables that a terminal's width and colours rest on.
_TERMINAL: Final = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


def kept(words: Sequence[object], inputs: Sequence[Path], make: Callable[[], Answer]) -> Answer:
    """The files that `make` works out; from the cache where all is as it was. What it raises is raised, and not kept.

    What a command prints names its files as they were asked for, and where they lie.
    """
    try:
        files = [name for name, *_ in stamps(dict.fromkeys(inputs))]
    except OSError:
        return make()
    at = place((*words, Path.cwd(), [str(path.resolve()) for path in inputs], files), inputs)
    answer = at.read()
    if answer is None:
        answer = make()
        at.keep(answer)
    return answer


def private() -> str:
    """What a cleaned answer rests on: this machine's private words, as a digest of them."""
    return digest(json.dumps(sorted(private_words().kinds.items())).encode())


class _Copy(io.StringIO):
    """Text on its way to a stream, which looks like it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def isatty(self) -> bool:
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding or "utf-8"


def say_kept(words: Sequence[object], inputs: Sequence[Path], say: Callable[[], None]) -> None:
    """Print what `say` prints, and exit as it does; from the cache where all is as it was.

    Where `say` raises anything but an exit, what it printed until then is printed and nothing is kept.
    """
    answer = kept((*words, asked(), *_terminal()), inputs, lambda: _said(say))
    _print(answer["out"].decode(), answer["err"].decode())
    if "json" in answer and given() is None:
        emit(answer["json"].decode())
    code = int(answer["code"])
    if code:
        raise typer.Exit(code)


def _said(say: Callable[[], None]) -> Answer:
    code = 0
    failed: BaseException | None = None
    with redirect_stdout(_Copy(sys.stdout)) as out, redirect_stderr(_Copy(sys.stderr)) as err:
        try:
            say()
        except typer.Exit as end:
            code = end.exit_code
        except BaseException as error:
            failed = error
    if failed is not None:
        _print(out.getvalue(), err.getvalue())
        raise failed
    answer = {"out": out.getvalue().encode(), "err": err.getvalue().encode(), "code": str(code).encode()}
    document = given()
    return answer if document is None else answer | {"json": document.encode()}


def _print(out: str, err: str) -> None:
    typer.echo(out, nl=False)
    typer.echo(err, nl=False, err=True)


def _terminal() -> tuple[object, ...]:
    """What the look of a printed table rests on."""
    sizes = []
    for stream in range(3):  # a table in a file is as wide as the terminal that any of them is
        try:
            sizes.append(tuple(os.get_terminal_size(stream)))
        except OSError:
            sizes.append(())
    return sys.stdout.isatty(), *sizes, sys.stdout.encoding, *(os.environ.get(name) for name in _TERMINAL)
