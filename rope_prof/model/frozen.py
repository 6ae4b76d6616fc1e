"""What a record is: named values that never change, compared by them.

As `@dataclass(frozen=True, slots=True)` says it, made by msgspec: Python compiles six functions for each dataclass at
every start, which took a seventh of a short command's time. `dataclasses.asdict` and `replace` work as there, and
`fields` for the names.
"""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, dataclass_transform

import msgspec


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
