"""Whose launches are alike: processes that were given channels of a card by chance, by stand-ins that say them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from rope_prof.record.worker.channels import MOST_OF_ONE, MOST_TRIES, Candidate, Channels, closest
from rope_prof.record.worker.process import LostWorkerError, WorkerProcess


@dataclass
class Process:
    """It launches so fast; cannot say it where that is None, and ends over the question where it is 0."""

    launch_ns: float | None
    forked: bool = True
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    ended: bool = False

    def tell(self, *words: Any) -> None:
        self.asked.append(words)

    def told(self, call: str) -> float | None:
        assert self.asked == [(call, "cuda:1")]
        if self.launch_ns == 0:
            raise LostWorkerError("its process ended with code 1")
        return self.launch_ns

    def end(self) -> None:
        self.ended = True


@dataclass
class Chair:
    """A seat whose processes come one after the other; none when they are used up."""

    lots: list[Process]
    origin: object = "here"
    device: str = "cuda:1"
    process: Process | None = None
    launch_ns: float | None = None

    def begin(self) -> WorkerProcess:
        if not self.lots:
            raise LostWorkerError("no more")
        return cast(WorkerProcess, self.lots.pop(0))

    def accept(self, process: WorkerProcess, launch_ns: float | None) -> None:
        assert self.process is None
        self.process, self.launch_ns = cast(Process, process), launch_ns


def chairs(*levels: list[float | None], origins: str = "") -> list[Chair]:
    return [
        Chair([Process(ns) for ns in mine], origin=origins[n] if origins else "here") for n, mine in enumerate(levels)
    ]


def filled(*seats: Chair, channels: Channels | None = None) -> list[float | None]:
    lots = [process for seat in seats for process in seat.lots]
    (channels or Channels()).fill(seats)
    begun = [process for process in lots if all(process not in seat.lots for seat in seats)]
    sitting = [seat.process for seat in seats if seat.process is not None]
    for process in begun:
        assert process.ended != any(process is one for one in sitting), "who does not sit is gone, who sits is there"
    return [seat.launch_ns for seat in seats]


def test_those_stay_that_are_alike_and_fast() -> None:
    seats = chairs([1540.0, 1430.0, 1420.0], [1425.0, 1510.0, 1424.0], [1520.0, 1433.0, 1500.0])
    assert sorted(cast(list[float], filled(*seats))) == [1425.0, 1430.0, 1433.0]
    assert [len(seat.lots) for seat in seats] == [1, 1, 1], "no more is begun once they are alike"


def test_at_least_two_a_seat_are_tried_before_any_counts_as_fast() -> None:
    seats = chairs([1510.0, 1420.0, 1.0], [1515.0, 1425.0, 1.0])
    assert filled(*seats) == [1420.0, 1425.0]


def test_slow_ones_that_are_alike_stay_where_too_few_are_fast() -> None:
    lots: list[list[float | None]] = [[1520.0] * 18, [1420.0, *[1512.0] * 17]]
    seats = chairs(*lots)
    assert filled(*seats) == [1512.0, 1512.0], "the faster of those that are alike"
    assert [len(seat.lots) for seat in seats] == [18 - max(MOST_TRIES, MOST_OF_ONE // 2)] * 2


def test_the_closest_stay_where_none_are_alike() -> None:
    apart = [[1500.0 * 1.05 ** (2 * n + place) for n in range(30)] for place in range(2)]
    apart[1][3] = 1.03 * apart[0][3]
    assert filled(*chairs(*apart)) == [apart[0][3], apart[1][3]]


def test_a_process_that_follows_another_is_like_those_that_sit() -> None:
    channels = Channels()
    seats = chairs([1510.0] * 9, [1515.0] * 9)
    filled(*seats, channels=channels)
    later = Chair([Process(ns) for ns in (1420.0, 1425.0, 1424.0, 1512.0, 1512.0)])
    assert filled(later, channels=channels) == [1512.0]
    assert len(later.lots) == 1


def test_a_seat_that_is_filled_again_is_not_held_against_its_last_process() -> None:
    channels = Channels()
    seat = Chair([Process(1510.0), Process(1510.0), Process(1420.0), Process(1420.0)])
    filled(seat, channels=channels)
    seat.process = None
    assert filled(seat, channels=channels) == [1420.0]


def test_processes_of_two_origins_are_alike_and_keep_to_their_seats() -> None:
    seats = chairs([1420.0, 1510.0], [1600.0, 1515.0], origins="ab")
    mine, theirs = [list(seat.lots) for seat in seats]
    assert filled(*seats) == [1510.0, 1515.0]
    assert seats[0].process in mine
    assert seats[1].process in theirs


def test_who_cannot_say_is_taken_as_it_is_and_who_ends_is_not() -> None:
    seats = chairs([None], [0.0, 1420.0], [1425.0, 1510.0])
    program = Process(1.0, forked=False)
    assert filled(*seats, Chair([program])) == [None, 1420.0, 1425.0, None]
    assert program.asked == []


def test_a_seat_stays_empty_where_no_process_is_to_be_had() -> None:
    seats = chairs([], [1420.0] * 30, [0.0] * 30, origins="abb")
    assert filled(*seats)[0] is None
    assert seats[0].process is None
    assert len([seat for seat in seats if seat.process]) == 2, "who ends over the question has one of those that do not"


def test_too_few_are_all_that_there_are() -> None:
    one = Candidate(cast(WorkerProcess, Process(1.0)), 1.0, 0)
    assert closest([one], [0, 0]) == [one]
    assert closest([one], []) == []
