"""Numbers of words and of texts, and values that may be missing, as columns. Knows nothing of packets."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.scanned import ABSENT

#: Packets, their values, and where those are numbers of texts, the texts.
Values = tuple[Int64s, npt.NDArray[Any], pl.Series | None]
#: Numbers below it are looked up in a table.
FEW: Final = 1 << 22


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
