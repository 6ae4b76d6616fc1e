"""Whether a path works in every call that is timed, not in those alone that are looked at one by one.

Calls in a row, by a loop that none of them can tell from the timed one and on values that none has seen, are each held
against the baseline's on the same values; so is every call of a graph that was captured as the timed one was. When that
happens in a recording nobody can foresee (`Rota`). None of it runs while anything is timed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from rope_prof.kernels.operation import Call
from rope_prof.model.run import L2
from rope_prof.record.bench.accuracy import outputs_of, run_once
from rope_prof.record.bench.copies import copied, mapped
from rope_prof.record.bench.subjects import Ring, over, replays
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.timing import Clock, Subject, Work
from rope_prof.record.worker.anew import exchange, put_back
from rope_prof.record.worker.watch import DishonestPathError

Function = Callable[..., Any]
Excuse = Callable[[int, Sequence[torch.Tensor], Sequence[float]], bool]
#: Calls in a row that are looked at, where they fit: work that is left out in one of so many, or of fewer, is found.
CALLS = 64
#: Once the rounds are done so many are, however long they take.
LEAST = 8
#: No more are begun once it took so long, or would take so much memory at once.
LONGEST_NS, AT_ONCE_BYTES = 200_000_000, 1 << 27
#: Of a call that was made no more elements lie further from the baseline's than both may err, of whole numbers, where
#: a tie may fall either way, than the second; of one left out most do, but for what it leaves as it was anyway.
SHARE, WHOLE_SHARE = 1e-3, 0.1
#: No more may do so where values that lie in other places are none that belong together.
MOST = 0.5


@dataclass(slots=True)
class Rota:
    """In which rounds a path is looked at: one of the first three that its process takes, and ever fewer after it."""

    below: Callable[[int], int] = secrets.randbelow
    _due: dict[str, int] = field(default_factory=dict)

    def due(self, name: str, number: int) -> bool:
        """Whether the path called `name` is, ahead of its turn in round `number`."""
        due = self._due.setdefault(name, number + self.below(3))
        if number < due:
            return False
        self._due[name] = number + 1 + self.below(2 * (number + 2))
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One path on the calls of `ring`. `granted`: how far each output of an honest one may lie from the baseline's, on
    the values that were checked; `granted_on`: on those of a call, which is asked of one that lies further off.

    `refill` gives the calls of the ring values that were not there before; no version counter tells of them, as none
    tells of a round's further calls. `ahead`: so many calls go before those that are looked at: no count of calls since
    the round began tells them. Errors of each method: DishonestPathError.
    """

    ring: Ring
    l2: L2
    call: Function
    baseline: Function
    granted: Sequence[float]
    refill: Callable[[], None]
    synchronize: Callable[[], None]
    granted_on: Callable[[Call], Sequence[float]]
    ahead: int = 0

    def stages(self, clock: Clock, least: int) -> Iterator[Subject]:
        """What the timing loop is given in the place of the path: `CALLS` calls, or `least` where they take long."""
        fit = max(1, AT_ONCE_BYTES // max(1, self.ring.buffer_bytes))
        at_once = 1 if self.l2 == "hot" else min(len(self.ring), CALLS // 2, fit)  # each buffer twice at least
        over(self.call, partial(self.ring.take, l2=self.l2))(self.ahead)()
        begun, done, seen = clock(), 0, tuple[tuple[Call, Call], ...]()
        while done < CALLS and (done < least or (seen and least > 1) or clock() - begun < LONGEST_NS):
            stage = _Stage(self, done, seen)
            yield Subject("", stage.work, calls=at_once, waits=True)
            stage.require()
            done += at_once  # one that is taken again counts once
            seen = () if seen else tuple(zip(stage.looked, stage.same, strict=True))

    def of_capture(self) -> None:
        """Every call of a graph that is captured anew, and kept: what each makes has memory of its own there."""
        made = self.ring.next_calls(GRAPH_CALLS, self.l2)
        kept: list[Any] = []

        def run(*arguments: Any) -> Any:
            result = self.call(*arguments)
            kept.append(result)
            return result

        work = replays(run, _arguments(made, GRAPH_CALLS))
        if self.l2 == "cold" or kept[-1] is not None:  # else all work in one place, one after the other
            self.of_replay(work(GRAPH_CALLS), made, kept[-GRAPH_CALLS:])

    def of_replay(self, replay: Work, made: Sequence[Call], results: Sequence[Any]) -> None:
        """The calls of a graph by what a replay leaves, each in its own buffer or in the last that has that place.

        Of results whose memory a later call of the graph has taken, None stands there, and `made` works in place.
        """
        self.unseen()
        same = [copied(each) for each in made]
        replay()
        self.synchronize()
        self.require(made, results, same, "its graph does not what its calls do")

    def of_baseline(self, given: Call) -> Sequence[torch.Tensor]:
        """What the baseline makes of `given`, which stays as it is."""
        return run_once(self.baseline, copied(given) if given.written else given, self.ring.operation)

    def unseen(self) -> None:
        """New values in the ring: a path that goes by addresses and version counters takes them for the old ones."""
        with self.untold():
            self.refill()

    @contextmanager
    def untold(self) -> Iterator[None]:
        """No version counter tells of what is written to the ring meanwhile."""
        told = tuple(each for one in self.ring.calls for each in one.fresh if not each.is_inference())
        with torch.autograd.grad_mode._unsafe_preserve_version_counter(told):  # noqa: SLF001
            yield

    def require(
        self,
        made: Sequence[Call],
        results: Sequence[Any],
        same: Sequence[Call],
        what: str,
        done: int = 0,
        excused: Excuse = lambda *_: False,
    ) -> None:
        """DishonestPathError where one of the calls `made`, the first of them after `done` others, was not.

        `same`: copies from before. The baseline runs on them now: nothing that the path could find held its outputs.
        `excused`: of which call it is right to be so far off.
        """
        operation, later = self.ring.operation, set[int]()
        for place in reversed(range(len(made))):
            got = outputs_of(results[place], made[place], operation)
            places = {each.data_ptr() for each in got if each.numel()}
            if places & later:
                continue
            later |= places
            wanted = self.of_baseline(same[place])
            if not any(too_far(got, wanted, self.granted)):
                continue
            shares = too_far(got, wanted, self.granted_on(same[place]))
            if any(shares) and excused(place, got, shares):
                continue
            for output, share in zip(operation.outputs, shares, strict=True):
                if share:
                    raise DishonestPathError(
                        f"{what}: of {done + place + 1} in a row the last leaves {100 * share:.3g} % of "
                        f"{output.name!r} other than the baseline; is work left out in some calls?"
                    )


@dataclass(slots=True)
class _Stage:
    """A sample whose calls are held against the baseline's; one that is taken again has values of its own.

    `seen`: calls that were just made, and copies from before; they are made again, few of their values in other places:
    a path that goes by some elements takes them for the old ones. Of none: the ring's next ones, on new values.
    """

    audit: Audit
    done: int
    seen: Sequence[tuple[Call, Call]]
    looked: Sequence[Call] = ()
    made: list[Call] = field(default_factory=list)
    same: list[Call] = field(default_factory=list)
    kept: list[Any] = field(default_factory=list)

    def work(self, calls: int) -> Work:
        """`calls` calls on values that none has seen."""
        self.require()
        if self.seen:
            with self.audit.untold():
                exchange(self.seen)
            self.made = [live for live, _ in self.seen][:calls]
        else:
            self.audit.unseen()
            self.made = self.audit.ring.next_calls(calls, self.audit.l2)
        self.looked = self.made
        self.same, self.kept = [copied(each) for each in self.made], []
        return over(self.audit.call, partial(_arguments, self.made), partial(_keep, self.kept))(calls)

    def require(self) -> None:
        """DishonestPathError where one of those that were made last was not."""
        if self.made:
            what = "its timed calls do not what its checked calls do"
            self.audit.require(self.made, self.kept, self.same, what, self.done, self._excused)
            self.done += len(self.made)
            with self.audit.untold():
                put_back(self.seen)
        self.made = []

    def _excused(self, place: int, got: Sequence[torch.Tensor], shares: Sequence[float]) -> bool:
        """Whether some values in other places are such that an honest path may differ from the baseline (sums, scales
        and masks may not be theirs): it makes the same of them anywhere else, and not what belongs to those before.
        """
        if not self.seen or max(shares) > MOST:
            return False
        audit = self.audit
        if not any(too_far(got, audit.of_baseline(self.seen[place][1]), audit.granted)):
            return False
        elsewhere = run_once(audit.call, copied(self.same[place]), audit.ring.operation)
        return not any(too_far(elsewhere, got, audit.granted))


def _arguments(made: Sequence[Call], calls: int) -> list[tuple[Any, ...]]:
    return [each.arguments for each in made[:calls]]


def _keep(kept: list[Any], result: Any) -> None:
    """Copies of what a call returned: the next may give the same buffers again."""
    kept.append(mapped(result, lambda each: each.clone() if isinstance(each, torch.Tensor) else each))


def too_far(got: Sequence[torch.Tensor], wanted: Sequence[torch.Tensor], granted: Sequence[float]) -> list[float]:
    """Of each output the part that lies further off than is granted; 0 where so small a part may."""
    shares = [off_share(mine, theirs, limit) for mine, theirs, limit in zip(got, wanted, granted, strict=True)]
    most = [SHARE if theirs.is_floating_point() else WHOLE_SHARE for theirs in wanted]
    return [share if share > limit else 0.0 for share, limit in zip(shares, most, strict=True)]


def off_share(got: torch.Tensor, want: torch.Tensor, limit: float) -> float:
    """The part of `got` that lies over twice `limit` off `want`, of whole numbers more than one as well."""
    if got.shape != want.shape:
        return 1.0
    if not got.numel():
        return 0.0
    granted = 2 * limit if want.is_floating_point() else max(1.0, 2 * limit)
    mine, theirs = got.detach().double(), want.detach().double()
    alike = (mine == theirs) | (mine.isnan() & theirs.isnan()) | ((mine - theirs).abs() <= granted)
    return 1.0 - float(alike.double().mean())
