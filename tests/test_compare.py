"""Laws of the verdicts, the bounds and the exit codes; and trials under a simulated clock through the timing itself."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.stats import Figure
from rope_prof.cli import main
from rope_prof.compare import Gate, NotComparableError, Side, Verdict, compare, gate, judge
from rope_prof.errors import UsageError
from rope_prof.io.run_folder import append_samples, shipped_runs, write_run
from rope_prof.model.run import Machine, samples_schema
from rope_prof.record.timing import Failures, Sample, Subject, measure
from tests.runs import CASE, MACHINE, facts, key, run, samples

_ENDS = st.tuples(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.1, 10)).map(sorted)


def _side(frame: pl.DataFrame, path: str | None, *keys: str, machine: Machine = MACHINE) -> Side:
    found = run(*(facts(name) for name in keys or ("unfused", "fused")), machine=machine)
    return Side(label=repr(path), run=found, samples=frame, path=path)


@given(_ENDS)
def test_swapping_the_sides_swaps_the_word(ends: list[float]) -> None:
    lo, middle, hi = ends
    there, _ = judge(Figure(middle, lo, hi, 60))
    back, _ = judge(Figure(1 / middle, 1 / hi, 1 / lo, 60))
    turned = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    near = any(abs(end - bound) < 0.001 for end in (lo, hi) for bound in (0.98, 1.02))
    assert near or back == turned.get(there, there)


@given(_ENDS, st.floats(0, 50))
def test_a_bound_fails_only_where_the_whole_interval_is_beyond(ends: list[float], percent: float) -> None:
    lo, middle, hi = ends
    ratio = Figure(middle, lo, hi, 60)
    verdict = Verdict(case=CASE, base="a", cand="b", metric="wall", word=judge(ratio)[0], ratio=ratio, reason=None)
    held = Gate("wall", percent).check(verdict)
    grown = (1 / hi - 1, 1 / lo - 1)
    if held == "fails":
        assert min(grown) > percent / 100 - 1e-9
    elif held == "holds":
        assert max(grown) <= percent / 100 + 1e-9
    else:
        assert min(grown) <= percent / 100 + 1e-9
        assert max(grown) > percent / 100 - 1e-9


@pytest.mark.parametrize("text", ["", "wall", "wall>3", "wall<3%", "busy>3%", "wall>-3%", "wall>3%%"])
def test_a_bound_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-on"):
        gate(text)


def test_too_few_rounds_are_unknown_and_keep_no_bound() -> None:
    frame = samples(unfused_eager=[10.0] * 5, fused_eager=[5.0] * 5)
    wall, device = compare(_side(frame, "unfused"), _side(frame, "fused"), paired=True)
    assert (wall.word, device.word) == ("UNKNOWN", "UNKNOWN")
    assert wall.reason is not None
    assert Gate("wall", 3).check(wall) == "undecided"


def test_a_wrong_path_gets_no_verdict() -> None:
    frame = samples(unfused_eager=[10.0] * 20, fused_eager=[5.0] * 20)
    wrong = run(facts(), facts("fused", status="wrong", reason="max error over its limit"))
    base, cand = (Side(label=p, run=wrong, samples=frame, path=p) for p in ("unfused", "fused"))
    assert {v.word for v in compare(base, cand, paired=True)} == {"UNKNOWN"}


def test_two_runs_are_not_paired() -> None:
    """Values in opposite orders: paired they would scatter widely, as two runs only their medians count."""
    up, down = [10 + i / 100 for i in range(40)], [10 + i / 100 for i in reversed(range(40))]
    here, there = _side(samples(fused_eager=up), None, "fused"), _side(samples(fused_eager=down), None, "fused")
    wall, _ = compare(here, there, paired=False)
    assert wall.ratio is not None
    assert wall.ratio.median == 1
    assert wall.word == "SAME"


def test_what_cannot_be_compared_is_refused_unless_told() -> None:
    frame = samples(fused_eager=[10.0] * 20, unfused_eager=[10.0] * 20)
    other = Machine(**{name: getattr(MACHINE, name) for name in MACHINE.__slots__} | {"device_name": "Other GPU"})
    here = _side(frame, None, "fused")
    with pytest.raises(NotComparableError, match="Other GPU"):
        compare(here, _side(frame, None, "fused", machine=other), paired=False)
    with pytest.raises(NotComparableError, match="one side alone"):
        compare(here, _side(frame, None), paired=False)
    with pytest.raises(NotComparableError, match="one side alone"):
        compare(here, _side(frame, None, "unfused"), paired=False, anyway=True)
    assert compare(here, _side(frame, None, machine=other), paired=False, anyway=True)[0].word == "SAME"
    with pytest.raises(UsageError, match="same keys"):
        compare(here, here, paired=True)


def _folder(path: Path, **ns: list[float]) -> Path:
    write_run(path, run(facts(), facts("fused"), complete=True))
    append_samples(path, samples(**ns))
    return path


@pytest.mark.parametrize(
    ("fused", "extra", "code"),
    [
        ([10.0] * 20, [], 0),
        ([11.0] * 20, [], 0),
        ([11.0] * 20, ["--fail-on", "wall>3%"], 1),
        ([10.2] * 20, ["--fail-on", "wall>3%"], 0),
        ([9.0, 11.0] * 10, ["--fail-on", "wall>3%"], 0),
        ([9.0, 11.0] * 10, ["--fail-on", "wall>3%", "--strict"], 1),
        ([10.0] * 20, ["--fail-on", "device>3%", "--strict"], 1),
        ([10.0] * 20, ["--fail-on", "wall"], 2),
        ([10.0] * 20, ["--format", "pdf"], 2),
    ],
)
def test_exit_codes(tmp_path: Path, fused: list[float], extra: list[str], code: int) -> None:
    folder = _folder(tmp_path / "a", unfused_eager=[10.0] * 20, fused_eager=fused)
    assert main(["compare", f"{folder}:unfused/eager", f"{folder}:fused/eager", *extra]) == code


def test_an_unlike_run_is_three_and_an_unknown_path_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(tmp_path / "a", unfused_eager=[10.0] * 20, fused_eager=[9.0] * 20)
    assert main(["compare", str(folder), str(shipped_runs() / "h200-ernie28b")]) == 3
    assert main(["compare", f"{folder}:nothing", str(folder)]) == 2
    assert main(["compare", str(tmp_path / "none"), str(folder)]) == 1
    assert capsys.readouterr().err.count("error: ") == 3


def test_every_format_tells_the_same_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """On the shipped H200 run: device time of fused against unfused at 8192 tokens is no launch cost."""
    source = shipped_runs() / "h200-ernie28b"
    sides = [f"{source}:unfused/eager", f"{source}:fused/eager"]
    assert main(["compare", *sides, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    words = [verdict["word"] for verdict in document["verdicts"]]
    assert document["paired"] is True
    for form in ("text", "markdown"):
        assert main(["compare", *sides, "--format", form]) == 0
        table = capsys.readouterr().out.split("\n\n")[0].splitlines()
        rows = table[2:] if form == "markdown" else table[1:]
        assert [next(word for word in row.replace("|", " ").split() if word.isupper()) for row in rows] == words


class _Machine:
    """A clock that only its work moves: a call takes `ns`, drifting slowly, with skewed noise and rare outliers."""

    has_clock = False

    def __init__(self, seed: int) -> None:
        self.now, self.drift, self.random = 0, 1.0, random.Random(seed)

    def synchronize(self) -> None:
        pass

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        raise AssertionError(f"a machine without a clock was asked to time {work} after {hold_ns} ns")

    def subject(self, name: str, ns: float) -> Subject:
        def work(calls: int) -> Callable[[], None]:
            def go() -> None:
                noise = 1 + self.random.expovariate(1 / 0.01) + (0.5 if self.random.random() < 0.02 else 0)
                self.now += round(calls * ns * self.drift * noise)

            return go

        return Subject(name, work, calls=100)


def _trial(seed: int, slow_down: float) -> Verdict:
    machine = _Machine(seed)
    left, right = key().name, key("fused").name
    subjects = [machine.subject(left, 20_000), machine.subject(right, 20_000 * (1 + slow_down))]

    def before_round(_: int) -> None:
        machine.drift *= machine.random.uniform(0.97, 1.03)

    taken: list[Sample] = []
    for batch in measure(
        subjects,
        range(60),
        seed=seed,
        case="trust",
        clock=lambda: machine.now,
        device=machine,
        failures=Failures(),
        before_round=before_round,
    ):
        taken += batch
    rows = [(s.key, s.round, s.clock, s.calls, s.ns, s.throttled) for s in taken]
    frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
    return compare(_side(frame, "unfused"), _side(frame, "fused"), paired=True)[0]


@pytest.mark.parametrize("slow_down", [0.0, 0.02, 0.05, 0.20])
def test_the_statistics_do_not_lie(slow_down: float) -> None:
    """100 trials through `measure` and `compare`, seeds fixed; the truth is the planted slow-down."""
    found = [_trial(seed, slow_down) for seed in range(100)]
    words = Counter(verdict.word for verdict in found)
    truth, covered = 1 / (1 + slow_down), 0
    for verdict in found:
        assert verdict.ratio is not None
        assert verdict.ratio.lo is not None
        assert verdict.ratio.hi is not None
        covered += verdict.ratio.lo <= truth <= verdict.ratio.hi
    assert covered >= 90, f"the interval holds the truth in {covered} of 100 trials; 95 stated"
    if slow_down == 0:
        assert words["FASTER"] + words["SLOWER"] <= 5, words
        assert words["SAME"] >= 80, words
    elif slow_down >= 0.05:
        assert words["SLOWER"] >= 95, words
    assert words["FASTER"] == 0 or slow_down == 0, words
