"""What is looked up of a scan: slices and render stages with their names, places and arguments, as columns.

Knows no producer: who wrote the file decides which of them is a kernel, a launch, a range (`roles`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.clocks import times
from rope_prof.io.perfetto.columns import FEW, Values, enum_of, few, first_of, joined, merged, nullable, sizes, valued
from rope_prof.io.perfetto.compiled import distinct, lay
from rope_prof.io.perfetto.scanned import ABSENT, BEGIN, Scan, ScannedTable
from rope_prof.io.perfetto.shapes import DIGITS, DOUBLE, INT, TEXT, WORD
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
    _placed: tuple[pl.Series, npt.NDArray[np.int32]] | None = None
    _wordless: list[Int64s] = field(default_factory=list)  # packets whose arguments have no name

    def __post_init__(self) -> None:
        self._times = times(self.scan, self.words)

    @cached_property
    def slices(self) -> pl.DataFrame:
        """ordinal, track, name (a text or an Enum), category (an Enum), start_ns, dur_ns (null: never closed), in the
        file's order."""
        table, at = self.scan.events, self._times["events"]
        track = self._tracks(table)
        begins = np.array([shape.kind == BEGIN for shape in self.scan.shapes] or [False])[table.shape]
        timed = at != ABSENT
        self._untimed(table, timed, track)
        rows = None if timed.all() else np.flatnonzero(timed)
        if rows is not None:
            table, at, track, begins = _picked(table, rows), at[rows], track[rows], begins[rows]
        begin, end, loose = pairs(track, at, begins)
        self.ends = len(loose)
        if len(loose):
            first = loose[np.argsort(at[loose], kind="stable")[:NAMED]]
            names = self._names(_picked(table, first), count=False)
            self._odd["ends"].append(_odd(names, track[first], start_ns=nullable("", at[first])))
        start, closed = at[begin], end >= 0
        self.unclosed = int(np.count_nonzero(~closed))
        last = at[end] - start if len(at) else start
        picked = ScannedTable(table.ordinal[begin], table.shape[begin], {"name_iid": table.values["name_iid"][begin]})
        found = pl.DataFrame(
            [
                pl.Series("ordinal", picked.ordinal),
                pl.Series("track", track[begin]),
                self._names(picked).alias("name"),
                self._categories(picked).alias("category"),
                pl.Series("start_ns", start),
                nullable("dur_ns", np.where(closed, last, ABSENT) if self.unclosed else last),
            ]
        )
        if found["name"].null_count():
            self._odd["nameless"].append(found.filter(pl.col("name").is_null()).select(*_ODD).cast(_ODD))
        return found

    @cached_property
    def stages(self) -> pl.DataFrame:
        """ordinal, name, stage (texts, or Enums), device, start_ns, dur_ns, grid, block of the GPU's render stages."""
        table, at = self.scan.stages, self._times["stages"]
        timed = at != ABSENT
        self._untimed(table, timed, np.full(len(table), ABSENT))
        table, at = _picked(table, np.flatnonzero(timed)), at[timed]
        stage, kernel = (self._by_word(table, of, words) for of, words in _STAGE_WORDS)
        found = pl.DataFrame(
            [
                pl.Series("ordinal", table.ordinal),
                first_of(self._names(table, count=False), kernel, stage).alias("name"),
                stage.alias("stage"),
                nullable("device", table.values["gpu"]),
                pl.Series("start_ns", at),
                nullable("dur_ns", table.values["duration"]),
                *(sizes(*(table.values[f"{s}_{d}"] for d in "xyz")).alias(s) for s in ("grid", "block")),
            ]
        )
        if found["name"].null_count():
            self.nameless += found["name"].null_count()
            nameless = found.filter(pl.col("name").is_null()).with_columns(track=pl.lit(None, pl.Int64))
            self._odd["nameless"].append(nameless.select(*_ODD).cast(_ODD))
        return found

    def odd(self, what: str) -> pl.DataFrame:
        """track (null: none), name, start_ns, dur_ns of the first of what a count names, as far as the file tells."""
        if what == "nameless" and self._wordless:
            packets = np.unique(np.concatenate(self._wordless))
            stages = self.stages.with_columns(track=pl.lit(None, pl.Int64))
            self._odd[what] += [
                rows.filter(pl.col("ordinal").is_in(packets)).select(*_ODD).cast(_ODD) for rows in (self.slices, stages)
            ]
            self._wordless.clear()
        return pl.concat(self._odd[what]) if self._odd[what] else pl.DataFrame(schema=_ODD)

    def _untimed(self, table: ScannedTable, timed: npt.NDArray[np.bool_], track: Int64s) -> None:
        rows = np.flatnonzero(~timed)
        if not len(rows):
            return
        self.untimed += len(rows)
        rows = rows[:NAMED]
        self._odd["untimed"].append(_odd(self._names(_picked(table, rows), count=False), track[rows]))

    def argument(
        self, ordinal: pl.Series, names: Iterable[str], tell: Callable[[pl.Series], pl.Series] | None = None
    ) -> pl.Series:
        """The value of the first of these arguments that each packet has: Int64, or text where any of them is one.

        `tell`: what is told in place of a text, asked once for each distinct one.
        Errors: KeyError for a name that was not among those that the scan was asked for.
        """
        found: pl.Series | None = None
        for name in names:
            if self.scan.wanted is not None and name not in self.scan.wanted:
                raise KeyError(name)
            for ordinals, values, texts in self._arguments.get(name, ()):
                laid = self._laid(ordinal, ordinals, values, texts if tell is None or texts is None else tell(texts))
                if found is None:
                    found = laid
                elif found.dtype == laid.dtype:
                    found = pl.select(pl.coalesce(found, laid)).to_series()
                else:
                    found = pl.select(pl.coalesce(found.cast(pl.String), laid.cast(pl.String))).to_series()
        return pl.Series([None], dtype=pl.Int64).new_from_index(0, len(ordinal)) if found is None else found

    def numbers(self, ordinal: pl.Series, *names: str) -> pl.Series:
        """As `argument`, whole numbers alone; a text of digits is its number."""
        found = self.argument(ordinal, names)
        return found if found.dtype == pl.Int64 else found.cast(pl.Int64, strict=False)

    def words_of(
        self, ordinal: pl.Series, *names: str, tell: Callable[[pl.Series], pl.Series] | None = None
    ) -> pl.Series:
        """As `argument`, as text."""
        return self.argument(ordinal, names, tell).cast(pl.String)

    def _laid(
        self, ordinal: pl.Series, ordinals: Int64s, values: npt.NDArray[Any], texts: pl.Series | None
    ) -> pl.Series:
        """One value a row of `ordinal`, null where the packet does not have it."""
        where = self._rows_of(ordinal)
        laid, known = np.zeros(len(ordinal), np.int64), np.zeros(len(ordinal), bool)
        if not lay(where, ordinals, values, laid, known):
            there = where[ordinals] >= 0
            at = where[ordinals[there]]
            laid[at], known[at] = values[there], True
        return valued(laid, known, texts)

    def _rows_of(self, ordinal: pl.Series) -> npt.NDArray[np.int32]:
        """The row of each packet in `ordinal`, -1 for none; kept until it is asked for other ones."""
        if self._placed is None:
            self._placed = pl.Series([], dtype=pl.Int64), np.full(max(self.scan.packets, 1), -1, np.int32)
        before, where = self._placed
        if before is not ordinal:
            where[before.to_numpy()] = -1
            where[ordinal.to_numpy()] = np.arange(len(ordinal), dtype=np.int32)
            self._placed = ordinal, where
        return where

    @cached_property
    def _texts(self) -> pl.Series:
        return pl.Series(self.scan.text_list(), dtype=pl.String)

    @cached_property
    def _arguments(self) -> dict[str, list[Values]]:
        """Name -> its values by their type: whole numbers, or texts; texts of digits alone are whole numbers."""
        parts: dict[str, dict[bool, list[tuple[str, Values]]]] = defaultdict(lambda: defaultdict(list))
        for (sequence, key), held in sorted(self.scan.args.items(), key=lambda one: repr(one[0])):
            ordinals, given = (joined([getattr(one, what) for one in held]) for what in ("ordinal", "values"))
            values, known, texts = self._value(sequence, key[2], ordinals, given)
            for name, rows in self._named(sequence, key[0], key[1], ordinals):
                part = (ordinals, values) if len(rows) == len(ordinals) else (ordinals[rows], values[rows])
                if known is not None:
                    part = part[0][known[rows]], part[1][known[rows]]
                parts[name][key[2] == DIGITS or texts is not None].append((key[2], (*part, texts)))
        return {name: [_of_one_type(many, len(kinds) == 1) for many in kinds.values()] for name, kinds in parts.items()}

    def _value(
        self, sequence: int, kind: str, ordinals: Int64s, values: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None, pl.Series | None]:
        """Values of an argument, which of them can be read (None: all); of texts their numbers, and the texts."""
        if kind == TEXT:
            return values, None, self._texts
        if kind == DOUBLE:
            whole = np.isfinite(values) & (np.abs(values) < 1 << 62) & (values == np.floor(values))
            return np.where(whole, values, 0).astype(np.int64), whole, None
        if kind in (INT, DIGITS):
            return values, None, None
        if kind == WORD:
            told, which = self._coded("word", sequence, ordinals, values)
        else:
            each, which = few(values)
            texts = list(self.scan.texts)
            told = [annotation(texts[k]) for k in each.tolist()]
        known = np.array([word is not None for word in told] or [False])[which]
        return which, known, pl.Series(told, dtype=pl.String)

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
        """A name that is written out, else the word that its number means: texts, or an Enum of them."""
        found = self._by_word(table, "name_iid", "name")
        if self.scan.names:
            ordinals = np.concatenate([one.ordinal for one in self.scan.names])
            numbers = np.concatenate([one.values for one in self.scan.names])
            written = self._laid(pl.Series(table.ordinal), ordinals, numbers, self._texts)
            found = pl.select(pl.coalesce(written, found.cast(pl.String))).to_series()
        if count:
            self.nameless += found.null_count()
        return found

    def _categories(self, table: ScannedTable) -> pl.Series:
        """As an Enum of the words that there are."""
        each = self._sequences(table)
        epoch = {one: self._epoch(one, table.ordinal) for one in each}
        told = [(shape.sequence, shape.category) for shape in self.scan.shapes]
        if all(isinstance(one, int) for one in epoch.values()):  # numbers mean the same in all of a sequence
            words = [
                one
                if not isinstance(one, int)
                else self.words.look_up("category", s, np.array([epoch.get(s, 0)]), np.array([one]))[0]
                for s, one in told
            ]
            return enum_of(words, table.shape)
        numbers = np.array([one if isinstance(one, int) else ABSENT for _, one in told], np.int64)[table.shape]
        written = pl.Series([one if isinstance(one, str) else None for _, one in told], dtype=pl.String)
        found = written.gather(pl.Series(table.shape).cast(pl.UInt32))
        found = pl.select(pl.coalesce(found, self._words(table, "category", numbers).cast(pl.String))).to_series()
        return found.cast(pl.Enum(found.unique(maintain_order=True).drop_nulls()))

    def _by_word(self, table: ScannedTable, value: str, words: str) -> pl.Series:
        return self._words(table, words, table.values[value])

    def _sequences(self, table: ScannedTable) -> list[int]:
        """The sequences whose packets are in the table."""
        used = np.flatnonzero(np.bincount(table.shape, minlength=1))
        return sorted({self.scan.shapes[k].sequence for k in used.tolist()} if len(table) else ())

    def _words(self, table: ScannedTable, words: str, numbers: Int64s) -> pl.Series:
        """The word that each number means in its packet's sequence: texts, or an Enum of them."""
        each = self._sequences(table)
        if len(each) == 1:
            return enum_of(*self._coded(words, each[0], table.ordinal, numbers))
        sequences = np.array([shape.sequence for shape in self.scan.shapes] or [0], np.int64)[table.shape]
        out = pl.Series([None] * len(table), dtype=pl.String)
        for sequence in each:
            rows = np.flatnonzero(sequences == sequence)
            out = out.scatter(rows, self._looked_up(words, sequence, table.ordinal[rows], numbers[rows]))
        return out

    def _looked_up(self, table: str, sequence: int, ordinals: Int64s, numbers: Int64s) -> pl.Series:
        words, which = self._coded(table, sequence, ordinals, numbers)
        return pl.Series(words, dtype=pl.String).gather(pl.Series(which).cast(pl.UInt32))

    def _epoch(self, sequence: int, ordinals: Int64s) -> int | Int64s:
        """`epochs` of packets; one number where it is that of them all."""
        if len(ordinals):
            low, high = epochs(self.scan, sequence, np.array([ordinals.min(), ordinals.max()])).tolist()
            if low == high:
                return int(low)
        return epochs(self.scan, sequence, ordinals)

    def _coded(
        self, table: str, sequence: int, ordinals: Int64s, numbers: Int64s
    ) -> tuple[list[str | None], npt.NDArray[Any]]:
        """(the words that there are, which of them each number means in its packet)."""
        epoch = self._epoch(sequence, ordinals)
        if isinstance(epoch, int) and len(numbers) and numbers.min() >= 0 and numbers.max() < FEW:
            each, which = few(numbers)
            return self.words.look_up(table, sequence, np.full(len(each), epoch), each), which
        key = np.asarray(epoch) * _TRACK_OF + np.where(numbers == ABSENT, -1, numbers)
        each, which = np.unique(key, return_inverse=True)
        return self.words.look_up(table, sequence, (each + 1) // _TRACK_OF, (each + 1) % _TRACK_OF - 1), which

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


def _of_one_type(many: list[tuple[str, Values]], alone: bool) -> Values:
    """Values of an argument together. `alone`: no others have its name."""
    if not alone or any(kind != DIGITS for kind, _ in many):
        many = [(kind, _written(values) if kind == DIGITS else values) for kind, values in many]
    values = [one for _, one in many]
    return values[0] if len(values) == 1 else merged(values)


def _written(values: Values) -> Values:
    """Numbers as the texts that they were."""
    each, which = np.unique(values[1], return_inverse=True)
    return values[0], which, pl.Series(each).cast(pl.String)


#: An event as a finding names it, and its track.
_ODD: Final = pl.Schema({"track": pl.Int64, "name": pl.String, "start_ns": pl.Int64, "dur_ns": pl.Int64})


def _odd(name: pl.Series, track: Int64s, start_ns: pl.Series | None = None) -> pl.DataFrame:
    rows = pl.DataFrame([nullable("track", track), name.alias("name")])
    return rows.with_columns(start_ns=start_ns, dur_ns=None).cast(_ODD)


_STAGE_WORDS: Final = (("stage_iid", "queue"), ("kernel_iid", "kernel"))


def on_tracks(table: ScannedTable, tracks: Container[int]) -> ScannedTable:
    """The packets on these tracks, and those that leave theirs to be told by their sequence."""
    each, which = distinct(table.values["track"])
    kept = np.array([one == ABSENT or one in tracks for one in each.tolist()] or [True])
    return table if kept.all() else _picked(table, np.flatnonzero(kept[which]))


def _picked(table: ScannedTable, rows: Int64s) -> ScannedTable:
    return ScannedTable(table.ordinal[rows], table.shape[rows], {name: v[rows] for name, v in table.values.items()})
