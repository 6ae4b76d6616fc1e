"""What is looked up of a scan: slices and render stages with their names, places and arguments, as columns.

Knows no producer: who wrote the file decides which of them is a kernel, a launch, a range (`roles`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.clocks import times
from rope_prof.io.perfetto.scanned import ABSENT, BEGIN, Scan, ScannedTable
from rope_prof.io.perfetto.shapes import BLOB, DOUBLE, TEXT, WORD
from rope_prof.io.perfetto.slices import pairs
from rope_prof.io.perfetto.words import TraceWords, annotation, epochs
from rope_prof.model.trace import NAMED

_TRACK_OF: Final = 1 << 40


@dataclass
class Looked:
    """Counts of what could not be looked up grow while columns are made."""

    scan: Scan
    words: TraceWords
    nameless: int = 0
    untimed: int = 0
    unclosed: int = 0
    ends: int = 0
    _times: dict[str, Int64s] = field(default_factory=dict)
    _odd: dict[str, list[pl.DataFrame]] = field(default_factory=lambda: defaultdict(list))
    _wordless: list[Int64s] = field(default_factory=list)  # packets whose arguments have no name

    def __post_init__(self) -> None:
        self._times = times(self.scan, self.words)

    @cached_property
    def slices(self) -> pl.DataFrame:
        """ordinal, track, name, category, start_ns, dur_ns (null: never closed), in the file's order."""
        table, at = self.scan.events, self._times["events"]
        track = self._tracks(table)
        kinds = np.array([shape.kind for shape in self.scan.shapes] or [0])[table.shape]
        timed = at != ABSENT
        self.untimed += int(np.count_nonzero(~timed))
        self._untimed(table, timed, track)
        rows = np.flatnonzero(timed)
        begin, end, loose = pairs(track[rows], at[rows], kinds[rows] == BEGIN)
        self.ends, loose = len(loose), rows[loose]
        first = loose[np.argsort(at[loose], kind="stable")[:NAMED]]
        names = self._names(_picked(table, first), count=False)
        self._odd["ends"].append(_odd(names, track[first], start_ns=nullable("", at[first])))
        begin, closed = rows[begin], end >= 0
        stop = np.where(closed, at[rows[np.maximum(end, 0)]] if len(rows) else 0, ABSENT)
        self.unclosed = int(np.count_nonzero(~closed))
        picked = _picked(table, begin)
        found = pl.DataFrame(
            [
                pl.Series("ordinal", picked.ordinal),
                pl.Series("track", track[begin]),
                self._names(picked).alias("name"),
                self._categories(picked).alias("category"),
                pl.Series("start_ns", at[begin]),
                nullable("dur_ns", np.where(closed, stop - at[begin], ABSENT)),
            ]
        )
        self._odd["nameless"].append(found.filter(pl.col("name").is_null()).select(*_ODD))
        return found

    @cached_property
    def stages(self) -> pl.DataFrame:
        """ordinal, name, stage, queue, device, context, start_ns, dur_ns, grid, block of the GPU's render stages."""
        table, at = self.scan.stages, self._times["stages"]
        timed = at != ABSENT
        self.untimed += int(np.count_nonzero(~timed))
        self._untimed(table, timed, np.full(len(table), ABSENT))
        table, at = _picked(table, np.flatnonzero(timed)), at[timed]
        stage, queue, kernel = (self._by_word(table, of, w) for of, w in _STAGE_WORDS)
        name = self._names(table, count=False)
        found = pl.DataFrame(
            [
                pl.Series("ordinal", table.ordinal),
                pl.select(pl.coalesce(name, kernel, stage)).to_series().alias("name"),
                stage.alias("stage"),
                queue.alias("queue"),
                nullable("device", table.values["gpu"]),
                self._by_word(table, "context", "context").cast(pl.Int64, strict=False).alias("process"),
                pl.Series("start_ns", at),
                nullable("dur_ns", table.values["duration"]),
                *(nullable(f"{s}_{d}", table.values[f"{s}_{d}"]) for s in ("grid", "block") for d in "xyz"),
            ]
        )
        self.nameless += found["name"].null_count()
        nameless = found.filter(pl.col("name").is_null()).with_columns(track=pl.lit(None, pl.Int64))
        self._odd["nameless"].append(nameless.select(*_ODD))
        sides = (pl.concat_str([f"{s}_{d}" for d in "xyz"], separator="x").alias(s) for s in ("grid", "block"))
        return found.with_columns(*sides).drop(f"{s}_{d}" for s in ("grid", "block") for d in "xyz")

    def odd(self, what: str) -> pl.DataFrame:
        """track (null: none), name, start_ns, dur_ns of the first of what a count names, as far as the file tells."""
        if what == "nameless" and self._wordless:
            packets = np.unique(np.concatenate(self._wordless))
            stages = self.stages.with_columns(track=pl.lit(None, pl.Int64))
            self._odd[what] += [
                rows.filter(pl.col("ordinal").is_in(packets)).select(*_ODD) for rows in (self.slices, stages)
            ]
            self._wordless.clear()
        return pl.concat(self._odd[what]) if self._odd[what] else pl.DataFrame(schema=_ODD)

    def _untimed(self, table: ScannedTable, timed: npt.NDArray[np.bool_], track: Int64s) -> None:
        rows = np.flatnonzero(~timed)[:NAMED]
        self._odd["untimed"].append(_odd(self._names(_picked(table, rows), count=False), track[rows]))

    def argument(self, ordinal: pl.Series, names: Iterable[str]) -> pl.Series:
        """The value of the first of these arguments that each packet has: Int64, or text where any of them is one.

        Errors: KeyError for a name that was not among those that the scan was asked for.
        """
        found: pl.Series | None = None
        for name in names:
            if self.scan.wanted is not None and name not in self.scan.wanted:
                raise KeyError(name)
            for ordinals, values in self._arguments.get(name, ()):
                laid = self._laid(ordinal, ordinals, values)
                if found is None:
                    found = laid
                elif found.dtype == laid.dtype:
                    found = pl.select(pl.coalesce(found, laid)).to_series()
                else:
                    found = pl.select(pl.coalesce(found.cast(pl.String), laid.cast(pl.String))).to_series()
        return pl.Series([None] * len(ordinal), dtype=pl.Int64) if found is None else found

    def numbers(self, ordinal: pl.Series, *names: str) -> pl.Series:
        """As `argument`, whole numbers alone; a text of digits is its number."""
        found = self.argument(ordinal, names)
        return found if found.dtype == pl.Int64 else found.cast(pl.Int64, strict=False)

    def words_of(self, ordinal: pl.Series, *names: str) -> pl.Series:
        """As `argument`, as text."""
        return self.argument(ordinal, names).cast(pl.String)

    def _laid(self, ordinal: pl.Series, ordinals: Int64s, values: pl.Series) -> pl.Series:
        """One value a row of `ordinal`, null where the packet does not have it."""
        where = np.full(max(self.scan.packets, 1), -1, np.int64)
        where[ordinals] = np.arange(len(ordinals))
        at = where[ordinal.to_numpy()]
        return values.gather(nullable("", np.where(at < 0, ABSENT, at)).cast(pl.UInt32))

    @cached_property
    def _texts(self) -> pl.Series:
        return pl.Series(self.scan.text_list(), dtype=pl.String)

    @cached_property
    def _arguments(self) -> dict[str, list[tuple[Int64s, pl.Series]]]:
        """Name -> (packets, values) a type: whole numbers, or text."""
        parts: dict[tuple[str, bool], list[tuple[Int64s, pl.Series]]] = defaultdict(list)
        for (sequence, key), held in sorted(self.scan.args.items(), key=lambda one: repr(one[0])):
            ordinals = np.concatenate([one.ordinal for one in held])
            values = np.concatenate([one.values for one in held])
            told = self._value(sequence, key[2], ordinals, values)
            for name, rows in self._named(sequence, key[0], key[1], ordinals):
                whole = len(rows) == len(ordinals)
                part = (ordinals, told) if whole else (ordinals[rows], told.gather(pl.Series(rows).cast(pl.UInt32)))
                parts[name, told.dtype == pl.String].append(part)
        found: dict[str, list[tuple[Int64s, pl.Series]]] = defaultdict(list)
        for (name, _), many in parts.items():
            found[name].append((np.concatenate([part[0] for part in many]), pl.concat([part[1] for part in many])))
        return found

    def _value(self, sequence: int, kind: str, ordinals: Int64s, values: npt.NDArray[Any]) -> pl.Series:
        if kind == WORD:
            return self._looked_up("word", sequence, ordinals, values)
        if kind == BLOB:
            each, which = np.unique(values, return_inverse=True)
            texts = list(self.scan.texts)
            return pl.Series([annotation(texts[k]) for k in each.tolist()], dtype=pl.String).gather(which)
        if kind == TEXT:
            return self._texts.gather(pl.Series(values))
        if kind == DOUBLE:
            whole = np.isfinite(values) & (np.abs(values) < 1 << 62) & (values == np.floor(values))
            return nullable("", np.where(whole, values, ABSENT).astype(np.int64))
        return pl.Series(values)

    def _named(self, sequence: int, table: str, name: int | str, ordinals: Int64s) -> list[tuple[str, Int64s]]:
        """(the text of an argument's name, the rows where it is that)."""
        if isinstance(name, str):
            return [(name, np.arange(len(ordinals)))]
        edges = epochs(self.scan, sequence, np.array([ordinals.min(), ordinals.max()]))
        if edges[0] == edges[1]:  # it means the same in all of them
            (word,) = self.words.look_up(table, sequence, edges[:1], np.array([name]))
            if word is not None:
                return [(word, np.arange(len(ordinals)))]
        told = self._looked_up(table, sequence, ordinals, np.full(len(ordinals), name, np.int64))
        self.nameless += told.null_count()
        self._wordless.append(ordinals[told.is_null().to_numpy()])
        texts = told.unique().drop_nulls().to_list()
        return [(text, np.flatnonzero((told == text).fill_null(False).to_numpy())) for text in texts]

    def _names(self, table: ScannedTable, count: bool = True) -> pl.Series:
        """A name that is written out, else the word that its number means."""
        found = self._by_word(table, "name_iid", "name")
        if self.scan.names:
            ordinals = np.concatenate([one.ordinal for one in self.scan.names])
            texts = self._texts.gather(pl.Series(np.concatenate([one.values for one in self.scan.names])))
            found = pl.select(pl.coalesce(self._laid(pl.Series(table.ordinal), ordinals, texts), found)).to_series()
        if count:
            self.nameless += found.null_count()
        return found

    def _categories(self, table: ScannedTable) -> pl.Series:
        told = [shape.category for shape in self.scan.shapes]
        numbers = np.array([one if isinstance(one, int) else ABSENT for one in told] or [0], np.int64)[table.shape]
        written = pl.Series([one if isinstance(one, str) else None for one in told], dtype=pl.String)
        words = self._words(table, "category", numbers)
        if written.null_count() == len(written):
            return words
        return pl.select(pl.coalesce(written.gather(pl.Series(table.shape).cast(pl.UInt32)), words)).to_series()

    def _by_word(self, table: ScannedTable, value: str, words: str) -> pl.Series:
        return self._words(table, words, table.values[value])

    def _words(self, table: ScannedTable, words: str, numbers: Int64s) -> pl.Series:
        """The word that each number means in its packet's sequence."""
        sequences = np.array([shape.sequence for shape in self.scan.shapes] or [0], np.int64)[table.shape]
        each = np.unique(sequences).tolist()
        if len(each) == 1:
            return self._looked_up(words, each[0], table.ordinal, numbers)
        out = pl.Series([None] * len(table), dtype=pl.String)
        for sequence in each:
            rows = np.flatnonzero(sequences == sequence)
            out = out.scatter(rows, self._looked_up(words, sequence, table.ordinal[rows], numbers[rows]))
        return out

    def _looked_up(self, table: str, sequence: int, ordinals: Int64s, numbers: Int64s) -> pl.Series:
        epoch = epochs(self.scan, sequence, ordinals)
        key = epoch * _TRACK_OF + np.where(numbers == ABSENT, -1, numbers)
        low = int(key.min(initial=0))
        if len(key) and int(key.max()) - low < 1 << 22:  # a table in place of a sort
            seen = np.zeros(int(key.max()) - low + 1, bool)
            seen[key - low] = True
            each = np.flatnonzero(seen) + low
            which = (np.cumsum(seen) - 1)[key - low]
        else:
            each, which = np.unique(key, return_inverse=True)
        words = self.words.look_up(table, sequence, (each + 1) // _TRACK_OF, (each + 1) % _TRACK_OF - 1)
        return pl.Series(words, dtype=pl.String).gather(pl.Series(which).cast(pl.UInt32))

    def _tracks(self, table: ScannedTable) -> Int64s:
        track = table.values["track"]
        silent = np.flatnonzero(track == ABSENT)
        if not len(silent) or not self.words.default_track:
            return track
        sequences = np.array([shape.sequence for shape in self.scan.shapes], np.int64)[table.shape[silent]]
        track = track.copy()
        for sequence in np.unique(sequences).tolist():
            rows = silent[sequences == sequence]
            epoch = epochs(self.scan, sequence, table.ordinal[rows])
            told = [self.words.default_track.get((sequence, one), ABSENT) for one in epoch.tolist()]
            track[rows] = np.array(told, np.uint64).view(np.int64) if ABSENT not in told else ABSENT
        return track


#: An event as a finding names it, and its track.
_ODD: Final = pl.Schema({"track": pl.Int64, "name": pl.String, "start_ns": pl.Int64, "dur_ns": pl.Int64})


def _odd(name: pl.Series, track: Int64s, start_ns: pl.Series | None = None) -> pl.DataFrame:
    rows = pl.DataFrame([nullable("track", track), name.alias("name")])
    return rows.with_columns(start_ns=start_ns, dur_ns=None).cast(_ODD)


_STAGE_WORDS: Final = (("stage_iid", "queue"), ("queue_iid", "queue"), ("kernel_iid", "kernel"))


def on_tracks(table: ScannedTable, tracks: Iterable[int]) -> ScannedTable:
    """The packets on these tracks, and those that leave theirs to be told by their sequence."""
    wanted = np.array([ABSENT, *tracks], np.int64)
    return _picked(table, np.flatnonzero(np.isin(table.values["track"], wanted)))


def _picked(table: ScannedTable, rows: Int64s) -> ScannedTable:
    return ScannedTable(table.ordinal[rows], table.shape[rows], {name: v[rows] for name, v in table.values.items()})


def nullable(name: str, values: Int64s) -> pl.Series:
    """Int64, null where ABSENT stands."""
    column = pl.Series(name, values, dtype=pl.Int64)
    if not (values == ABSENT).any():
        return column
    return pl.select(pl.when(column != ABSENT).then(column).alias(name)).to_series()
