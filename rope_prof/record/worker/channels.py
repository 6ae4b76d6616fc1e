"""Which worker of a GPU may begin: one whose launches follow each other as fast as those of any that was seen.

What channel of the card a process is given is chance, and stays with it (`device.queues`): paths in processes of their
own would differ by that. A process costs little to fork anew, as long as it has not begun. One that was started as a
program of its own, or that cannot say, is taken as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from rope_prof.record.worker.seat import Seat

#: So many times the least is another kind of channel: kinds lie 1.06 times apart and more, samples of one within 1.01.
LATE = 1.025
#: So many processes are tried for a seat: one in two or three has a fast one (of 24 seats three had none in seven).
MOST_TRIES = 20


@dataclass(slots=True)
class Channels:
    """The channels of one card, as far as they were seen: `least_ns` between two queued launches."""

    least_ns: float = inf

    def even(self, seats: Sequence[Seat]) -> Iterator[Seat]:
        """`seats`, each as soon as its process may begin; all are timed at once."""
        left = list(seats)
        for tried in range(1, MOST_TRIES + 1):
            asked = []
            for seat in left:
                with suppress(Exception):  # what is asked of it next says what is wrong
                    asked += [seat] if seat.tell_launch_ns() else []
            for seat in asked:
                with suppress(Exception):
                    seat.told_launch_ns()
            self.least_ns = min([self.least_ns, *(seat.launch_ns for seat in left if seat.launch_ns is not None)])
            late = [(seat.launch_ns or 0) > LATE * self.least_ns and tried < MOST_TRIES for seat in left]
            yield from (seat for seat, again in zip(left, late, strict=True) if not again)
            left = [seat for seat, again in zip(left, late, strict=True) if again]
            for seat in left:
                seat.leave()
