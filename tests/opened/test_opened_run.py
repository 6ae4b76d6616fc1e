"""An opened run reads each file once, whatever is asked of it and in which order, and says what is wrong with one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from rope_prof.errors import RunError, TraceError
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.opened.comparison import sides
from rope_prof.opened.pictures import draw_run
from rope_prof.opened.report import gathered
from rope_prof.opened.run import OpenedRun, open_run
from tests.dashboard.drawn_requests import write_requests
from tests.dashboard.drawn_run import write_gpu_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A drawn run with two cases of captures."""
    return write_gpu_run(tmp_path / "run", tokens=(64, 973))


class Counted:
    """Reads traces and counts how often each one."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()

    def __call__(self, path: Path) -> Trace:
        self.times[path.name] += 1
        return read_trace(path)


@pytest.mark.parametrize(
    "ask",
    [
        lambda run: (run.rows, run.numbers, run.captures),
        lambda run: (gathered(run), run.rows),
        lambda run: (draw_run(run), run.numbers),
        lambda run: [run.account(facts) for facts in run.run.keys] and run.rows,
    ],
)
def test_each_capture_is_read_once(folder: Path, ask: Callable[[OpenedRun], object]) -> None:
    read = Counted()
    ask(open_run(folder, read))
    run = open_run(folder)
    named = {name for facts in run.run.keys for name in (facts.trace, facts.light_trace) if name is not None}
    assert named
    assert read.times == Counter(named)


def test_rows_and_numbers_are_one_object_each(folder: Path) -> None:
    run = open_run(folder)
    assert run.rows is run.rows
    assert run.numbers is run.numbers
    assert run.rows is run.numbers.rows or run.rows == run.numbers.rows


def test_the_rows_of_a_case_read_its_captures_alone_and_say_the_same(folder: Path) -> None:
    read = Counted()
    run = open_run(folder, read)
    mine = [facts for facts in run.run.keys if facts.key.case.swept == 973]
    rows = run.rows_of_case(mine[0].key.case.name)
    named = {name for facts in mine for name in (facts.trace, facts.light_trace) if name is not None}
    assert read.times == Counter(named)
    assert len(rows) == len(run.run.keys)
    base, cand = (facts.key for facts in mine[:2])
    taken = run.decomposed(base, cand)
    assert read.times == Counter(named), "what a fused call saves rests on no other case"
    whole = open_run(folder)
    assert [row for row in rows if row.case.swept == 973] == [row for row in whole.rows if row.case.swept == 973]
    assert taken == whole.decomposed(base, cand)
    assert [row.wall_ns for row in rows] == [row.wall_ns for row in whole.rows]
    assert run.rows_of_case(mine[0].key.case.name) is rows
    assert whole.rows_of_case(mine[0].key.case.name) is whole.rows


def test_threads_share_one_reading(folder: Path) -> None:
    read = Counted()
    run = open_run(folder, read)
    threads = [Thread(target=lambda: run.rows) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read.times.values()) == {1}


def test_a_part_of_a_trace_is_an_error_and_a_reason(folder: Path) -> None:
    facts = next(facts for facts in open_run(folder).run.keys if facts.trace is not None)
    path = folder / str(facts.trace)
    path.write_bytes(path.read_bytes()[:-200])
    run = open_run(folder)
    with pytest.raises((RunError, TraceError)) as error:
        run.figures(facts)
    assert run.figures_or_reason(facts) == str(error.value)
    with pytest.raises((RunError, TraceError)):
        _ = run.rows
    path.unlink()
    assert run.folder.missing_traces() == (facts.trace,)
    assert open_run(folder).figures_or_reason(facts) == f"the trace {facts.trace!r} is missing"


def test_a_run_against_itself_is_opened_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> OpenedRun:
        opened.append(path)
        return open_run(path)

    monkeypatch.setattr("rope_prof.opened.comparison.open_run", counted)
    (base, cand), paired = sides(f"{folder}:unfused", f"{folder.parent}/run:fused")
    assert paired
    assert base.run is cand.run
    assert opened == [folder]


def test_profiles_of_whole_requests_are_read_once(tmp_path: Path) -> None:
    folder = write_requests(write_gpu_run(tmp_path / "run"))
    read = Counted()
    requests = open_run(folder, read).requests
    assert requests is not None
    requests.whole()
    assert requests.profiles is requests.profiles
    assert read.times
    assert set(read.times.values()) == {1}
