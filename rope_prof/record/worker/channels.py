"""Which processes of a GPU may begin: those whose launches follow each other alike.

What channel of the card a process is given is chance, and stays with it (`device.queues`): paths in processes of their
own would differ by that. A process costs little to fork as long as it has not begun: more are forked than there are
seats, those stay that are alike, of the fast kind if they can be had, and the others are ended. They live at once,
since the next process is likely to get the channel of one that has just ended. One that was started as a program of its
own, or that cannot say, is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rope_prof.model.run import ALIKE
from rope_prof.record.worker.process import LostWorkerError, WorkerProcess

#: So many processes a seat are tried, so many at least where nobody sits yet, and no more than so many in all (or for
#: one seat): each holds a context of the card meanwhile, about 0.5 GB.
LEAST_TRIES, MOST_TRIES, MOST_OF_ONE = 2, 4, 12


class Vacant(Protocol):
    """A seat that has no process. Those of one `origin` can be had for each other."""

    @property
    def origin(self) -> object:
        """What its processes are forked from."""

    @property
    def device(self) -> str:
        """The card."""

    def begin(self) -> WorkerProcess:
        """A process. Errors: LostWorkerError."""

    def accept(self, process: WorkerProcess, launch_ns: float | None) -> None:
        """Have it sit here."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A process that has not begun: ns from one of its launches to the next, and the place of its origin."""

    process: WorkerProcess
    launch_ns: float
    origin: int


@dataclass(slots=True)
class Channels:
    """The channels of one card that the processes of a recording have, by seat."""

    _levels: dict[int, float] = field(default_factory=dict)

    def fill(self, seats: Sequence[Vacant]) -> None:
        """Give each of `seats` a process, all of them like each other and like those of the seats that have one.

        A seat whose process cannot be had stays as it is. Threads may fill seats of their own at once.
        """
        beside = [ns for place, ns in list(self._levels.items()) if place not in set(map(id, seats))]
        origins = [next(place for place, other in enumerate(seats) if other.origin == seat.origin) for seat in seats]
        left, tried = dict(enumerate(seats)), 0
        able = dict(left)
        pool: list[Candidate] = []
        chosen: list[Candidate] = []
        try:
            while able and tried < max(MOST_TRIES, MOST_OF_ONE // len(seats)):
                tried += 1
                for place, process, ns in _timed(able):
                    if process is None or ns is None:
                        del able[place]
                    if process is not None and ns is None:
                        left.pop(place).accept(process, None)
                    elif process is not None and ns is not None:
                        pool.append(Candidate(process, ns, origins[place]))
                chosen = closest(pool, [origins[place] for place in left], beside)
                like = beside or ([min(one.launch_ns for one in pool)] if tried >= LEAST_TRIES and pool else [])
                if like and len(chosen) == len(left) and _spread(chosen, like) <= ALIKE:
                    break
        finally:
            for place, seat in left.items():
                mine = next((one for one in chosen if one.origin == origins[place]), None)
                if mine is not None:
                    chosen.remove(mine)
                    pool.remove(mine)
                    seat.accept(mine.process, mine.launch_ns)
                    self._levels[id(seat)] = mine.launch_ns
            for one in pool:
                one.process.end()


def _timed(seats: dict[int, Vacant]) -> Iterator[tuple[int, WorkerProcess | None, float | None]]:
    """(place, a process, ns a launch) of one more process for each of `seats`, all at once.

    No process where none can be had, no ns where it cannot say; of one that ends over the question nothing.
    """
    asked = []
    for place, seat in list(seats.items()):
        try:
            process = seat.begin()
            if process.forked and seat.device.startswith("cuda"):
                process.tell("launch_ns", seat.device)
                asked.append((place, process))
            else:
                yield place, process, None
        except LostWorkerError:
            yield place, None, None
    for place, process in asked:
        try:
            yield place, process, process.told("launch_ns")
        except Exception:  # what is asked of the next one says what is wrong
            process.end()


def closest(pool: Sequence[Candidate], wanted: Sequence[int], beside: Sequence[float] = ()) -> list[Candidate]:
    """Who are alike: as many of each origin as `wanted` names it, the fastest; where none are, who are the closest.

    With `beside` they are like these. Where there are too few, all that there are of those origins.
    """
    ranked = sorted(pool, key=lambda one: one.launch_ns)
    sets = []
    for low in range(len(ranked)):
        missing, found = list(wanted), list[Candidate]()
        for one in ranked[low:]:
            if one.origin in missing:
                missing.remove(one.origin)
                found.append(one)
        if found and not missing:
            sets.append(found)
    few = [one for one in ranked if one.origin in wanted]
    return min(sets, key=lambda found: max(ALIKE, _spread(found, beside)), default=few)


def _spread(found: Sequence[Candidate], beside: Sequence[float]) -> float:
    levels = [*beside, *(one.launch_ns for one in found)]
    return max(levels) / min(levels)
