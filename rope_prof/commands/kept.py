"""What a command worked out of files, kept in the user's cache: asked again of the same files, it is not worked out.

The key is the content of every file of the inputs, the command's words, whatever else the answer rests on, this
package's own code and the libraries that compute: a kept answer is never of other bytes or another program. Only
whole answers are kept, and none of files that changed meanwhile.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TextIO

import typer

from rope_prof import __version__
from rope_prof.commands.documents import asked, emit, given
from rope_prof.io.run.redact import private_words
from rope_prof.io.store import answers_kept, digest, file_digest, stamps

#: Larger inputs than these are dearer to hash than most answers.
_MOST_INPUT: Final = 1 << 30
#: What a figure's last digits, and a table's look, rest on beside our own code.
_LIBRARIES: Final = ("polars", "numpy", "msgspec", "rich", "typer", "plotly", "pillow")
#: Variables that a terminal's width and colours rest on.
_TERMINAL: Final = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE")

Answer = Mapping[str, bytes]


def kept(words: Sequence[object], inputs: Sequence[Path], make: Callable[[], Answer]) -> Answer:
    """The files, by name, that `make` works out of the files in `inputs`; from the cache where all is as it was.

    `words`: all else that the answer rests on. What `make` raises is raised, and nothing is kept.
    """
    try:
        before = stamps(dict.fromkeys(inputs))
        if sum(size for _, size, _, _ in before) > _MOST_INPUT:
            return make()
        contents = [(name, size, file_digest(Path(name))) for name, size, _, _ in before]
    except OSError:
        return make()
    asked = [list(map(str, words)), str(Path.cwd()), [str(path.resolve()) for path in inputs], contents, program()]
    key = digest(json.dumps(asked).encode())
    entry = answers_kept().entry(key)
    if entry is not None:
        with suppress(OSError, ValueError):  # damaged: worked out again
            return {name: entry.read(name) for name in entry.digests}
    answer = make()
    try:
        unchanged = stamps(dict.fromkeys(inputs)) == before
    except OSError:
        unchanged = False
    if unchanged:
        answers_kept().keep(key, answer.items())
    return answer


@cache
def program() -> list[Any]:
    """What computes: our code as it lies on the disk, Python, the machine's kind, the libraries."""
    files = stamps([Path(__file__).parents[1]])
    code = [(name, size, changed) for name, size, changed, _ in files if name.endswith((".py", ".c"))]
    return [__version__, sys.version, platform.machine(), [_version(name) for name in _LIBRARIES], code]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


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
