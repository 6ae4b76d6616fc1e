"""What was worked out of files, kept in the user's cache: asked again of the same files, it is not worked out.

The key is the content of every file of the inputs, the caller's words for all else that the result rests on, this
package's own code and the libraries that compute: what is kept is never of other bytes or another program. Nothing of
files that changed meanwhile is kept.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from rope_prof import __version__
from rope_prof.io.store import answers_kept, digest, file_digest, stamps

#: Larger inputs than these are dearer to hash than most answers.
_MOST_INPUT: Final = 1 << 30
#: What a figure's last digits, and a table's look, rest on beside our own code.
_LIBRARIES: Final = ("polars", "numpy", "msgspec", "rich", "typer", "plotly", "pillow")

Answer = Mapping[str, bytes]
T = TypeVar("T")


def kept(words: Sequence[object], inputs: Sequence[Path], make: Callable[[], Answer]) -> Answer:
    """The files, by name, that `make` works out of the files in `inputs`; from the cache where all is as it was.

    `words`: all else that the answer rests on, the names of the inputs too. What `make` raises is raised, and nothing
    is kept.
    """
    try:
        before = stamps(dict.fromkeys(inputs))
        if sum(size for _, size, _, _ in before) > _MOST_INPUT:
            return make()
        contents = [(size, file_digest(Path(name))) for name, size, _, _ in before]
    except OSError:
        return make()
    key = digest(json.dumps([list(map(str, words)), contents, program()]).encode())
    entry = answers_kept().entry(key)
    if entry is not None:
        with suppress(OSError, ValueError):  # damaged: worked out again
            return {name: entry.read(name) for name in entry.digests}
    answer = make()
    try:
        unchanged = stamps(dict.fromkeys(inputs)) == before
    except OSError:
        unchanged = False
    if unchanged and answer:
        answers_kept().keep(key, answer.items())
    return answer


def kept_value(words: Sequence[object], inputs: Sequence[Path], kind: type[T], make: Callable[[], T]) -> T:
    """The same of a value of records, tuples, numbers and text: what comes back is of `kind`, to the last digit.

    One that would come back as another (a whole number where `kind` says a float) is worked out each time.
    """
    made: list[T] = []

    def packed() -> Answer:
        made.append(make())
        data = msgspec.msgpack.encode(made[0])
        again = msgspec.msgpack.encode(msgspec.msgpack.decode(data, type=kind))
        return {"value": data} if again == data else {}

    answer = kept((kind, *words), inputs, packed)
    return made[0] if made else msgspec.msgpack.decode(answer["value"], type=kind)


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
