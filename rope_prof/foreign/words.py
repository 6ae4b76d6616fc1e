"""`definition=X.json;solution=Y.json`: what a reader of this package is to read, as one word of a command or a run.

`record` writes such a word behind the reader's module, so that `--operation`, `--resume` and the child that checks
Triton's paths find the same operation again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

#: What parts a word, and what marks them where they are none.
_SIGNS = re.compile("[%;:]")


def word(module: str, fields: Sequence[tuple[str, str]]) -> str:
    """`module:name=value;name=value;`; of a value's own signs `%`, `;` and `:` stand there as an address has them."""
    return f"{module}:" + "".join(f"{name}={_SIGNS.sub(_quoted, value)};" for name, value in fields)


def _quoted(sign: re.Match[str]) -> str:
    return f"%{ord(sign[0]):02X}"


def fields_of(text: str, known: Mapping[str, bool], what: str) -> dict[str, list[str]]:
    """name -> its values. `known`: the names -> whether one must be given; names behind `*` may be any other.

    Errors: LookupError that names the field.
    """
    found: dict[str, list[str]] = {}
    for part in filter(None, text.split(";")):
        name, sign, value = part.partition("=")
        if not sign or not value or (name not in known and "*" not in known):
            raise LookupError(f"{what}: {part!r} says nothing; expected {' or '.join(f'{each}=...' for each in known)}")
        found.setdefault(name, []).append(unquote(value))
    missing = next((name for name, must in known.items() if must and name not in found), None)
    if missing is not None:
        raise LookupError(f"{what} has no {missing!r}; expected {missing}=FILE")
    return found
