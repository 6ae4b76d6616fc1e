"""argv -> one command. Owns print and exit codes: 0 done, 1 an error that a user can cure, 2 wrong usage,
5 recorded but for keys that failed; `compare` and `analyze` have more of their own.

Each command is one module of `rope_prof.commands`, and only the one that is asked for is imported: the list of commands
is a table here. An error of the user's is one line on standard error, and a member of the document on standard output
where `--json` was asked for; anything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rope_prof import __version__
from rope_prof.commands.documents import OneDocument, one_document
from rope_prof.errors import RopeProfError, StoppedError, UnavailableError, UsageError

#: name -> its first sentence, in the order of the help: a module of `rope_prof.commands`, and what that runs.
COMMANDS = {
    "record": "Measure every path on this machine and write a run folder.",
    "show": "The table of a run: kernels, bubbles, times, speedup, accuracy; what modes and fusing buy, and why.",
    "compare": "Faster, slower or the same, with intervals.",
    "gate": "Is this tree slower than a revision? Both are measured in turn, in fresh processes.",
    "baseline": "Recordings kept under names, to compare with; their history over commits.",
    "dashboard": "Look at a run in the browser: overview, timeline, kernels.",
    "open": "Open a run or a trace in the offline Perfetto UI, served on 127.0.0.1 until Ctrl-C.",
    "export": "Write a run or a trace for others: all of a trace or a part, a report, a cleaned copy, its figures.",
    "analyze": "Judge a trace, then account for its time.",
    "capture": "Record a running SGLang or vLLM server by its own profiler, find the files, account for them by phase.",
    "model": "Does the model get faster? Ernie4.5-VL's text model of transformers, random weights, path by path.",
    "mcp": "Serve agents: record, compare, analyze, diff, explain a gap (Model Context Protocol, extra mcp).",
    "doctor": "What this machine can do, and what to do about the rest.",
}
#: What recording and the dashboard need beyond what reading does (`constraints-core.txt`).
RECORDING = frozenset({"torch", "triton", "streamlit", "plotly", "nvtx", "viztracer", "mcp"})
_PANEL = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}


def function(name: str) -> Callable[..., None]:
    """What the command called `name` runs; its module is imported now."""
    module = import_module(f"rope_prof.commands.{name}")
    found: Callable[..., None] = getattr(module, name, None) or getattr(module, f"{name}_")
    return found


def command(name: str) -> Any:
    """That command with its options."""
    found = function(name)
    if isinstance(found, typer.Typer):  # a group with commands of its own
        return typer.main.get_command(found)
    alone = typer.Typer(**_PANEL)  # type: ignore[arg-type]
    alone.command(name)(found)
    return typer.main.get_command(alone)


class LazyGroup(TyperGroup):
    """Holds a name and a sentence of each command until one of them is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word, with its options. Errors: UsageError where no folder is around it."""
        if (gone := _homeless()) and "--help" not in args:
            raise gone
        if args[0] in COMMANDS:
            self.commands[args[0]] = command(args[0])
        return super().resolve_command(ctx, args)


def application() -> typer.Typer:
    """All commands under one program."""
    app = typer.Typer(
        name="rope_prof",
        cls=LazyGroup,
        help="Does fusing these kernels help, by how much, and why.",
        no_args_is_help=True,
        **_PANEL,  # type: ignore[arg-type]
    )
    app.callback()(_root)
    for name, sentence in COMMANDS.items():
        app.command(name, help=sentence)(_unloaded)
    return app


def _unloaded() -> None:
    """Stands for every command in the list."""


def _told(asked: bool) -> None:
    if asked:
        print(f"rope_prof {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_told)
    ] = False,
) -> None:
    """Nothing but a command or an option that ends."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of `argv`; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with one_document(words) as document:
            return _main(words, document)
    except BrokenPipeError:
        sys.stdout = None
        return 1
    finally:
        _forget_interrupts()


def _main(words: list[str], document: OneDocument | None) -> int:
    """The exit code of those words; `document` is printed, with the error that ended them."""
    told: RopeProfError | None = None
    code = 0
    try:
        group = typer.main.get_command(application())
        result = group.main(words, prog_name="rope_prof", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == StoppedError.exit_code:  # what typer makes of a Ctrl-C
            told = StoppedError("stopped")
    except RopeProfError as error:
        told = error
    except KeyboardInterrupt:
        told = StoppedError("stopped")
    except BrokenPipeError:
        raise
    except Exception as error:
        found = _usage(error)
        told, code = (found, 0) if isinstance(found, RopeProfError) else (None, found)
    if told is not None:
        print(f"error: {told.as_json()['message']}", file=sys.stderr)
    if document is not None:
        document.write(told)
    return code if told is None else told.exit_code


def _forget_interrupts() -> None:
    """Let the exit code be ours after a Ctrl-C that was dealt with.

    CPython marks a KeyboardInterrupt that leaves code compiled from a string (dataclasses and named tuples are made so,
    while libraries load and while a profile is read) as unhandled, even where it is caught further out, and then kills
    the process by SIGINT at its end. Each run of such code takes the mark back. Source: `run_eval_code_obj` in
    CPython's Python/pythonrun.c and `Py_RunMain` in Modules/main.c.
    """
    exec("")


def _usage(error: Exception) -> RopeProfError | int:
    """What it is to a user, or the exit code of what is no error.

    Typer's own errors have a `format_message` (wrong words) or are named Exit and Abort; all else is a bug.
    """
    if isinstance(error, ModuleNotFoundError) and (missing := str(error.name).partition(".")[0]) in RECORDING:
        return UnavailableError(
            f"this command needs {missing}, which is not installed; `pip install {_brings(missing)}` brings it. "
            "analyze, compare, show and export run without it"
        )
    if isinstance(error, FileNotFoundError) and (gone := _homeless()):
        return gone
    code = getattr(error, "exit_code", None)
    if type(error).__name__ == "Exit" and isinstance(code, int):
        return code
    if type(error).__name__ == "Abort":
        return StoppedError("stopped")
    message: Any = getattr(error, "format_message", None)
    if message is None:
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message())
        return 2
    words = str(message()).rstrip(".")
    return UsageError(f"{words}; see `rope_prof --help`")


def _homeless() -> UsageError | None:
    """The error where the folder that this process runs in has been removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return UsageError("the folder that this command runs in is gone; change to one that exists, as by `cd ~`")
    return None


def _brings(missing: str) -> str:
    return "'rope-prof[mcp]'" if missing == "mcp" else "rope-prof"
