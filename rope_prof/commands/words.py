"""What commands say alike: how a word that names a file or a folder is read, options of several commands, exit codes.

An empty word names nothing: it comes of a shell variable that is not set, and `Path("")` would be the current folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

T = TypeVar("T")
_SAID = "typer"

#: The exit code where a trace holds nothing to account for.
UNUSABLE_EXIT = 3
#: The exit code of a bound that is neither kept nor broken, as far as anybody can tell.
NOT_JUDGED = 4


def place(word: str) -> str:
    """That word: a file, a folder, a glob or a URL. Errors: BadParameter for an empty one."""
    if not word:
        raise typer.BadParameter("an empty word; expected a file or a folder (a shell variable that is not set?)")
    return word


def path(word: str) -> Path:
    """That word as a path. Errors: those of `place`."""
    return Path(place(word))


def command(asked: Callable[[T], None]) -> Callable[..., None]:
    """What typer runs of a function of one frozen dataclass: an argument or option for each of its fields."""
    (kind,) = (each for name, each in get_type_hints(asked).items() if name != "return")
    hints = get_type_hints(kind, include_extras=True)
    hints |= {f.name: Annotated[hints[f.name], f.metadata[_SAID]] for f in fields(kind) if _SAID in f.metadata}

    def given(**words: object) -> None:
        asked(kind(**words))

    def parameter(of: Field[Any]) -> Parameter:
        found = of.default if of.default_factory is MISSING else of.default_factory()
        default = Parameter.empty if found is MISSING else found
        return Parameter(of.name, Parameter.KEYWORD_ONLY, default=default, annotation=hints[of.name])

    given.__doc__, given.__annotations__ = asked.__doc__, hints
    given.__signature__ = Signature([parameter(f) for f in fields(kind)])  # type: ignore[attr-defined]
    return given


def option(default: T, help: str, *names: str, **more: Any) -> T:
    """A field of such a record: an option under those names, or its own, with typer's further words for it."""
    made: T = field(default=default, metadata={_SAID: typer.Option(*names, help=help, **more)})
    return made


def many(help: str, *names: str, **more: Any) -> Any:
    """The same of an option that may repeat: none, unless it is given."""
    return field(default_factory=list, metadata={_SAID: typer.Option(*names, help=help, **more)})


def needed(help: str, *names: str, **more: Any) -> Any:
    """The same of an option that must be given."""
    return field(metadata={_SAID: typer.Option(*names, help=help, **more)})


def argument(help: str, **more: Any) -> Any:
    """The same of an argument."""
    return field(metadata={_SAID: typer.Argument(help=help, **more)})


#: Where baselines lie, in every command alike.
Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        parser=place,
        metavar="FOLDER|URL",
        help="Where baselines lie; default $ROPE_PROF_BASELINES, else rope_prof/baselines in the user's data folder.",
    ),
]
#: One JSON document instead of text, in every command alike.
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead (docs/json.md).")]
#: What measures: in every command that does.
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
#: Of every gate.
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown", help="A bound that cannot be judged passes, and the output says so.")
]
#: Of a trace, whoever reads it.
Range = Annotated[
    str | None,
    typer.Option(
        "--range", metavar="NAME|REGEX", help="Of a trace: only ranges of that name, else whose name holds the pattern."
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretches:
    """Which part of each trace: a range (None: the one that both share, else the whole device), and the device."""

    name: str | None = None
    base_name: str | None = None
    device: str | None = None

    def given(self) -> bool:
        """Whether anything was asked for that only traces have."""
        return any((self.name, self.base_name, self.device))
