"""What was worked out of files, kept in the user's cache: asked again of the same files, it is not worked out.

The key is the content of every file of the inputs, the caller's words for all else that the result rests on, this
package's own code and the libraries that compute: what is kept is never of other bytes or another program. Nothing of
files that changed meanwhile is kept.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import msgspec

from rope_prof import __version__
from rope_prof.io.store import answers_kept, digest, file_digest, stamps
from rope_prof.model.frozen import Frozen, decodable

#: Larger inputs than these are dearer to hash than most answers.
_MOST_INPUT: Final = 1 << 30
#: What a figure's last digits, and a table's look, rest on beside our own code.
_LIBRARIES: Final = ("polars", "numpy", "msgspec", "rich", "typer", "plotly", "PIL")

Answer = Mapping[str, bytes]
T = TypeVar("T")


@dataclass(slots=True)
class KeptValue(Generic[T]):
    """A value that was asked for: what was kept, or what `give` gets."""

    value: T | None

    def give(self, value: T) -> T:
        """That is it."""
        self.value = value
        return value


class KeptPlace(Frozen):
    """Where what is worked out of `inputs` lies; without a key nowhere: it is worked out each time."""

    inputs: tuple[Path, ...]
    before: object = None
    key: str | None = None

    def read(self) -> Answer | None:
        """The files, by name, that were kept of these inputs; None where there are none, or they are damaged."""
        entry = None if self.key is None else answers_kept().entry(self.key)
        if entry is not None:
            with suppress(OSError, ValueError):
                return {name: entry.read(name) for name in entry.digests}
        return None

    def keep(self, answer: Answer) -> None:
        """Keep that answer, unless an input changed while it was worked out."""
        if self.key is None:
            return
        try:
            unchanged = stamps(dict.fromkeys(self.inputs)) == self.before
        except OSError:
            unchanged = False
        if unchanged:
            answers_kept().keep(self.key, answer.items())

    def read_value(self, kind: type[T]) -> T | None:
        """`read` of what `keep_value` kept, as of `kind`."""
        answer = self.read()
        return None if answer is None else msgspec.msgpack.decode(answer["value"], type=decodable(kind))

    def keep_value(self, value: T, kind: type[T]) -> None:
        """Keep a value of records, tuples, numbers and text, if it comes back of `kind` to the last digit.

        One that would come back as another (a whole number where `kind` says a float) is worked out each time.
        """
        data = msgspec.msgpack.encode(value)
        if msgspec.msgpack.encode(msgspec.msgpack.decode(data, type=decodable(kind))) == data:
            self.keep({"value": data})

    def alone(self) -> AbstractContextManager[None]:
        """While it is held, no other process of this user works the same answer out."""
        return nullcontext() if self.key is None else answers_kept().alone(self.key)

    @contextmanager
    def asked(self, kind: type[T]) -> Iterator[KeptValue[T]]:
        """What was kept of `kind`, or nothing: then what the caller works out and gives is kept for the next who asks.

        Where another process of this user is at it (the dashboard's read-ahead), its answer is waited for and taken.
        """
        one = KeptValue(self.read_value(kind))
        if one.value is not None:
            yield one
            return
        with self.alone():
            one.value = self.read_value(kind)
            missing = one.value is None
            yield one
            if missing and one.value is not None:
                self.keep_value(one.value, kind)


def place(words: Sequence[object], inputs: Sequence[Path]) -> KeptPlace:
    """Where that is kept. `words`: all else that it rests on, the names of the inputs too, and of what kind it is."""
    nowhere = KeptPlace(tuple(inputs))
    try:
        before = stamps(dict.fromkeys(inputs))
        if sum(size for _, size, _, _ in before) > _MOST_INPUT:
            return nowhere
        contents = [(size, file_digest(Path(name))) for name, size, _, _ in before]
    except OSError:
        return nowhere
    key = digest(json.dumps([list(map(str, words)), contents, program()]).encode())
    return KeptPlace(tuple(inputs), before, key)


@cache
def program() -> list[Any]:
    """What computes: our code as it lies on the disk, Python, the machine's kind, the libraries."""
    code = [stamp[:3] for stamp in stamps([Path(__file__).parents[1]], (".py", ".c"))]
    return [__version__, sys.version, platform.machine(), _libraries(), code]


def _libraries() -> list[tuple[str, list[str]]]:
    """Where the libraries lie, and what is installed there with its versions, by the names of its metadata: they are
    not opened, which would cost a short command a tenth of its time.
    """
    found = [find_spec(name) for name in _LIBRARIES]
    homes = {Path(spec.origin).parents[1] for spec in found if spec is not None and spec.origin}
    return [(str(home), sorted(one.name for one in home.glob("*-info"))) for home in sorted(homes)]
