"""An exception of somebody else's code as one line for a table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rope_prof.errors import OperationError, RopeProfError
from rope_prof.model.run import Case
from rope_prof.units import counted

_LENGTH = 300
#: Folders and addresses of memory differ from machine to machine and say nothing.
_PATH = re.compile(r"(?<![\w.])/(?:[\w.+@-]+/)+([\w.+@-]+)")


class ToldError(Exception):
    """Something that failed in another process: its message already is the line for a table."""

    def __init__(self, line: str, *, memory: bool = False) -> None:
        super().__init__(line)
        self.memory = memory


def said(error: BaseException) -> str:
    """The message of `error`, as can be written anywhere: what is no character escaped; empty where it has none."""
    try:
        text = str(error)
    except Exception:  # somebody else's class: it is named all the same
        return ""
    return text.encode(errors="backslashreplace").decode()


def one_line(error: BaseException) -> str:
    """`RuntimeError: the first line of its message`, folders cut off, at most 300 characters."""
    if isinstance(error, ToldError):
        return str(error)
    text = said(error).strip()
    first = text.splitlines()[0].strip() if text else ""
    line = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return short(line)


def short(line: str) -> str:
    """`line` without the folders of its paths, at most 300 characters."""
    line = _PATH.sub(r"\1", line)
    return line if len(line) <= _LENGTH else line[: _LENGTH - 1] + "…"


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the host."""
    if isinstance(error, ToldError):
        return error.memory
    name, text = type(error).__name__, said(error)
    return (
        isinstance(error, MemoryError)
        or name == "OutOfMemoryError"
        or "out of memory" in text.lower()
        or "can't allocate memory" in text
    )


def broke_device(error: BaseException) -> bool:
    """Whether `error` says that the device answers this process no more."""
    return "CUDA error" in said(error) or type(error).__name__ == "AcceleratorError"


def reason(error: BaseException, case: Case) -> str:
    """Why a key of `case` failed."""
    if out_of_memory(error):
        axis = case.operation.swept_axis
        at = counted(case.swept, axis.noun) if axis.noun else f"{axis.name} {case.swept}"
        option = f"--set {axis.name}=..." if case.operation.name != "mrope" else f"--{axis.name}"
        return f"out of memory at {at}; record fewer with {option}, or free the device"
    return one_line(error)


@contextmanager
def own_words(operation: str, field: str) -> Iterator[None]:
    """OperationError that names `field` for what the code of the operation called so raises there.

    Memory that ran out is no lie, nor is a device that answers no more.
    """
    try:
        yield
    except RopeProfError:
        raise
    except (Exception, SystemExit) as error:
        if out_of_memory(error) or broke_device(error):
            raise
        raise OperationError(f"operation {operation!r}: {field} fails ({one_line(error)})") from error
