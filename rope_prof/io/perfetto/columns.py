"""Numbers of words and of texts, and values that may be missing, as columns. Knows nothing of packets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.compiled import distinct
from rope_prof.io.perfetto.scanned import ABSENT

#: Packets, their values, and where those are numbers of texts, the texts.
Values = tuple[Int64s, npt.NDArray[Any], pl.Series | None]
#: Numbers below it are looked up in a table.
FEW: Final = 1 << 22
#: Three sizes of a launch are looked up as one number where each has no more bits.
_SIZE_BITS: Final = 20


def few(numbers: Int64s) -> tuple[Int64s, Int64s]:
    """(the distinct numbers, which of them each is): a table in place of a sort."""
    seen = np.zeros(int(numbers.max()) + 1, bool)
    seen[numbers] = True
    return np.flatnonzero(seen), (np.cumsum(seen) - 1)[numbers]


def joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def merged(many: list[Values]) -> Values:
    """Values of one type together; the texts of each part behind those before."""
    ordinals = np.concatenate([ordinals for ordinals, _, _ in many])
    texts = [texts for _, _, texts in many if texts is not None]
    if not texts:
        return ordinals, np.concatenate([values for _, values, _ in many]), None
    first = np.cumsum([0, *(len(one) for one in texts)]).tolist()
    values = np.concatenate([values + k for (_, values, _), k in zip(many, first, strict=False)])
    return ordinals, values, pl.concat(texts)


def valued(values: Int64s, known: npt.NDArray[np.bool_], texts: pl.Series | None) -> pl.Series:
    """The values, or the texts that they are numbers of; null where they are not known."""
    column = pl.Series(values if texts is None else values.astype(np.uint32))
    if not known.all():
        column = pl.select(pl.when(pl.Series(known)).then(column)).to_series()
    return column if texts is None else texts.gather(column)


def enum_of(words: list[str | None], which: npt.NDArray[Any]) -> pl.Series:
    """Of each row the word of its number."""
    held = list(dict.fromkeys(word for word in words if word is not None))
    return pl.Series(words or [None], dtype=pl.Enum(held)).gather(pl.Series(which).cast(pl.UInt32))


def nullable(name: str, values: Int64s) -> pl.Series:
    """Int64, null where ABSENT stands."""
    column = pl.Series(name, values, dtype=pl.Int64)
    if not (values == ABSENT).any():
        return column
    return pl.select(pl.when(column != ABSENT).then(column).alias(name)).to_series()


def of_each(texts: pl.Series, told: Callable[[str], str | None], words: Iterable[str]) -> pl.Series:
    """What is told of each text, an Enum of `words`; asked once for each distinct one."""
    held = texts if isinstance(texts.dtype, pl.Enum) else texts.cast(pl.Enum(texts.unique().drop_nulls()))
    assert isinstance(held.dtype, pl.Enum)
    each = pl.Series(
        [told(word) for word in held.dtype.categories] or [None], dtype=pl.Enum(list(dict.fromkeys(words)))
    )
    return each.gather(held.to_physical().cast(pl.UInt32))


def first_of(*texts: pl.Series) -> pl.Series:
    """Of each row the first text that is there; the first column alone where it has them all."""
    if not texts[0].null_count():
        return texts[0]
    kinds = [one.dtype for one in texts]
    words = [word for kind in kinds if isinstance(kind, pl.Enum) for word in kind.categories]
    alike = all(isinstance(kind, pl.Enum) for kind in kinds)
    held = (of_each(one, str, words) if alike else one.cast(pl.String) for one in texts)
    return pl.select(pl.coalesce(held)).to_series()


def sizes(x: Int64s, y: Int64s, z: Int64s) -> pl.Series:
    """`8x1x1`, null where one of the three is not there: an Enum, or texts where one is as large as no launch is."""
    there = (x != ABSENT) & (y != ABSENT) & (z != ABSENT)
    low, high = np.minimum(np.minimum(x, y), z), np.maximum(np.maximum(x, y), z)
    if (there & ((low < 0) | (high >= 1 << _SIZE_BITS))).any():
        return pl.select(pl.concat_str([nullable("", one) for one in (x, y, z)], separator="x")).to_series()
    each, which = distinct(np.where(there, x << 2 * _SIZE_BITS | y << _SIZE_BITS | z, -1))
    most = (1 << _SIZE_BITS) - 1
    dims = ((one >> 2 * _SIZE_BITS, one >> _SIZE_BITS & most, one & most) for one in each.tolist())
    return enum_of([None if dim[0] < 0 else "x".join(map(str, dim)) for dim in dims], which)
