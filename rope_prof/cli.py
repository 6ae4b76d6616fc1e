"""argv -> one command. Owns print and exit codes: 0 done, 1 an error that a user can cure, 2 wrong usage,
5 recorded but for keys that failed; `compare` and `analyze` have more of their own.

Each command is one light module of `rope_prof.commands`; heavy imports happen inside its function. An error of the
user's is one line on standard error; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from rope_prof import __version__
from rope_prof.errors import RopeProfError, UsageError

#: name -> (module of rope_prof.commands, function), in the order of the help.
COMMANDS = {
    "record": ("record", "record"),
    "show": ("show", "show"),
    "compare": ("compare", "compare"),
    "dashboard": ("dashboard", "dashboard"),
    "open": ("open", "open_"),
    "export": ("export", "export"),
    "analyze": ("analyze", "analyze"),
    "model": ("model", "model"),
    "doctor": ("doctor", "doctor"),
}
_PANEL = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}


def application() -> typer.Typer:
    """All commands under one program."""
    app = typer.Typer(
        name="rope_prof",
        help="Does fusing these kernels help, by how much, and why.",
        no_args_is_help=True,
        **_PANEL,  # type: ignore[arg-type]
    )
    app.callback()(_root)
    for name, (module, function) in COMMANDS.items():
        app.command(name)(getattr(import_module(f"rope_prof.commands.{module}"), function))
    return app


def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"rope_prof {__version__}")
        raise typer.Exit


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of `argv`; its exit code."""
    try:
        command = typer.main.get_command(application())
        result = command.main(
            list(sys.argv[1:] if argv is None else argv), prog_name="rope_prof", standalone_mode=False
        )
    except RopeProfError as error:
        return _say(error, error.exit_code)
    except KeyboardInterrupt:
        return _say("stopped", 130)
    except BrokenPipeError:
        sys.stdout = None
        return 1
    except Exception as error:
        return _usage(error)
    finally:
        _forget_interrupts()
    return result if isinstance(result, int) else 0


def _forget_interrupts() -> None:
    """Let the exit code be ours after a Ctrl-C that was dealt with.

    CPython marks a KeyboardInterrupt that leaves code compiled from a string (dataclasses and named tuples are made so,
    while libraries load and while a profile is read) as unhandled, even where it is caught further out, and then kills
    the process by SIGINT at its end. Each run of such code takes the mark back. Source: `run_eval_code_obj` in
    CPython's Python/pythonrun.c and `Py_RunMain` in Modules/main.c.
    """
    exec("")


def _usage(error: Exception) -> int:
    """Typer's own errors have a `format_message` (wrong words) or are named Exit and Abort; all else is a bug."""
    code = getattr(error, "exit_code", None)
    if type(error).__name__ == "Exit" and isinstance(code, int):
        return code
    if type(error).__name__ == "Abort":
        return _say("stopped", 130)
    message: Any = getattr(error, "format_message", None)
    if message is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message())
        return 2
    words = str(message()).rstrip(".")
    return _say(UsageError(f"{words}; see `rope_prof --help`"), 2)


def _say(error: object, code: int) -> int:
    text = " ".join(str(error).split())
    print(f"error: {text}", file=sys.stderr)
    return code
