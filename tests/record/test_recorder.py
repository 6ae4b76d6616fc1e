"""The loop of a recording on a bench without any device: order of the work, failures, kills, resuming."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.stats import paired_ratio
from rope_prof.errors import RunError
from rope_prof.io.run.folder import read_run
from rope_prof.model.kind import Kind
from rope_prof.model.run import Accuracy, Case, Ceiling, CeilingName, Key, KeyFacts, Run, Stopped
from rope_prof.model.samples import ALONE
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.plan import CHECKED
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.loop.recorder import InterruptedRecordingError, Recorder
from rope_prof.record.loop.rounds import ALONE_ROUNDS, WAITS
from rope_prof.record.loop.stopping import Limits
from rope_prof.record.loop.timing import Clock, Subject
from tests.runs import CASE, RIGHT, WRONG, key, run

OTHER = CASE.but(model="28b", tp=1, tokens=973, dtype="bf16", prompt="image")
CEILINGS: tuple[tuple[CeilingName, str], ...] = (("copy", "eager"), ("graph_node", "serial"))


class Silent:
    """Progress that only counts."""

    def __init__(self) -> None:
        self.steps, self.done = 0, 0

    def total(self, steps: int) -> None:
        self.steps = steps

    def step(self, what: str, done: int = 0) -> None:  # noqa: ARG002
        self.done += done


class Killed(BaseException):
    """The end of the process, wherever it is."""


class FakeBench:
    """A bench whose every call costs a fixed time; `trouble[(step, key or case name)]` is raised there."""

    has_clock = False

    def __init__(self, kind: Kind = "cuda", **trouble: BaseException) -> None:
        self.kind: Kind = kind
        self.now = 0
        self.log: list[str] = []
        self.trouble: dict[tuple[str, str], BaseException] = {}
        self.accuracies: dict[str, Accuracy] = {}
        self.clock: Clock = lambda: self.now
        self.device = self
        self.elsewhere: tuple[Key, ...] = ()
        self.held_down: bool | None = None
        self.seen = Conditions()
        self.noise: Callable[[], float] = lambda: 1.0
        assert not trouble

    def at(self, step: str, name: str) -> None:
        self.log.append(f"{step} {name}")
        if (step, name) in self.trouble:
            raise self.trouble[(step, name)]

    def open_case(self, case: Case) -> None:
        self.at("open", case.name)

    def check_ahead(self, keys: Sequence[Key]) -> None:
        pass

    def check(self, key: Key) -> tuple[Accuracy, int]:
        self.at("check", key.name)
        return self.accuracies.get(key.path, RIGHT), 1234

    def ready(self, key: Key) -> Subject:
        self.at("ready", key.name)

        def work(calls: int) -> Callable[[], None]:
            def go() -> None:
                self.at("wake" if calls == 1 else "time", key.name)
                self.now += round(calls * self.noise() * (300 if key.path == "unfused" else 20))

            return go

        return Subject(key.name, work, calls=10)

    def settle(self, subject: Subject) -> None:
        self.at("settle", subject.name)

    def facts(self, key: Key) -> dict[str, Any]:
        return {"in_place": key.path == "fused", "ring_buffers": 7}

    def refill(self, number: int) -> None:
        self.at("refill", str(number))

    def synchronize(self) -> None:
        pass

    def interruptions(self) -> int:
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        raise AssertionError((work, hold_ns))

    def throttled(self) -> bool | None:
        return self.held_down

    def conditions(self) -> Conditions:
        return self.seen

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        self.at("start", "checks")
        self.elsewhere = keys

    def finish_checks(self) -> dict[str, Checked]:
        self.at("finish", "checks")
        return {key.name: Checked(self.accuracies.get(key.path, RIGHT), None) for key in self.elsewhere}

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        self.at("capture", subject.name)
        (folder / f"{key.name}.trace.json.gz").write_bytes(b"trace")
        return f"{key.name}.trace.json.gz", 28

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = ("copy", "graph_node")
    ) -> Iterator[tuple[Ceiling, Subject | None]]:
        for name, method in CEILINGS:
            if name not in names:
                continue
            self.log.append(f"make {name} {case.name}")
            ceiling = Ceiling(name=name, case=case, method=method, rank=rank)
            if ("ceiling", name) in self.trouble:
                yield replace(ceiling, status="failed", reason=str(self.trouble["ceiling", name])), None
                continue

            def work(calls: int, name: str = ceiling.key_name) -> Callable[[], None]:
                def go() -> None:
                    self.at("wake" if calls == 1 else "time", name)
                    self.now += 10 * calls

                return go

            yield ceiling, Subject(ceiling.key_name, work, calls=10)

    def settle_ceiling(self, subject: Subject) -> None:
        self.at("settle", subject.name)

    def node_busy(self, subject: Subject) -> float | None:
        self.at("busy", subject.name)
        return 900.0

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        self.at("light", subject.name)
        name = f"{key.name}.light.trace.json.gz"
        (folder / name).write_bytes(b"trace")
        return name

    def close(self) -> None:
        self.log.append("close")


def plan(*keys: Key) -> Run:
    return run(*(KeyFacts(key=k, status="pending", triton=k.path in ("per-token", "fused")) for k in keys))


TWO = plan(key("unfused"), key("fused"), key("unfused", case=OTHER), key("fused", case=OTHER))


def record(
    folder: Path, bench: FakeBench, what: Run = TWO, rounds: int = 4, *, capture: bool = True, **limits: Any
) -> Run:
    progress = Silent()
    done = Recorder(folder, what, bench, progress, Limits(rounds=rounds, **limits), capture).record()
    assert progress.done <= progress.steps
    return done


class InTurns:
    """The other ranks of a recording, each of which is this one: what is done together, and what in turn."""

    def __init__(self, bench: FakeBench, size: int = 3, mine: int = 1) -> None:
        self.bench, self.size, self.mine = bench, size, mine

    def meet(self) -> None:
        self.bench.log.append("meet")

    def in_turn(self, work: Callable[[], None]) -> None:
        for rank in range(self.size):
            self.bench.log.append(f"turn of {rank}")
            if rank == self.mine:
                work()
        self.bench.log.append("turns end")


def statuses(done: Run) -> list[str]:
    return [facts.status for facts in done.keys]


def rounds_of(folder: Path) -> dict[str, list[int]]:
    frame = read_run(folder).samples
    return {name: frame.filter(frame["key"] == name)["round"].to_list() for name in frame["key"].unique()}


def test_all_is_measured_and_lies_in_the_folder(tmp_path: Path) -> None:
    done = record(tmp_path, FakeBench())
    assert statuses(done) == ["measured"] * 4
    assert done.complete
    folder = read_run(tmp_path)
    assert folder.run == done
    limits = {ceiling.key_name for ceiling in done.ceilings}
    assert set(rounds_of(tmp_path)) == {facts.key.name for facts in done.keys} | limits
    assert all(numbers == [0, 1, 2, 3] for numbers in rounds_of(tmp_path).values())
    assert not folder.missing_traces()
    assert {facts.captured_calls for facts in done.keys} == {28}
    assert {facts.first_call_ns for facts in done.keys} == {1234}


def test_every_timed_pass_comes_before_the_first_capture(tmp_path: Path) -> None:
    bench = FakeBench()
    record(tmp_path, bench)
    kinds = [line.split()[0] for line in bench.log]
    assert max(i for i, kind in enumerate(kinds) if kind == "time") < kinds.index("capture")
    assert kinds[-1] == "close"


def test_keys_of_a_case_take_turns(tmp_path: Path) -> None:
    bench = FakeBench()
    record(tmp_path, bench, rounds=12)
    timed = [line.split()[1] for line in bench.log if line.startswith("time") and CASE.name in line]
    timed = [name for name in timed if not name.startswith("ceiling")]
    pairs = [tuple(timed[i : i + 2]) for i in range(0, len(timed), 2)]
    assert all(len(set(pair)) == 2 for pair in pairs)
    assert len(set(pairs)) == 2, "the order is shuffled"


def test_out_of_memory_at_one_case_marks_it_and_the_rest_goes_on(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.trouble[("open", OTHER.name)] = RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    done = record(tmp_path, bench)
    assert statuses(done) == ["measured", "measured", "failed", "failed"]
    assert done.keys[2].reason == "out of memory at 973 tokens; record fewer with --tokens, or free the device"
    assert done.complete


@pytest.mark.parametrize("step", ["check", "ready", "settle", "time", "capture"])
def test_a_path_that_raises_is_failed_with_its_reason(tmp_path: Path, step: str) -> None:
    bench = FakeBench()
    bench.trouble[(step, key("fused").name)] = ValueError("no such stride\nin /home/somebody/secret/file.py")
    done = record(tmp_path, bench)
    assert statuses(done) == ["measured", "failed", "measured", "measured"]
    assert done.facts(key("fused").name).reason == "ValueError: no such stride"
    assert rounds_of(tmp_path)[key("unfused").name] == [0, 1, 2, 3]


def test_a_wrong_path_that_cannot_be_captured_stays_wrong(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.accuracies["fused"] = WRONG
    bench.trouble[("capture", key("fused").name)] = ValueError("no event")
    facts = record(tmp_path, bench).facts(key("fused").name)
    assert facts.status == "wrong"
    assert facts.reason == "max error 0.5 is over the limit of 0.02; not captured: ValueError: no event"


def test_a_wrong_path_is_timed_and_captured_but_wrong(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.accuracies["fused"] = WRONG
    done = record(tmp_path, bench)
    facts = done.facts(key("fused").name)
    assert facts.status == "wrong"
    assert facts.reason == "max error 0.5 is over the limit of 0.02"
    assert facts.trace is not None
    assert len(rounds_of(tmp_path)[key("fused").name]) == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_error_that_is_no_number_is_wrong(value: float) -> None:
    assert Accuracy(max_error=value, limit=1.0, rounded_share=0.0, nans=0, dtype="bf16").wrong


def test_interpreted_paths_are_checked_before_anything_is_timed(tmp_path: Path) -> None:
    bench = FakeBench("cpu")
    bench.accuracies["per-token"] = WRONG
    done = record(tmp_path, bench, plan(key("unfused"), key("fused"), key("per-token")))
    assert statuses(done) == ["measured", "checked", "wrong"]
    assert done.keys[1].reason == CHECKED
    assert bench.log.index("finish checks") < next(i for i, line in enumerate(bench.log) if line.startswith("time"))
    assert {name for name in rounds_of(tmp_path) if not name.startswith("ceiling")} == {key("unfused").name}


def test_only_interpreted_paths(tmp_path: Path) -> None:
    assert statuses(record(tmp_path, FakeBench("cpu"), plan(key("fused")))) == ["checked"]


POINTS = [("check", 2), ("settle", 0), ("time", 5), ("time", 12), ("capture", 0), ("capture", 3)]


@pytest.mark.parametrize(("step", "nth"), POINTS)
@pytest.mark.parametrize("kind", [KeyboardInterrupt, Killed])
def test_a_stop_anywhere_leaves_a_run_that_goes_on(
    tmp_path: Path, step: str, nth: int, kind: type[BaseException]
) -> None:
    bench, seen = FakeBench(), 0
    plain = bench.at

    def stop(at: str, name: str) -> None:
        nonlocal seen
        plain(at, name)
        if at == step:
            seen += 1
            if seen == nth + 1:
                raise kind

    bench.at = stop  # type: ignore[method-assign]
    with pytest.raises((InterruptedRecordingError, Killed)) as caught:
        record(tmp_path, bench)
    if kind is KeyboardInterrupt:
        assert f"record --resume -o {tmp_path}" in str(caught.value)
    kept = read_run(tmp_path)
    assert not kept.run.complete
    done = record(tmp_path, FakeBench(), kept.run)
    assert statuses(done) == ["measured"] * 4
    assert done.complete
    for numbers in rounds_of(tmp_path).values():
        assert sorted(set(numbers)) == numbers == sorted(numbers)
        assert len(numbers) >= 3


def test_resuming_measures_nothing_twice(tmp_path: Path) -> None:
    done = record(tmp_path, FakeBench())
    again = FakeBench()
    assert record(tmp_path, again, done) == done
    assert again.log == ["close"]


def test_a_full_disk_ends_the_recording_with_its_own_error(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.trouble[("capture", key("fused").name)] = RunError("cannot write 'x' (No space left on device)")
    with pytest.raises(RunError, match="No space left"):
        record(tmp_path, bench)
    assert statuses(read_run(tmp_path).run)[:2] == ["measured", "pending"]
    assert bench.log[-1] == "close"


def test_a_path_that_waits_says_why_it_has_no_device_time(tmp_path: Path) -> None:
    bench = FakeBench()
    plain = bench.ready

    def waiting(wanted: Key) -> Subject:
        subject = plain(wanted)
        subject.waits = wanted.path == "fused"
        return subject

    bench.ready = waiting  # type: ignore[method-assign]
    done = record(tmp_path, bench)
    assert [facts.reason for facts in done.keys] == [None, WAITS, None, WAITS]
    assert statuses(done) == ["measured"] * 4


def width(folder: Path) -> float:
    """Of the ratio of the first case, as a reader computes it from the samples."""
    wall = {
        row["key"]: row["ratio"]
        for row in read_run(folder)
        .samples.group_by("key")
        .agg(ratio=pl.struct("round", ns=pl.col("ns") / pl.col("calls")))
        .iter_rows(named=True)
    }
    base, mine = ({r["round"]: r["ns"] for r in wall[key(path).name]} for path in ("unfused", "fused"))
    found = paired_ratio(base, mine)
    assert found is not None
    assert found.lo is not None
    assert found.hi is not None
    return (found.hi - found.lo) / found.median


@pytest.mark.parametrize("precision", [0.02, 0.05])
def test_rounds_end_when_the_interval_is_narrow_enough(tmp_path: Path, precision: float) -> None:
    bench = FakeBench()
    dice = random.Random(1)
    bench.noise = lambda: dice.uniform(0.9, 1.1)
    done = record(tmp_path, bench, plan(key("unfused"), key("fused")), rounds=2000, precision=precision)
    count = len(rounds_of(tmp_path)[key("fused").name])
    assert 20 <= count < 2000
    assert count % 10 == 0
    assert width(tmp_path) < precision
    stopped = done.facts(key("fused").name).stopped
    assert stopped is not None
    assert stopped == Stopped(why="precision", rounds=count, width=stopped.width, asked=precision)
    assert stopped.width == pytest.approx(width(tmp_path))


def test_more_precision_takes_more_rounds(tmp_path: Path) -> None:
    counts = []
    for precision in (0.08, 0.02):
        bench, dice = FakeBench(), random.Random(1)
        bench.noise = lambda dice=dice: dice.uniform(0.9, 1.1)  # type: ignore[misc]
        folder = tmp_path / str(precision)
        record(folder, bench, plan(key("unfused"), key("fused")), rounds=2000, precision=precision)
        counts.append(len(rounds_of(folder)[key("fused").name]))
    assert counts[0] < counts[1]


def test_the_budget_is_shared_by_the_cases_and_ends_the_rounds(tmp_path: Path) -> None:
    bench, dice = FakeBench(), random.Random(1)
    bench.noise = lambda: dice.uniform(0.5, 2.0)
    a_round = 10 * (300 + 20)
    budget = 60 * a_round
    done = record(tmp_path, bench, TWO, rounds=2000, precision=0.0001, budget_ns=budget)
    assert bench.now <= budget + 8 * a_round
    for facts in done.keys:
        assert 10 <= len(rounds_of(tmp_path)[facts.key.name]) <= 60
        assert facts.stopped is not None
        assert facts.stopped.why == "budget"
    assert statuses(done) == ["measured"] * 4


def test_all_rounds_done_is_a_reason_too(tmp_path: Path) -> None:
    done = record(tmp_path, FakeBench(), rounds=4)
    assert {(f.stopped.why, f.stopped.rounds, f.stopped.width) for f in done.keys if f.stopped} == {("rounds", 4, None)}


@pytest.mark.parametrize("held", [None, False, True])
def test_samples_say_whether_the_clock_was_held_down(tmp_path: Path, held: bool | None) -> None:
    bench = FakeBench()
    bench.held_down = held
    record(tmp_path, bench)
    assert set(read_run(tmp_path).samples["throttled"]) == {held}


def test_samples_say_what_the_device_worked_under(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.seen = Conditions(sm_clock_mhz=1980, memory_clock_mhz=3201, temperature_c=41, power_mw=512_000)
    record(tmp_path, bench)
    read = read_run(tmp_path).samples
    assert read.height
    assert set(read.select("sm_clock_mhz", "memory_clock_mhz", "temperature_c", "power_mw").rows()) == {
        (1980, 3201, 41, 512_000)
    }


@pytest.mark.parametrize("step", ["check", "ready", "settle", "time", "capture"])
def test_a_path_that_ends_python_fails_its_key_and_no_other(tmp_path: Path, step: str) -> None:
    bench = FakeBench()
    bench.trouble[(step, key("fused").name)] = SystemExit(0)
    done = record(tmp_path, bench, rounds=4)
    assert done.complete
    failed = [f for f in done.keys if f.status != "measured"]
    assert [(f.key.name, f.status, f.reason) for f in failed] == [(key("fused").name, "failed", "SystemExit: 0")]


def test_a_sweep_times_and_captures_nothing(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.accuracies["fused"] = WRONG
    done = record(tmp_path, bench, capture=False)
    assert statuses(done) == ["measured", "wrong"] * 2
    assert done.complete
    assert not [line for line in bench.log if line.startswith("capture")]
    assert all(facts.trace is None for facts in done.keys)


def test_ceilings_are_timed_in_the_rounds_of_their_case(tmp_path: Path) -> None:
    bench = FakeBench()
    done = record(tmp_path, bench)
    assert [(c.name, c.case, c.status, c.busy_ns) for c in done.ceilings] == [
        (name, case, "measured", 900.0 if name == "graph_node" else None)
        for case in (CASE, OTHER)
        for name, _ in CEILINGS
    ]
    assert all(rounds_of(tmp_path)[ceiling.key_name] == [0, 1, 2, 3] for ceiling in done.ceilings)
    rounds = [line.split()[1] for line in bench.log if line.startswith("time") and CASE.name in line]
    assert all(len(set(rounds[i : i + 4])) == 4 for i in range(0, len(rounds), 4))


@pytest.mark.parametrize("step", ["ceiling", "settle", "time", "busy"])
def test_a_ceiling_that_fails_says_why_and_leaves_the_rest_alone(tmp_path: Path, step: str) -> None:
    bench = FakeBench()
    of = Ceiling(name="graph_node", case=CASE, method="serial").key_name
    bench.trouble[(step, "graph_node" if step == "ceiling" else of)] = ValueError("no graph")
    done = record(tmp_path, bench)
    assert statuses(done) == ["measured"] * 4
    found = {ceiling.key_name: ceiling for ceiling in done.ceilings}[of]
    assert found.status == ("measured" if step == "busy" else "failed")
    assert found.reason is not None and "no graph" in found.reason
    assert sum(ceiling.status == "measured" for ceiling in done.ceilings) >= 2


def test_ceilings_alone_are_not_timed_where_every_key_failed(tmp_path: Path) -> None:
    bench = FakeBench()
    for path in ("unfused", "fused"):
        bench.trouble[("settle", key(path).name)] = ValueError("no")
    done = record(tmp_path, bench)
    assert statuses(done) == ["failed", "failed", "measured", "measured"]
    assert {ceiling.case for ceiling in done.ceilings} == {OTHER}


def test_a_light_capture_follows_each_full_one(tmp_path: Path) -> None:
    done = record(tmp_path, FakeBench())
    folder = read_run(tmp_path)
    for facts in done.keys:
        path = folder.trace_path(facts.key.name, light=True)
        assert path is not None and path.name == facts.light_trace != facts.trace


def test_only_the_graph_nodes_are_made_again_to_be_traced(tmp_path: Path) -> None:
    bench = FakeBench()
    record(tmp_path, bench)
    made = [line for line in bench.log if line.startswith("make") and line.endswith(CASE.name)]
    assert made == [f"make copy {CASE.name}", f"make graph_node {CASE.name}", f"make graph_node {CASE.name}"]


def test_ceilings_are_named_after_the_rank_that_timed_them(tmp_path: Path) -> None:
    done = record(tmp_path, FakeBench(), plan(replace(key("unfused"), rank=3), replace(key("fused"), rank=3)))
    assert {ceiling.rank for ceiling in done.ceilings} == {3}
    assert {ceiling.key_name for ceiling in done.ceilings} <= set(rounds_of(tmp_path))
    assert all(name.endswith(".r3") for name in rounds_of(tmp_path))


def test_a_path_that_is_right_on_its_first_call_alone_is_wrong(tmp_path: Path) -> None:
    class Late(FakeBench):
        """`fused` is right until it was timed."""

        def check(self, key: Key) -> tuple[Accuracy, int]:
            if key.path == "fused" and f"time {key.name}" in self.log:
                self.accuracies["fused"] = WRONG
            return super().check(key)

    facts = record(tmp_path, Late()).facts(key("fused").name)
    assert facts.status == "wrong"
    assert facts.reason == "right on its first call, wrong after it was timed: max error 0.5 is over the limit of 0.02"
    assert facts.accuracy == WRONG


def test_with_other_ranks_each_case_begins_together_and_is_timed_alone_in_turn(tmp_path: Path) -> None:
    bench = FakeBench()
    recorder = Recorder(tmp_path, TWO, bench, Silent(), Limits(rounds=4), others=InTurns(bench))
    assert statuses(recorder.record()) == ["measured"] * 4
    rounds = rounds_of(tmp_path)
    for name in (facts.key.name for facts in TWO.keys):
        assert rounds[name] == [0, 1, 2, 3]
        assert rounds[ALONE + name] == list(range(ALONE_ROUNDS))
    log = bench.log
    mine, after = log.index("turn of 1"), log.index("turn of 2")
    timed = [place for place, word in enumerate(log) if word.startswith("time ")]
    assert any(mine < place < after for place in timed)
    assert not any(log.index("turn of 0") < place < mine for place in timed)
    assert not any(after < place < log.index("turns end") for place in timed)
    assert log.index("meet") < timed[0]
    assert log.count("meet") == log.count("turns end") == 2


def test_a_case_that_does_not_open_meets_the_other_ranks_all_the_same(tmp_path: Path) -> None:
    bench = FakeBench()
    bench.trouble["open", OTHER.name] = MemoryError("full")
    done = Recorder(tmp_path, TWO, bench, Silent(), Limits(rounds=4), others=InTurns(bench)).record()
    assert statuses(done) == ["measured", "measured", "failed", "failed"]
    assert bench.log.count("meet") == bench.log.count("turns end") == 2


def test_what_fails_alone_has_been_measured_at_once(tmp_path: Path) -> None:
    class Failing(InTurns):
        def in_turn(self, work: Callable[[], None]) -> None:
            self.bench.trouble["time", key("fused").name] = RuntimeError("alone")
            super().in_turn(work)
            self.bench.trouble.clear()

    bench, what = FakeBench(), plan(key("unfused"), key("fused"))
    done = Recorder(tmp_path, what, bench, Silent(), Limits(rounds=4), others=Failing(bench)).record()
    assert statuses(done) == ["measured", "measured"]
    assert ALONE + key("unfused").name in rounds_of(tmp_path)
    assert ALONE + key("fused").name not in rounds_of(tmp_path)
