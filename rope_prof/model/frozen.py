"""What a record is: named values that never change, compared by them.

As `@dataclass(frozen=True, slots=True)` says it, made by msgspec: Python compiles six functions for each dataclass at
every start, which took a seventh of a short command's time. `dataclasses.asdict` and `replace` work as there, and
`fields` for the names.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from threading import RLock
from typing import Any, Final, TypeVar, dataclass_transform

import msgspec

T = TypeVar("T")
_ALONE: Final = RLock()
_DECODABLE: Final[set[Any]] = set()


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
    made = dataclasses.make_dataclass(kind.__name__, kind.__struct_fields__)
    return {field.name: field for field in dataclasses.fields(made)}


class _Fields:
    """Made when they are first asked for."""

    def __get__(self, one: object, kind: type[msgspec.Struct]) -> dict[str, dataclasses.Field[Any]]:
        return _fields(kind)


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _Made(msgspec.StructMeta):
    pass


class Frozen(msgspec.Struct, frozen=True, metaclass=_Made):
    """The base of a record: `class Place(Frozen, kw_only=True)`, then its values as those of a dataclass."""

    __dataclass_fields__ = _Fields()


def decodable(kind: T) -> T:
    """That type, for msgspec to decode to in any thread.

    What a type is made of msgspec works out where it is first decoded to, piece by piece on the type itself: another
    thread that decodes to it meanwhile takes half of it for the whole, and gets a record without values, or crashes.
    """
    if kind not in _DECODABLE:
        with _ALONE:
            msgspec.json.Decoder(kind)
            _DECODABLE.add(kind)
    return kind
