"""Words that a sequence repeats: maximal repeats by suffix array, picked by what they compress.

Knows strings of integers and nothing of kernels. `BREAK` ends a word; no word reaches over one. A word counts
only where chance cannot explain it: against independent draws with the sequence's own frequencies, over all
words there are, it is expected less than `CHANCE` times. A word that is a loop (a shorter word three
times over, or occurrences that overlap) gives way to the word it loops over.

n log n: prefix doubling (Manber and Myers, 1993), LCP from the kept ranks, LCP intervals (Abouelhoda et al.,
2004). Equal runs between breaks are first folded into one, so a model's layers cost as much as one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rope_prof.model.frozen import Frozen

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BREAK = -1
#: A word expected more often than this by chance alone, anywhere in the sequence, is no repeat.
CHANCE = 1e-3
#: This many times over in a row makes a loop.
LOOP = 3


class Repeat(Frozen):
    """A word and the places where it starts, in order, none overlapping another."""

    word: tuple[int, ...]
    starts: tuple[int, ...]


class _Null(Frozen):
    """Independent draws: `cost[i]` is the negative log probability of symbol i."""

    cost: Floats
    break_cost: float
    log_places: float

    def by_chance(self, cost: Floats, count: Ints, edges: int = 0) -> npt.NDArray[np.bool_]:
        """Whether chance would give words of that cost `count` times, between `edges` breaks.

        Chernoff's bound on the tail of a Poisson count, times the number of such words there could be.
        """
        log_mean = self.log_places - cost - edges * self.break_cost
        mean = np.exp(np.minimum(log_mean, 700.0))
        log_tail = count - mean + count * (log_mean - np.log(count))
        chance: npt.NDArray[np.bool_] = (count <= mean) | (log_tail + cost + self.log_places > np.log(CHANCE))
        return chance


class _Folded(Frozen):
    """The runs between breaks, each once, behind each a separator of its own; `weight` counts them."""

    text: Ints
    run_at: Ints
    first: Ints
    weight: Ints
    places: tuple[tuple[int, ...], ...]


def find_repeats(text: Ints, *, host_gap: Ints | None = None, limit: int = 32) -> tuple[Repeat, ...]:
    """Up to `limit` repeated words of `text`, the one that compresses it most first; no two share a place.

    `text` holds symbols from 0 up and `BREAK`. `host_gap` (one per place) says where a loop's turn begins if
    the loop is cut off at an end: where the gap before the place is widest.
    """
    if not (text >= 0).any():
        return ()
    null = _null(text)
    rest = text.copy()
    found: list[Repeat] = []
    while len(found) < limit:
        best = _best(rest, null, host_gap)
        if best is None:
            break
        found.append(best)
        places = np.array(best.starts)[:, None] + np.arange(len(best.word))
        rest[places.ravel()] = BREAK
    return tuple(found)


def _null(text: Ints) -> _Null:
    counts = np.bincount(text[text >= 0]).astype(np.float64)
    breaks = max(1, int((text < 0).sum()))
    total = counts.sum() + breaks
    cost = -np.log(np.maximum(counts, 1.0) / total)
    return _Null(cost, -float(np.log(breaks / total)), float(np.log(total)))


def _best(text: Ints, null: _Null, host_gap: Ints | None) -> Repeat | None:
    """The word that compresses most, occurrences x (length - 1) - length; ties: the shorter, the earlier."""
    folded = _fold(text, host_gap)
    if folded.text.size == 0:
        return None
    order, lcp = _suffixes(folded.text)
    candidates = sorted(set(_candidates(folded, order, lcp, null)), key=lambda c: (-c.bound, c.length, c.low))
    best: tuple[int, int, Repeat] | None = None
    for candidate in candidates:
        if best is not None and candidate.bound < best[0]:
            break
        repeat = _occurrences(_turn(candidate, folded, order, lcp), folded, order)
        length, count = len(repeat.word), len(repeat.starts)
        gain = count * (length - 1) - length
        if count < 2 or gain <= 0 or (best is not None and (gain, -length) <= (best[0], -best[1])):
            continue
        if not _is_chance(repeat, text, null):
            best = (gain, length, repeat)
    return None if best is None else best[2]


def _turn(candidate: _Candidate, folded: _Folded, order: Ints, lcp: Ints) -> _Candidate:
    """The candidate, or one turn of the loop that it is."""
    at = int(order[candidate.low])
    length = _loop(folded.text[at : at + candidate.length])
    if not length:
        return candidate
    return _Candidate(candidate.bound, length, *_locus(lcp, candidate.low, length))


def _is_chance(repeat: Repeat, text: Ints, null: _Null) -> bool:
    """As a word anywhere, and as a whole run from break to break."""
    starts = np.array(repeat.starts)
    edged = np.concatenate([[BREAK], text, [BREAK]])
    whole = int(((edged[starts] < 0) & (edged[starts + len(repeat.word) + 1] < 0)).sum())
    cost = np.array([null.cost[list(repeat.word)].sum()])
    if not null.by_chance(cost, np.array([starts.size]))[0]:
        return False
    return whole < 2 or bool(null.by_chance(cost, np.array([whole]), edges=2)[0])


class _Candidate(Frozen, order=True):
    """The first `length` symbols of suffixes low..high; `bound`: what they compress if none overlaps."""

    bound: int
    length: int
    low: int
    high: int


def _candidates(folded: _Folded, order: Ints, lcp: Ints, null: _Null) -> Iterator[_Candidate]:
    """Left- and right-maximal words that stand there more often than chance has them, and whole runs."""
    weights = np.concatenate([[0], np.cumsum(folded.weight[folded.run_at][order])])
    cost = np.where(folded.text >= 0, null.cost[np.maximum(folded.text, 0)], 0.0)
    costs = np.concatenate([[0.0], np.cumsum(cost)])
    before = np.concatenate([[-1], folded.text[:-1]])[order]
    turns = np.concatenate([[0], np.cumsum(before[1:] != before[:-1])])
    steps = np.abs(np.diff(order, prepend=order[0]))
    length, low, high = np.array(list(_intervals(lcp)), dtype=np.int64).reshape(-1, 3).T
    counts = weights[high + 1] - weights[low]
    cost = costs[order[low] + length] - costs[order[low]]
    keep = (length >= 2) & (turns[high] > turns[low]) & ~null.by_chance(cost, counts)
    for size, first, last in zip(length[keep].tolist(), low[keep].tolist(), high[keep].tolist(), strict=True):
        step = int(steps[first + 1 : min(last, first + 64) + 1].min())
        if step < size:
            size = step
            first, last = _locus(lcp, first, size)
        count = int(weights[last + 1] - weights[first])
        if size >= 2:
            yield _Candidate(count * (size - 1) - size, size, first, last)
    yield from _whole_runs(folded, order, lcp, weights)


def _whole_runs(folded: _Folded, order: Ints, lcp: Ints, weights: Ints) -> Iterator[_Candidate]:
    """Runs that stand in the text more than once: folding left one suffix of each, in no interval."""
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    ends = np.append(folded.first[1:], folded.text.size) - 1
    for start, end, weight in zip(folded.first, ends, folded.weight, strict=True):
        length = int(end - start)
        if length < 2 or weight < 2:
            continue
        low, high = _locus(lcp, int(rank[start]), length)
        count = int(weights[high + 1] - weights[low])
        yield _Candidate(count * (length - 1) - length, length, low, high)


def _occurrences(candidate: _Candidate, folded: _Folded, order: Ints) -> Repeat:
    """The word's places in the unfolded text, from left to right, none overlapping the one before."""
    length = candidate.length
    kept: list[int] = []
    edge = -1
    for at in np.sort(order[candidate.low : candidate.high + 1]).tolist():
        if at >= edge:
            kept.append(at)
            edge = at + length
    starts = [
        place + at - int(folded.first[run])
        for at in kept
        for run in (int(folded.run_at[at]),)
        for place in folded.places[run]
    ]
    word = folded.text[kept[0] : kept[0] + length]
    return Repeat(tuple(word.tolist()), tuple(sorted(starts)))


def _fold(text: Ints, host_gap: Ints | None) -> _Folded:
    """Equal runs folded into one; a run that is one loop from end to end is cut into its turns first."""
    places: dict[bytes, list[int]] = {}
    for start, run in _pieces(text, host_gap):
        places.setdefault(run, []).append(start)
    runs = [np.frombuffer(key, dtype=np.int64) for key in places]
    sizes = np.array([run.size + 1 for run in runs], dtype=np.int64)
    if not runs:
        empty = np.empty(0, dtype=np.int64)
        return _Folded(empty, empty, empty, empty, ())
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    folded = np.concatenate([np.append(run, -2 - number) for number, run in enumerate(runs)])
    weight = np.array([len(starts) for starts in places.values()], dtype=np.int64)
    return _Folded(folded, np.repeat(np.arange(len(runs)), sizes), first, weight, tuple(map(tuple, places.values())))


def _pieces(text: Ints, host_gap: Ints | None) -> Iterator[tuple[int, bytes]]:
    """Start and symbols of each run; the turns of a run that is one loop."""
    inside = np.concatenate([[False], text >= 0, [False]])
    starts = np.flatnonzero(inside[1:] & ~inside[:-1]).tolist()
    ends = np.flatnonzero(~inside[1:] & inside[:-1]).tolist()
    raw, item = text.tobytes(), text.itemsize
    keys = [raw[item * start : item * end] for start, end in zip(starts, ends, strict=True)]
    loops = {key: _turn_length(np.frombuffer(key, dtype=np.int64)) for key in set(keys)}
    for start, end, key in zip(starts, ends, keys, strict=True):
        period = loops[key]
        if not period:
            yield start, key
            continue
        offset = 0
        if (end - start) % period and host_gap is not None:
            turns = [host_gap[start + o : end : period][1 if o == 0 else 0 :].mean() for o in range(period)]
            offset = int(np.argmax(turns))
        edges = [start, *range(start + offset, end + 1, period), end]
        yield from ((a, raw[item * a : item * b]) for a, b in pairwise(edges) if b > a)


def _turn_length(run: Ints) -> int:
    """The length of a turn where the whole run is one loop, else 0."""
    period = _period(run)
    return 0 if period < 2 or run.size < LOOP * period else period


def _period(run: Ints) -> int:
    """The smallest p by which the whole run repeats (failure function of Knuth, Morris and Pratt)."""
    symbols = run.tolist()
    border = [0] * len(symbols)
    k = 0
    for i in range(1, len(symbols)):
        while k and symbols[i] != symbols[k]:
            k = border[k - 1]
        k += symbols[i] == symbols[k]
        border[i] = k
    return len(symbols) - border[-1]


def _loop(word: Ints) -> int:
    """The length of the shorter word that makes up more than half of `word` as a loop; 0 if none does."""
    for period in range(2, word.size // LOOP + 1):
        same = np.concatenate([[False], word[period:] == word[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        stretch = int((edges[1::2] - edges[::2]).max(initial=0)) + period
        if stretch >= LOOP * period and 2 * stretch > word.size and len(set(word[:period].tolist())) > 1:
            return period
    return 0


def _locus(lcp: Ints, at: int, length: int) -> tuple[int, int]:
    """All suffixes that begin with the first `length` symbols of suffix `at`: low and high, inclusive."""
    cuts = np.flatnonzero(lcp < length)
    low = int(cuts[np.searchsorted(cuts, at, side="right") - 1])
    after = np.searchsorted(cuts, at, side="right")
    return low, int(cuts[after]) - 1 if after < cuts.size else lcp.size - 1


def _suffixes(text: Ints) -> tuple[Ints, Ints]:
    """The suffixes of `text` in order, and the length that each shares with the one before it."""
    _, rank = np.unique(text, return_inverse=True)
    rank = rank.astype(np.int64)
    levels = [rank]
    size, step = text.size, 1
    while int(rank.max()) + 1 < size:
        after = np.zeros(size, dtype=np.int64)
        after[:-step] = rank[step:] + 1
        _, rank = np.unique(rank * (size + 1) + after, return_inverse=True)
        rank = rank.astype(np.int64)
        levels.append(rank)
        step *= 2
    order = np.empty(size, dtype=np.int64)
    order[rank] = np.arange(size)
    shared = np.zeros(size, dtype=np.int64)
    for level in range(len(levels) - 1, -1, -1):
        left, right = order[:-1] + shared[1:], order[1:] + shared[1:]
        inside = np.flatnonzero((left < size) & (right < size))
        same = levels[level][left[inside]] == levels[level][right[inside]]
        shared[1 + inside[same]] += 1 << level
    return order, shared


def _intervals(lcp: Ints) -> Iterator[tuple[int, int, int]]:
    """The LCP intervals (length, low, high): the right-maximal repeats, each once."""
    stack: list[tuple[int, int]] = [(0, 0)]
    values = lcp.tolist()
    for index in range(1, len(values) + 1):
        value = values[index] if index < len(values) else 0
        low = index - 1
        while stack and stack[-1][0] > value:
            length, low = stack.pop()
            yield length, low, index - 1
        if not stack or stack[-1][0] < value:
            stack.append((value, low))
