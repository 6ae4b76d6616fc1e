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

    def given(**words: object) -> None:
        asked(kind(**words))

    def default(of: Field[Any]) -> Any:
        found = of.default if of.default_factory is MISSING else of.default_factory()
        return Parameter.empty if found is MISSING else found

    given.__doc__, given.__annotations__ = asked.__doc__, hints
    given.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(f.name, Parameter.KEYWORD_ONLY, default=default(f), annotation=hints[f.name]) for f in fields(kind)]
    )
    return given


def many() -> Any:
    """The default of an option that may repeat: none."""
    return field(default_factory=list)


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
