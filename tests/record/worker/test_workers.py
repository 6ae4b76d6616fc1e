"""Paths in processes of their own, by stand-ins that die in every way there is: each costs its own key alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rope_prof.errors import RunError
from rope_prof.io.run.folder import read_run
from rope_prof.model.kind import Kind
from rope_prof.model.run import Case, Key, KeyFacts, Run
from rope_prof.record.loop.recorder import Recorder
from rope_prof.record.loop.stopping import Limits
from rope_prof.record.loop.timing import Sample, Subject
from rope_prof.record.worker.child import on_core
from rope_prof.record.worker.crew import MADE_ROOM, Crew
from rope_prof.record.worker.messages import Size, Taken
from rope_prof.record.worker.process import LostWorkerError, Start, WorkerProcess, ending, last_line
from rope_prof.record.worker.seat import MOST_LOST, require_clock
from rope_prof.record.worker.workers import Workers, why_together
from tests.record.standins import BENCH
from tests.runs import CASE, run

FINE = "unfused"


class Silent:
    def total(self, steps: int) -> None: ...

    def step(self, what: str, done: int = 0) -> None: ...


def planned(*paths: str, modes: tuple[str, ...] = ("eager",)) -> Run:
    return run(
        *(
            KeyFacts(key=Key(case=CASE, path=path, mode=mode, l2="hot"), status="pending")  # type: ignore[arg-type]
            for path in paths
            for mode in modes
        )
    )


@contextmanager
def workers(patience_s: float = 20.0, kind: Kind = "cpu") -> Iterator[Workers]:
    made = Workers(device="cpu", seed=0, kind=kind, patience_s=patience_s, start=Start(), bench_name=BENCH)
    try:
        yield made
    finally:
        made.close()


def recorded(
    folder: Path, plan: Run, patience_s: float = 20.0, rounds: int = 3, kind: Kind = "cpu"
) -> tuple[Run, Crew]:
    with workers(patience_s, kind) as made:
        crew = made.bench(plan, -1)
        done = Recorder(folder, plan, crew, Silent(), Limits(rounds=rounds)).record()
    return done, crew


def told(done: Run, path: str, mode: str = "eager") -> tuple[str, str | None]:
    return next((f.status, f.reason) for f in done.keys if (f.key.path, f.key.mode) == (path, mode))


DEATHS = {
    "user:segfault!turn": "its process was killed by SIGSEGV",
    "user:segfault!check": "its process was killed by SIGSEGV",
    "user:segfault!import": "its process was killed by SIGSEGV",
    "user:killed!capture": "its process was killed by SIGKILL, as the system does when memory runs out",
    "user:gone!turn": "its process ended with code 3",
    "user:gone!ready": "its process ended with code 3",
    "user:leave!turn": "SystemExit: the path asked Python to end with code 4",
    "user:leave!import": "SystemExit: 4",
    "user:interrupt!check": "KeyboardInterrupt: the path raised it itself",
    "user:fails!settle": "RuntimeError: no such layout",
    "user:memory!check": "out of memory at 64 tokens; record fewer with --tokens, or free the device",
    "user:poison!turn": "RuntimeError: CUDA error: an illegal memory access was encountered",
    "user:none": "path 'user:none': 'user' has no function 'none'",
}


@pytest.mark.parametrize("path", DEATHS)
def test_a_path_that_dies_costs_its_own_key_alone(tmp_path: Path, path: str) -> None:
    done, _ = recorded(tmp_path, planned(FINE, path))
    assert done.complete
    assert told(done, FINE) == ("measured", None)
    status, reason = told(done, path)
    assert status == "failed"
    assert reason is not None
    assert reason.startswith(DEATHS[path])
    read = read_run(tmp_path)
    assert read.run == done
    assert read.samples.filter(read.samples["key"] == done.keys[0].key.name)["round"].to_list() == [0, 1, 2]
    assert [ceiling.status for ceiling in done.ceilings] == ["measured"]


def test_a_path_that_leaves_its_process_in_no_state_for_new_values_ends_no_recording(tmp_path: Path) -> None:
    """Code that is compiled may: torch's dispatcher, say, answers no more. A fresh process has none of it."""
    done, _ = recorded(tmp_path, planned(FINE, "user:spoils!refill"))
    assert [told(done, path) for path in (FINE, "user:spoils!refill")] == [("measured", None)] * 2
    assert read_run(tmp_path).samples.n_unique("process") > 2


def test_workers_of_a_gpu_check_side_by_side_and_fail_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meeting").mkdir()
    monkeypatch.setenv("ROPE_PROF_MEETING", str(tmp_path / "meeting"))
    both = "user:meet!check", "user:meet!check eager"
    bad = "user:segfault!check", "user:fails!check graph", "user:gone!import"
    done, crew = recorded(tmp_path / "run", planned(FINE, *both, *bad, modes=("eager", "graph")), kind="cuda")
    assert all(told(done, path, mode) == ("measured", None) for path in (FINE, *both) for mode in ("eager", "graph"))
    assert (told(done, bad[0])[1] or "").startswith("its process was killed by SIGSEGV")
    assert told(done, bad[1])[0] == "measured"
    assert told(done, bad[1], "graph") == ("failed", "RuntimeError: no such layout")
    assert told(done, bad[2], "graph") == ("failed", "its process ended with code 3")
    greeted = [crew.seats[path].process_number for path in (FINE, *both)]
    assert greeted == sorted(greeted, key=lambda number: number or 0)


def card(folder: Path, monkeypatch: pytest.MonkeyPatch, *stages: str) -> None:
    """A card that the workers share; the baseline needs some of it at those stages."""
    (folder / "card").mkdir()
    monkeypatch.setenv("ROPE_PROF_CARD", str(folder / "card"))
    monkeypatch.setenv("ROPE_PROF_CARD_AT", ",".join(stages))


def test_a_path_that_fills_the_card_while_others_are_checked_costs_its_own_keys_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(tmp_path, monkeypatch, "check", "ready", "settle", "turn", "capture")
    fills = "user:fill!check"
    done, _ = recorded(tmp_path / "run", planned(FINE, fills, modes=("eager", "graph")), kind="cuda")
    assert [told(done, FINE, mode)[0] for mode in ("eager", "graph")] == ["measured"] * 2
    assert told(done, FINE)[1] == MADE_ROOM
    for mode in ("eager", "graph"):
        status, reason = told(done, fills, mode)
        assert (status, (reason or "").partition(";")[0]) == ("failed", "out of memory at 64 tokens")


@pytest.mark.parametrize("stage", ["settle", "turn", "capture"])
def test_a_path_whose_worker_keeps_the_card_makes_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    card(tmp_path, monkeypatch, stage)
    done, _ = recorded(tmp_path / "run", planned(FINE, "user:keep!check"))
    assert told(done, FINE) == ("measured", MADE_ROOM)
    assert told(done, "user:keep!check")[0] == "measured"
    assert set(read_run(tmp_path / "run").samples["round"]) == {0, 1, 2}


def test_a_path_that_takes_the_card_in_every_call_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card(tmp_path, monkeypatch, "turn")
    done, _ = recorded(tmp_path / "run", planned(FINE, "user:keep!turn"), rounds=8)
    assert told(done, FINE) == ("measured", MADE_ROOM)
    status, reason = told(done, "user:keep!turn")
    assert (status, "other paths find none beside it" in str(reason)) == ("failed", True)


def test_what_is_asked_of_a_fresh_worker_finds_what_the_one_before_had(tmp_path: Path) -> None:
    key = Key(case=CASE, path="user:fine", mode="eager", l2="hot")
    with workers() as made:
        crew = made.bench(run(KeyFacts(key=key, status="pending")), -1)
        crew.open_case(CASE)
        subject = crew.ready(key)
        ((_, copy),) = crew.ceilings(CASE, 0)
        assert copy is not None
        for ask in (
            lambda: crew.settle(subject),
            lambda: crew.settle_ceiling(copy),
            *(lambda one=one: one.taker and one.taker(one, 0, True) for one in (subject, copy)),
            lambda: crew.capture(subject, key, tmp_path),
            lambda: crew.capture_light(subject, key, tmp_path),
        ):
            crew.seats[key.path].leave()
            ask()
        assert crew.seats[key.path].process_number == 6


@pytest.mark.parametrize("stage", ["check", "turn"])
def test_a_path_that_hangs_is_ended_after_the_stated_time(tmp_path: Path, stage: str) -> None:
    done, _ = recorded(tmp_path, planned(FINE, f"user:hang!{stage}"), patience_s=1.0)
    status, reason = told(done, f"user:hang!{stage}")
    assert (status, told(done, FINE)[0]) == ("failed", "measured")
    assert reason is not None
    assert reason.startswith("its process gave no answer for 1 s and was ended")
    assert "--patience" in reason


def test_paths_that_are_looked_up_one_by_one_start_side_by_side() -> None:
    with workers() as made:
        made.crew.begin(["user:fine", "user:other"])
        begun = [seat.process and seat.process.pid for seat in made.crew.seats.values()]
        assert len({pid for pid in begun if pid}) == 2
        for path in ("user:other", "user:fine"):
            made.find(path)
        assert [seat.process and seat.process.pid for seat in made.crew.seats.values()] == begun


def test_only_the_mode_that_kills_fails_and_a_fresh_worker_goes_on(tmp_path: Path) -> None:
    path = "user:segfault!turn compile"
    done, _ = recorded(tmp_path, planned(FINE, path, modes=("eager", "compile")), rounds=4)
    assert told(done, path, "compile")[0] == "failed"
    assert told(done, path)[0] == told(done, FINE)[0] == told(done, FINE, "compile")[0] == "measured"
    samples = read_run(tmp_path).samples
    name = next(f.key.name for f in done.keys if f.key.path == path and f.key.mode == "eager")
    mine = samples.filter(samples["key"] == name)
    assert mine["round"].to_list() == [0, 1, 2, 3]
    assert set(mine["calls"]) == {5}
    assert mine["process"].n_unique() <= 2
    other = samples.filter(samples["key"] == done.keys[0].key.name)["process"]
    assert not set(other) & set(mine["process"])


def test_errors_of_ours_keep_their_meaning(tmp_path: Path) -> None:
    done, _ = recorded(tmp_path / "one", planned(FINE, "user:ours!check"))
    assert told(done, "user:ours!check") == ("unavailable", "mode 'graph' needs an NVIDIA GPU")
    with pytest.raises(RunError, match="No space left"):
        recorded(tmp_path / "two", planned(FINE, "user:disk!capture"))


def test_what_a_path_prints_is_no_answer(tmp_path: Path) -> None:
    done, _ = recorded(tmp_path, planned(FINE, "user:prints!turn"))
    status, reason = told(done, "user:prints!turn")
    assert told(done, FINE)[0] == "measured"
    assert status == "measured" or (reason and "what is no answer" in reason)


def test_a_worker_killed_by_hand_costs_one_key_at_most_and_is_followed_by_another() -> None:
    key = Key(case=CASE, path="user:fine", mode="eager", l2="hot")
    with workers() as made:
        crew = made.bench(run(KeyFacts(key=key, status="pending")), -1)
        crew.open_case(CASE)
        pid = crew.check(key)[1]
        subject = crew.ready(key)
        crew.settle(subject)
        os.kill(pid, signal.SIGKILL)
        assert subject.taker is not None
        with pytest.raises(LostWorkerError, match="SIGKILL"):
            subject.taker(subject, 0, True)
        taken = subject.taker(subject, 1, True)
        assert [(s.round, s.calls, s.process) for s in taken] == [(1, 5, 1)]
        assert crew.check(key)[1] != pid


def test_a_path_that_dies_for_ever_is_given_up() -> None:
    key = Key(case=CASE, path="user:gone!check", mode="eager", l2="hot")
    with workers() as made:
        crew = made.bench(run(KeyFacts(key=key, status="pending")), -1)
        crew.seats[key.path].lost = MOST_LOST - 1
        crew.open_case(CASE)
        with pytest.raises(LostWorkerError, match="code 3"):
            crew.check(key)
        with pytest.raises(Exception, match=f"ended {MOST_LOST} times"):
            crew.check(key)


@dataclass
class Sitter:
    """A seat that notes where it was to run."""

    log: list[tuple[int, int | None]]

    def opened(self, case: Case, number: int | None) -> None: ...

    def ask(self, *_: object) -> tuple[None, None]:
        return None, None

    def ready(self, key: Key) -> Subject:
        return Subject(key.name, lambda _: lambda: None)

    def take(self, _: Subject, __: Case, number: int, *, core: int | None, **___: bool) -> list[Sample]:
        self.log.append((number, core))
        return []


@pytest.mark.parametrize(
    ("kind", "cores", "seen"),
    [("cuda", (4, 7, 9), [4, 4, 7, 7, 9, 9, 4, 4]), ("cuda", (4,), [None] * 8), ("cpu", (4, 7), [None] * 8)],
)
def test_all_launch_from_one_core_in_a_round_and_from_the_next_in_the_next(
    kind: Kind, cores: tuple[int, ...], seen: list[int | None]
) -> None:
    log: list[tuple[int, int | None]] = []
    crew = Crew(kind=kind, seed=0, seat_of=lambda _: Sitter(log), cores=cores)  # type: ignore[arg-type,return-value]
    keys = [Key(case=CASE, path=path, mode="eager", l2="hot") for path in ("unfused", "user:fine")]
    crew.open_case(CASE)
    takers = [(subject, subject.taker) for key in keys if (subject := crew.ready(key))]
    for number in range(4):
        for subject, taker in takers:
            assert taker is not None
            taker(subject, number, False)
    assert [core for _, core in log] == seen


@pytest.mark.parametrize(("kind", "told"), [("cuda", ["tell", "tell", "told", "told"]), ("cpu", [])])
def test_all_workers_of_a_gpu_attach_their_profilers_at_once_ahead_of_the_first_capture(
    kind: Kind, told: list[str], tmp_path: Path
) -> None:
    log: list[str] = []

    class Listener(Sitter):
        def tell(self, call: str) -> bool:
            log.append("tell")
            return call == "listen"

        def told(self, _: str) -> None:
            log.append("told")

        def ask_of(self, *_: object) -> tuple[str, int]:
            return "a trace", 2

    crew = Crew(kind=kind, seed=0, seat_of=lambda _: Listener([]))  # type: ignore[arg-type,return-value]
    crew.open_case(CASE)
    keys = [Key(case=CASE, path=path, mode="eager", l2="hot") for path in ("unfused", "user:fine")]
    subjects = [crew.ready(key) for key in keys]
    for key, subject in zip(keys, subjects, strict=True):
        crew.capture(subject, key, tmp_path)
    assert log == told


def test_checks_that_are_at_work_end_with_the_recording_and_are_followed_by_none() -> None:
    keys = [Key(case=CASE, path="user:hang!check", mode=mode, l2="hot") for mode in ("eager", "graph", "compile")]  # type: ignore[arg-type]
    with workers(kind="cuda") as made:
        crew = made.crew
        crew.sit(["user:hang!check"])
        crew.open_case(CASE)
        crew.check_ahead(keys)
        process = crew.seats["user:hang!check"].process
        assert process is not None
        pids = session_of(process.pid)
        crew.close()
    assert pids
    assert gone(pids)
    assert crew.seats["user:hang!check"].process is None


def test_a_cpu_has_no_channels() -> None:
    with workers() as made:
        made.crew.sit([FINE])
        seat = made.crew.seats[FINE]
        assert (seat.channels, seat.launch_ns) == (None, None)


def test_every_seat_of_a_gpu_has_the_channels_that_others_have() -> None:
    with workers(kind="cuda") as made:
        made.crew.begin(["user:fine"])
        made.crew.load("user:none")
        made.crew.sit([FINE, *made.crew.seats])
        assert len(made.crew.seats) == 3
        (channels,) = {id(seat.channels) for seat in made.crew.seats.values()}
        assert channels != id(None)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system keeps no thread to a core")
def test_a_turn_keeps_to_its_core_and_gives_it_back() -> None:
    before = os.sched_getaffinity(0)
    one = max(before)
    with pytest.raises(ValueError, match="mine"), on_core(one):
        assert os.sched_getaffinity(0) == {one}
        raise ValueError("mine")
    for nowhere in (None, 1 << 12):
        with on_core(nowhere):
            assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(0) == before


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until and any(map(alive, pids)):
        time.sleep(0.01)
    return not any(map(alive, pids))


def session_of(pid: int) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == pid:
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into Linux's /proc")
def test_no_process_is_left_behind_and_none_that_a_path_has_started() -> None:
    key = Key(case=CASE, path="user:child!check", mode="eager", l2="hot")
    with workers() as made:
        crew = made.bench(run(KeyFacts(key=key, status="pending")), -1)
        crew.open_case(CASE)
        crew.check(key)
        process = crew.seats[key.path].process
        assert process is not None
        left = session_of(process.pid)
        assert len(left) == 2
    assert gone(left)


def test_a_process_that_cannot_be_started_is_one_sentence() -> None:
    with pytest.raises(LostWorkerError, match="cannot start '/nowhere/python'"):
        WorkerProcess(Start(python="/nowhere/python"))


def test_endings_in_words() -> None:
    assert ending(0) == "ended with code 0"
    assert ending(-signal.SIGABRT) == "was killed by SIGABRT"
    assert ending(-63) == "was killed by signal 63"
    assert last_line("a\n\n  b  \n\n") == "b"
    assert last_line('Fatal Python error: Aborted\n\nCurrent thread:\n  File "x", line 1\n') == (
        "Fatal Python error: Aborted"
    )


def taken(began: int, ended: int, ns: int) -> Taken:
    size = Size(name="a", step=1, one_step=False, takes_off=False, calls=1, device_calls=1, hold_ns=0, waits=False)
    return Taken(samples=(Sample("a", 0, "wall", 1, ns),), size=size, began_ns=began, ended_ns=ended)


@pytest.mark.parametrize(
    ("began", "ended", "ns"),
    [(50, 150, 60), (120, 220, 60), (150, 120, 60), (110, 190, 90)],
    ids=["slow clock", "fast clock", "backwards", "longer than its turn"],
)
def test_a_worker_whose_clock_is_not_ours_is_not_believed(began: int, ended: int, ns: int) -> None:
    require_clock(taken(110, 190, 60), 100, 200)
    with pytest.raises(Exception, match="has the path replaced a clock"):
        require_clock(taken(began, ended, ns), 100, 200)


def test_why_paths_share_a_process() -> None:
    assert why_together(None, sweep=False, ranks=False) is None
    assert why_together(True, sweep=True, ranks=False) is None
    assert why_together(False, sweep=False, ranks=False) == "asked for by --no-isolate"
    assert "torchrun" in (why_together(True, sweep=False, ranks=True) or "")
    assert "sweep" in (why_together(None, sweep=True, ranks=False) or "")
