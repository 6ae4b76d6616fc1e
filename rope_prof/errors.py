"""The one base class of every error that a user can cause or cure.

The command line catches `RopeProfError` alone, prints its single line and exits with `exit_code`;
anything else is a bug and keeps its traceback. Each kind has a `code` of its own, which a script may rely on.
"""

from __future__ import annotations

import json
from typing import Any


class RopeProfError(Exception):
    """What failed, the value as seen, what was expected, what to do next: one sentence, one line."""

    exit_code = 1
    code = "error"

    def __str__(self) -> str:
        """The sentence. What it quotes of a file may break lines or steer a terminal: that is blanked."""
        text = super().__str__()
        return text if text.isprintable() else "".join(map(_shown, text))

    def as_json(self) -> dict[str, Any]:
        """What a script or an agent is told (docs/schema/error.json)."""
        return {"code": self.code, "exit_code": self.exit_code, "message": " ".join(str(self).split())}


def told_error(printed: str | bytes) -> str | None:
    """The sentence of the error in a document that a command printed; None where there is none.

    Of standard error it cannot be taken: what a kernel prints goes there too.
    """
    try:
        return str(json.loads(printed)["error"]["message"])
    except (ValueError, TypeError, LookupError):
        return None


def _shown(letter: str) -> str:
    return letter if letter.isprintable() else " " if letter.isspace() else "\ufffd"


class UsageError(RopeProfError):
    """The words of a command or of a call are off: an unknown path, a token count that is no number."""

    exit_code = 2
    code = "usage"


class TraceError(RopeProfError):
    """A trace file cannot be read at all: no such file, no known format, over a stated limit."""

    code = "trace"


class RunError(RopeProfError):
    """A run folder is unknown, damaged, of a newer version, or cannot be written."""

    code = "run"


class OperationError(RopeProfError):
    """An operation does not keep what it says of itself; the message names the field."""

    code = "operation"


class UnavailableError(RopeProfError):
    """This machine lacks what was asked for (a GPU, Triton, a compiler, nsys); the message says what to install."""

    code = "unavailable"


class PartialError(RopeProfError):
    """The work is done and kept, but for parts that failed; the message names them."""

    exit_code = 5
    code = "partial"


class StoppedError(RopeProfError):
    """The work was ended by Ctrl-C."""

    exit_code = 130
    code = "stopped"
