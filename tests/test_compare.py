"""Laws of the verdicts, the bounds, the refusals and the exit codes; what odd runs and odd names make of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.comparison.apart import CAPTURES, Between, captures
from rope_prof.analysis.comparison.compare import ALL_METRICS, Verdict, compare, families, judged
from rope_prof.analysis.comparison.evidence import BubbleParts
from rope_prof.analysis.comparison.family import Family
from rope_prof.analysis.comparison.gates import Gate, gate
from rope_prof.analysis.comparison.sides import NotComparableError, Side, differences
from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.analysis.stats import Figure
from rope_prof.cli import main
from rope_prof.commands.compare_sides import compare_text
from rope_prof.errors import UsageError
from rope_prof.io.run.folder import append_samples, read_run, shipped_runs, write_run
from rope_prof.io.run.redact import PrivateWords
from rope_prof.model.run import MODES, Key, KeyFacts, Machine
from rope_prof.model.samples import samples_schema
from rope_prof.opened.comparison import cleaned_markdown, typed
from rope_prof.views.blocks.compare import compare_blocks, verdict_table
from rope_prof.views.report.markdown import blocks_markdown
from rope_prof.views.words.compare_json import compare_json
from rope_prof.views.words.comparison import Comparison, method
from tests.runs import CASE, MACHINE, facts, key, run, samples

_ENDS = st.tuples(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.1, 10)).map(sorted)


def _side(frame: pl.DataFrame, path: str | None, *keys: str, machine: Machine = MACHINE) -> Side:
    found = run(*(facts(name) for name in keys or ("unfused", "fused")), machine=machine)
    return Side(label=repr(path), run=found, samples=frame, path=path)


@given(_ENDS)
def test_swapping_the_sides_swaps_the_word(ends: list[float]) -> None:
    lo, middle, hi = ends
    there, _ = judged(Figure(middle, lo, hi, 60))
    back, _ = judged(Figure(1 / middle, 1 / hi, 1 / lo, 60))
    turned = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    near = any(abs(end - bound) < 0.001 for end in (lo, hi) for bound in (0.98, 1.02))
    assert near or back == turned.get(there, there)


@given(_ENDS, st.floats(0, 50))
def test_a_bound_fails_only_where_the_whole_interval_is_beyond(ends: list[float], percent: float) -> None:
    lo, middle, hi = ends
    ratio = Figure(middle, lo, hi, 60)
    verdict = Verdict(case=CASE, base="a", cand="b", metric="wall", word=judged(ratio)[0], ratio=ratio, reason=None)
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
    wall, _ = compare(here, there, paired=False, known=lambda *_: Between(1.0, "known"))
    assert wall.ratio is not None
    assert wall.ratio.median == 1
    assert wall.word == "SAME"


def test_two_runs_whose_spread_nobody_knows_are_undecided_and_keep_no_bound() -> None:
    """However steady the rounds of both are: they cannot see what the next run will find other."""
    here, there = (_side(samples(fused_eager=[ns] * 20), None, "fused") for ns in (10.0, 20.0))
    wall, _ = compare(here, there, paired=False)
    assert (wall.word, wall.chance) == ("UNDECIDED", False)
    assert wall.within == Figure(0.5, 0.5, 0.5, 20)
    assert "is not known" in (wall.reason or "")
    assert Gate("wall", 3).check(wall) == "undecided"
    assert compare(here, there, paired=False, known=lambda *_: Between(1.5, "x"))[0].word == "SLOWER"
    near = compare(here, there, paired=False, known=lambda *_: Between(2.5, "x"))[0]
    assert near.word == "UNDECIDED"
    assert "no more than runs of the same code may" in (near.reason or "")


def test_the_very_same_samples_are_one_recording() -> None:
    noisy = [10.0, 30.0] * 10
    here, there = (_side(samples(fused_eager=noisy), None, "fused") for _ in range(2))
    assert compare(here, there, paired=False)[0].word == "SAME"
    assert gate("wall>3%").check(compare(here, there, paired=False)[0]) == "holds"


def test_one_difference_among_many_is_undecided() -> None:
    """By itself 3 % are a difference; among forty keys it is what chance gives, and no bound fails by it."""
    ns = [1000.0] * 10 + [934.0, 1066.0]
    names = [key(f"p{i}") for i in range(40)]

    def side(shift: float, count: int) -> Side:
        rows = [
            (one.name, n, "wall", 1000, round(1000 * value * (shift if one is names[0] else 1.0)) + i % 3, None)
            for i, one in enumerate(names[:count])
            for n, value in enumerate(ns)
        ]
        found = run(*(KeyFacts(key=one, status="measured") for one in names[:count]))
        return Side(label="", run=found, samples=pl.DataFrame(rows, schema=samples_schema(), orient="row"))

    def found(count: int) -> tuple[Verdict, ...]:
        sides = side(1.0, count), side(1.03, count)
        noise = pl.col("ns") + pl.when(pl.col("key") == names[0].name).then(0).otherwise(1)
        cand = replace(sides[1], samples=sides[1].samples.with_columns(noise))
        return compare(sides[0], cand, paired=False, metrics=("wall",), known=lambda *_: Between(1.0, "known"))

    alone, among = found(1)[0], found(40)
    assert (alone.word, gate("wall>1%").check(alone)) == ("SLOWER", "fails")
    assert (among[0].word, among[0].chance, gate("wall>1%").check(among[0])) == ("UNDECIDED", True, "undecided")
    assert "Holm" in (among[0].reason or "")
    assert families(among) == (Family("wall", 40, 1, pytest.approx(2.0), 0),)


@pytest.mark.parametrize(("slower", "word"), [(13, "UNDECIDED"), (20, "SLOWER")])
def test_nor_does_it_stand_within_one_run(slower: int, word: str) -> None:
    """17 of 20 rounds are a difference of one pair, and chance among thirty; all 20 stand."""
    cases = [replace(CASE, values=(*CASE.values[:-1], (CASE.values[-1][0], f"case{i}"))) for i in range(30)]
    names = [(key("a", case=one), key("b", case=one)) for one in cases]

    def pair(count: int) -> Verdict:
        rows = [
            (one.name, n, "wall", 1, 1050 if i == 0 and side and n < slower else 1000 + (n % 2 == side), None)
            for i, both in enumerate(names[:count])
            for side, one in enumerate(both)
            for n in range(20)
        ]
        found = run(*(KeyFacts(key=one, status="measured") for both in names[:count] for one in both))
        frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
        picked = [Side(label="", run=found, samples=frame, path=of) for of in "ab"]
        return compare(*picked, paired=True, metrics=("wall",))[0]

    assert pair(1).word == "SLOWER"
    assert (pair(30).word, pair(30).chance) == (word, word == "UNDECIDED")


def test_runs_of_several_processes_are_compared_over_processes() -> None:
    """Rounds within a process are steady, processes are not; and all of a run share a host and an hour, of which only
    what runs of the same code differ by says anything."""

    def side(levels: list[float]) -> Side:
        rows = [
            (key("fused").name, 10 * process + n, "wall", 1, round(1000 * level) + n, None, process)
            for process, level in enumerate(levels)
            for n in range(10)
        ]
        frame = pl.DataFrame(rows, schema=samples_schema() | {"process": pl.Int64}, orient="row")
        found = replace(run(facts("fused")), settings={"calls": 28, "repeats": len(levels)})
        return Side(label="", run=found, samples=frame)

    steady = [100.0, 101.0, 99.0, 100.5, 99.5]
    wild = [100.0, 140.0, 80.0, 120.0, 95.0]

    def found(levels: list[float], factor: float | None) -> Verdict:
        known = None if factor is None else lambda *_: Between(factor, "known")
        return compare(side(levels), side([1.2 * ns for ns in levels]), paired=False, known=known)[0]

    assert [found(steady, factor).word for factor in (1.05, 1.25, None)] == ["SLOWER", "UNDECIDED", "UNDECIDED"]
    assert "is not known" in (found(steady, None).reason or "")
    assert families([found(steady, 1.05)]) == (Family("wall", 1, 1, 0.05, 1),)
    apart = found(wild, 1.0)
    assert apart.ratio is not None
    assert (apart.word, apart.ratio.n, apart.ratio.over) == ("UNDECIDED", 5, "processes")


def _six_rounds_tenfold(source: Path, target: Path) -> int:
    """A copy of a run whose keys of six rounds are ten times slower; how many those are."""
    target.mkdir()
    (target / "run.json").write_bytes((source / "run.json").read_bytes())
    frame = pl.read_parquet(source / "samples.parquet")
    rounds = frame.filter(~pl.col("key").str.starts_with("ceiling")).group_by("key").agg(pl.col("round").n_unique())
    six = rounds.filter(pl.col("round") == 6)["key"].to_list()
    frame.with_columns(pl.when(pl.col("key").is_in(six)).then(pl.col("ns") * 10).otherwise(pl.col("ns"))).write_parquet(
        target / "samples.parquet"
    )
    return len(six)


def test_keys_of_six_rounds_that_are_ten_times_slower_fail_the_bounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shipped_runs() / "h200-sweep"
    count = _six_rounds_tenfold(source, tmp_path / "slow")
    assert count == 210
    bounds = ["--fail-on", "wall>3%", "--fail-on", "device>3%"]
    assert main(["compare", str(source), str(tmp_path / "slow"), *bounds]) == 1
    text = capsys.readouterr().out
    assert text.count("FAILS: ") == 2 * count
    assert f"{2 * count} verdicts rest on six rounds" in text
    assert "wall: 210 of 210 differ, at most 10.5 expected by chance alone; 210 after Holm's correction" in text


@pytest.mark.parametrize("name", [path.name for path in sorted(shipped_runs().iterdir()) if path.is_dir()])
def test_every_shipped_run_holds_against_its_own_copy(tmp_path: Path, name: str) -> None:
    source = shipped_runs() / name
    copy = tmp_path / "copy"
    copy.mkdir()
    for part in source.iterdir():
        if part.suffix in {".json", ".parquet"} or part.name.endswith(".trace.json.gz"):
            (copy / part.name).symlink_to(part)
    bounds = [word for metric in ("wall", "device") for word in ("--fail-on", f"{metric}>3%")]
    wrong = any(facts.accuracy and facts.accuracy.wrong for facts in read_run(source).run.keys)  # judged by nothing
    assert main(["compare", str(source), str(copy), *bounds, "--strict"]) == int(wrong)
    assert main(["compare", str(source), str(source), *bounds, "--strict"]) == int(wrong)
    captured = ["--fail-on", "kernels>0%", "--fail-on", "bubble>0%", "--strict"]
    assert main(["compare", str(source), str(copy), *captured]) == int(wrong or name == "h200-sweep")


def test_what_differs_between_two_runs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = replace(MACHINE, torch="2.9.0", triton="3.5.0", driver="550", cpu_name="Other CPU")
    for name, machine in (("a", MACHINE), ("b", new)):
        write_run(tmp_path / name, run(facts("fused"), machine=machine, rope_prof="0.1.0" if name == "a" else "0.0.9"))
        append_samples(tmp_path / name, samples(fused_eager=[10.0] * 20))
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    said = (
        "The runs differ in driver (– against 550); torch (2.11.0 against 2.9.0); Triton (3.6.0 against 3.5.0); "
        "host CPU (Test CPU against Other CPU); rope_prof (0.1.0 against 0.0.9)."
    )
    assert said in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    unlike = {one["what"]: one["cand"] for one in json.loads(capsys.readouterr().out)["unlike"]}
    assert unlike["torch"] == "2.9.0"


def test_what_neither_run_says_is_said() -> None:
    """A commit that only one of them has is a difference; one that none has is not known to be none."""
    frame = samples(fused_eager=[10.0] * 20)
    machines = [MACHINE, replace(MACHINE, commit="1a2b3c4", load=1.5)]
    lines = []
    for machine in machines:
        sides = [_side(frame, None, "fused", machine=machine) for _ in range(2)]
        found = Comparison(
            typed=("A", "B"), base=sides[0], cand=sides[1], paired=False, command="compare A B",
            verdicts=compare(*sides, paired=False),
        )  # fmt: skip
        lines.append([line for line in method(found) if line.startswith("Neither run says")])
    assert lines == [
        ["Neither run says: commit, host, host load. They may differ in it."],
        ["Neither run says: host. They may differ in it."],
    ]


def test_a_wall_verdict_between_a_graph_and_a_loop_says_what_it_carries() -> None:
    rows = [
        (key("fused", mode).name, n, "wall", calls, calls * ns, None)
        for mode, calls, ns in (("eager", 500, 580), ("graph", 28, 600))
        for n in range(20)
    ]
    found = replace(run(facts("fused"), facts("fused", "graph")), settings={"calls": 28})
    frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
    sides = [Side(label=mode, run=found, samples=frame, mode=mode) for mode in ("eager", "graph")]
    wall = compare(*sides, paired=True)[0]
    assert wall.word == "SLOWER"
    assert "a 28th of its launch and of the wait for its end" in (wall.reason or "")


def test_graphs_of_one_run_have_in_their_interval_what_captures_differ_by() -> None:
    """Rounds of one process bound a ratio to a thousandth, and two captures of one graph differ by more."""
    both = {mode: [Key(case=CASE, path=path, mode=mode, l2="cold") for path in ("unfused", "fused")] for mode in MODES}
    frame = samples(**{f"{each.path}_{each.mode}": [100.0, 100.1] * 20 for keys in both.values() for each in keys})
    whole = run(*(KeyFacts(key=each, status="measured") for keys in both.values() for each in keys))
    sides = [Side(label=path, run=whole, samples=frame, path=path) for path in ("unfused", "fused")]
    found = {v.base.split(".")[1]: v for v in compare(*sides, paired=True, metrics=["wall"])}
    assert {mode: v.between for mode, v in found.items()} == {
        "eager": None,
        "compile": None,
        "graph": captures(both["graph"][0]),
    }
    ratio, rounds = found["graph"].ratio, found["graph"].within
    assert rounds == found["eager"].ratio == Figure(1.0, 1.0, 1.0, 40)
    assert ratio == Figure(1.0, 1 / CAPTURES, CAPTURES, 40)
    assert found["graph"].word == "SAME"


def test_what_cannot_be_compared_is_refused_unless_told() -> None:
    frame = samples(fused_eager=[10.0] * 20, unfused_eager=[10.0] * 20)
    other = Machine(**{name: getattr(MACHINE, name) for name in MACHINE.__slots__} | {"device_name": "Other GPU"})
    here = _side(frame, None, "fused")
    with pytest.raises(NotComparableError, match="Other GPU"):
        compare(here, _side(frame, None, "fused", machine=other), paired=False)
    with pytest.raises(NotComparableError, match="path: None has fused, None has unfused, fused"):
        compare(here, _side(frame, None), paired=False)
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
        ([9.0, 11.0] * 10, ["--fail-on", "wall>3%"], 4),
        ([9.0, 11.0] * 10, ["--fail-on", "wall>3%", "--allow-unknown"], 0),
        ([11.0] * 20, ["--fail-on", "wall>3%", "--allow-unknown"], 1),
        ([11.0] * 20, ["--fail-on", "wall>3%", "--fail-on", "device>3%"], 1),
        ([10.0] * 20, ["--fail-on", "wall>3%", "--fail-on", "device>3%"], 4),
        ([10.0] * 20, ["--strict", "--allow-unknown"], 2),
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
    assert main(["compare", str(folder), str(shipped_runs() / "h100-ernie28b")]) == 3
    assert main(["compare", f"{folder}:nothing", str(folder)]) == 2
    assert main(["compare", str(tmp_path / "none"), str(folder)]) == 3
    assert capsys.readouterr().err.count("error: ") == 3


def _at(dtype: str = "bf16", tokens: int = 64, model: str = "28b", path: str = "fused", l2: str = "cold") -> Key:
    found = key(path, case=CASE.but(dtype=dtype, tokens=tokens, model=model))
    return replace(found, l2=l2)  # type: ignore[arg-type]


def _alone(one: Key, ns: float = 10.0, label: str = "A", **more: object) -> Side:
    rows = [(one.name, number, "wall", 10, round(10 * ns), None) for number in range(20)]
    frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
    return Side(label=label, run=run(KeyFacts(key=one, status="measured")), samples=frame, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (_at(dtype="fp16"), "dtype: A has bf16, B has fp16"),
        (_at(tokens=973), "tokens: A has 64, B has 973"),
        (_at(model="424b"), "model: A has 28b, B has 424b"),
        (_at(path="unfused"), "path: A has fused, B has unfused"),
        (_at(l2="hot"), "L2 state: A has cold, B has hot"),
    ],
)
def test_a_refusal_names_what_was_seen_and_it_can_be_waived(other: Key, said: str) -> None:
    here, there = _alone(_at()), _alone(other, 11.0, "B")
    with pytest.raises(NotComparableError, match=said) as refused:
        compare(here, there, paired=False)
    assert refused.value.exit_code == 3
    assert "--anyway" in str(refused.value)
    found = compare(here, there, paired=False, anyway=True, known=lambda *_: Between(1.0, "known"))
    assert found[0].word == "SLOWER"
    assert (found[0].base, found[0].cand) == (_at().name, other.name)
    assert [str(one) for one in differences(here, there)] == [
        said.replace("A has ", "").replace(", B has ", " against ")
    ]


def test_several_unlike_counts_are_not_matched_by_chance() -> None:
    """64 and 973 tokens against 128 and 256: even told to, nothing says which belongs to which."""
    left, right = (
        run(*(KeyFacts(key=_at(tokens=n), status="measured") for n in counts)) for counts in ((64, 973), (128, 256))
    )
    sides = (Side(label=name, run=one, samples=samples()) for name, one in (("A", left), ("B", right)))
    with pytest.raises(NotComparableError, match="tokens: A has 64, 973, B has 128, 256"):
        compare(*sides, paired=False, anyway=True)


def test_an_empty_run_is_not_comparable() -> None:
    empty = Side(label="E", run=run(), samples=samples())
    for anyway in (False, True):
        with pytest.raises(NotComparableError, match="E has no such key"):
            compare(empty, _alone(_at()), paired=False, anyway=anyway)


@pytest.mark.parametrize(("calls", "ns"), [(0, 10), (10, 0), (10, -5), (-1, 10)])
def test_samples_without_calls_or_time_are_unknown(calls: int, ns: int) -> None:
    good = samples(unfused_eager=[10.0] * 20, fused_eager=[10.0] * 19)
    bad = pl.DataFrame([(key("fused").name, 19, "wall", calls, ns, None)], schema=samples_schema(), orient="row")
    frame = pl.concat([good, bad])
    wall, _ = compare(_side(frame, "unfused"), _side(frame, "fused"), paired=True)
    assert (wall.word, wall.ratio) == ("UNKNOWN", None)
    assert wall.reason is not None
    assert "1 of 20 samples of fused eager" in wall.reason
    assert Gate("wall", 3).check(wall) == "undecided"


def _captured(kernels: float | None, busy: float | None, spread: float = 0.0) -> CaptureFigures:
    each = tuple((busy or 0) + spread * (n - 13.5) / 13.5 for n in range(28)) if spread else ()
    return CaptureFigures(
        calls=28,
        kernels_per_call=kernels,
        kernel_ns=busy,
        busy_ns=busy,
        period_ns=None,
        bubble_raw_ns=None,
        busy_each_ns=each,
    )


def _with_captures(before: CaptureFigures | str, after: CaptureFigures | str) -> dict[str, Verdict]:
    frame = samples(unfused_eager=[100.0] * 20, fused_eager=[50.0] * 20)
    base = replace(_side(frame, "unfused"), captures={key().name: before})
    cand = replace(_side(frame, "fused"), captures={key("fused").name: after})
    return {v.metric: v for v in compare(base, cand, paired=True, metrics=ALL_METRICS)}


def test_kernels_are_counted_and_bubbles_are_wall_less_busy() -> None:
    found = _with_captures(_captured(25, 20.0), _captured(1, 40.0))
    assert (found["kernels"].word, found["kernels"].before, found["kernels"].after) == ("FASTER", 25, 1)
    assert found["bubble"].ratio == Figure(8.0, 8.0, 8.0, 20)
    assert (found["bubble"].word, found["bubble"].before, found["bubble"].after) == ("FASTER", 80.0, 10.0)
    assert gate("kernels>0%").check(found["kernels"]) == "holds"
    more = _with_captures(_captured(100, 20.0), _captured(101, 20.0))
    assert more["kernels"].word == "SLOWER"
    assert gate("kernels>0%").check(more["kernels"]) == "fails"
    assert _with_captures(_captured(3, 20.0), _captured(3, 20.0))["kernels"].word == "SAME"


def test_below_a_bubble_stand_its_parts_that_sum_to_it() -> None:
    times = {"unfused_eager": [100.0] * 20, "fused_eager": [50.0] * 20}
    device = samples(unfused_eager=[30.0] * 20, fused_eager=[52.0] * 20).with_columns(clock=pl.lit("device"))
    frame = pl.concat([samples(**times), device.cast(dict(samples(**times).schema))])
    base = replace(_side(frame, "unfused"), captures={key().name: _captured(25, 20.0)})
    cand = replace(_side(frame, "fused"), captures={key("fused").name: _captured(1, 40.0)})
    verdicts = compare(base, cand, paired=True, metrics=ALL_METRICS)
    found = {v.metric: v for v in verdicts}
    assert found["bubble"].before_parts == BubbleParts(host=70.0, queue=10.0)
    assert found["bubble"].after_parts == BubbleParts(host=-2.0, queue=12.0)
    assert found["wall"].before_parts is None
    said = Comparison(typed=("b", "c"), base=base, cand=cand, paired=True, command="", verdicts=verdicts)
    rows = [[cell.text for cell in row] for row in verdict_table(said).rows]
    assert [row[3:7] for row in rows if row[3] in {"= host", "+ queue"}] == [
        ["= host", "", "70.0 ns", "-2.00 ns"],
        ["+ queue", "", "10.0 ns", "12.0 ns"],
    ]
    assert _with_captures(_captured(25, 20.0), _captured(1, 40.0))["bubble"].before_parts is None  # no device time


def test_the_bubble_of_calls_whose_busy_time_varies_is_as_doubtful_as_they() -> None:
    """A capture is of other calls than the rounds: one path, captured twice, must not come out faster than itself."""
    sure = _with_captures(_captured(25, 20.0, 0.5), _captured(25, 40.0, 0.5))["bubble"]
    assert sure.word == "FASTER"
    assert sure.ratio is not None and sure.ratio.lo is not None and sure.ratio.hi is not None
    assert sure.ratio.median == 8.0
    assert (sure.ratio.lo, sure.ratio.hi) == pytest.approx((79.525 / 10.475, 80.475 / 9.525))
    doubtful = _with_captures(_captured(25, 92.0, 6.0), _captured(25, 43.0, 6.0))["bubble"]
    assert doubtful.word == "UNDECIDED"
    assert "may be none" in (_with_captures(_captured(25, 20.0), _captured(1, 45.0, 8.0))["bubble"].reason or "")


@pytest.mark.parametrize(
    ("after", "kernels", "bubble"),
    [
        ("the trace is damaged", "the trace is damaged", "the trace is damaged"),
        (_captured(0, None), "holds no kernel", "holds no kernel"),
        (_captured(1, 50.0), None, "may be none"),
        (_captured(1, 60.0), None, "may be none"),
    ],
)
def test_what_a_capture_does_not_tell_is_unknown_with_its_reason(
    after: CaptureFigures | str, kernels: str | None, bubble: str
) -> None:
    found = _with_captures(_captured(25, 20.0), after)
    assert found["wall"].word == "FASTER"
    assert found["bubble"].word == "UNKNOWN"
    assert found["bubble"].reason is not None
    assert bubble in found["bubble"].reason
    assert (found["kernels"].word == "UNKNOWN") == (kernels is not None)
    assert kernels is None or kernels in (found["kernels"].reason or "")


def test_a_lost_trace_leaves_the_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, run(facts(trace="a.trace.json.gz"), facts("fused", trace="b.trace.json.gz"), complete=True))
    append_samples(tmp_path, samples(unfused_eager=[10.0] * 20, fused_eager=[5.0] * 20))
    (tmp_path / "b.trace.json.gz").write_bytes(b"no gzip")
    assert main(["compare", f"{tmp_path}:unfused", f"{tmp_path}:fused", "--json", "--fail-on", "kernels>0%"]) == 4
    found = {v["metric"]: v for v in json.loads(capsys.readouterr().out)["verdicts"]}
    assert found["wall"]["word"] == "FASTER"
    assert found["kernels"]["word"] == found["bubble"]["word"] == "UNKNOWN"
    assert found["kernels"]["reason"] == "the trace 'a.trace.json.gz' is missing"


HOSTILE = "a|b`c`<img src=x>\x1b[31m@you **bold**"


def test_odd_names_are_shown_letter_for_letter() -> None:
    odd = KeyFacts(key=key(HOSTILE), status="measured", reason=HOSTILE)
    frame = pl.DataFrame(
        [(one.name, n, "wall", 10, 100, True) for one in (key(), odd.key) for n in range(20)],
        schema=samples_schema(),
        orient="row",
    )
    machine = replace(MACHINE, device_name=HOSTILE)
    base, cand = (
        Side(label=p, run=run(facts(), odd, machine=machine), samples=frame, path=p) for p in ("unfused", HOSTILE)
    )
    found = Comparison(
        typed=("a", HOSTILE),
        base=base,
        cand=cand,
        paired=True,
        command=f"compare {HOSTILE}",
        verdicts=compare(base, cand, paired=True, metrics=ALL_METRICS),
    )
    assert json.loads(compare_json(found))["cand"] == HOSTILE
    text, markdown = compare_text(found), blocks_markdown("", compare_blocks(found), "")
    assert "20 of 20 samples were taken while the GPU's clock was held down" in text
    for drawn in (text, markdown):
        assert "\x1b" not in drawn
    assert "<img" not in markdown.replace("\\<", "")
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({len(_columns(line)) for line in rows}) == 1


def test_the_markdown_is_for_everybody() -> None:
    """What a report's Markdown must not tell, this one does not either, wherever in it the word stands."""
    words = PrivateWords({"alices-machine": "host", "alice": "user"})
    token = "hf_" + "a1B2" * 8
    path = "alice.rope:rope"
    odd = KeyFacts(key=key(path), status="failed", reason="no module in /home/alice/kernels/rope.py on alices-machine")
    frame = pl.DataFrame(
        [(key().name, n, "wall", 10, 100, True) for n in range(20)], schema=samples_schema(), orient="row"
    )
    bases = "/home/alice/secret/run:unfused", f"/Users/alice/run:{path}"
    base, cand = (
        Side(label=repr(text), run=run(facts(), odd), samples=frame, path=name)
        for text, name in zip(bases, ("unfused", path), strict=True)
    )
    verdicts = compare(base, cand, paired=True, metrics=ALL_METRICS)
    bound = gate("wall>3%")
    found = Comparison(
        typed=bases,
        base=base,
        cand=cand,
        paired=True,
        command=typed(*bases, ["wall>3%"], strict=False, anyway=False) + f" --token {token}",
        verdicts=verdicts,
        checked=[(bound, verdicts[0], "undecided")],
    )
    before = blocks_markdown("", compare_blocks(found), "")
    assert all(private in before for private in ("/home/alice/secret", "/Users/alice", "alices", token, "rope.py"))
    text, removed = cleaned_markdown(found, words)
    for private in ("alice", "/home", "/Users", "secret", token):
        assert private not in text
    assert "compare …/run:unfused" in text
    assert "--fail-on 'wall>3%'" in text
    assert removed == "removed before writing: 2 home folders, 1 host name, 1 token, 1 user name"
    assert f"{removed[1:]} (tokens, host and user names, home folders, paths)." in text
    assert len(verdicts) == sum(line.startswith("| `") for line in text.splitlines())


def test_the_command_cleans_its_markdown_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "alices-home"
    monkeypatch.setenv("HOME", str(home))
    folder = _folder(home / "run", unfused_eager=[10.0] * 20, fused_eager=[9.0] * 20)
    sides = [f"{folder}:unfused", f"{folder}:fused"]
    assert main(["compare", *sides, "--format", "markdown"]) == 0
    shown = capsys.readouterr()
    assert "alices-home" not in shown.out
    assert "compare …/run:unfused …/run:fused" in shown.out
    assert shown.err == "removed before writing: 1 path\n"
    assert main(["compare", *sides, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["base"] == sides[0]


def _columns(line: str) -> list[str]:
    """The cells of a Markdown row: a pipe after a backslash does not part them."""
    return line.replace("\\|", "").split("|")


@pytest.mark.parametrize(
    "extra", [["--json", "--format", "markdown"], ["--fail-on", "copy>1%"], ["--fail-on", "wall>٣%"]]
)
def test_words_that_ask_for_nothing(tmp_path: Path, extra: list[str]) -> None:
    folder = _folder(tmp_path / "a", unfused_eager=[10.0] * 20, fused_eager=[9.0] * 20)
    assert main(["compare", f"{folder}:unfused", f"{folder}:fused", *extra]) == 2


def test_every_format_tells_the_same_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """On the shipped run: device time of fused against unfused at 8192 tokens is no launch cost."""
    source = shipped_runs() / "h100-ernie28b"
    sides = [f"{source}:unfused/eager", f"{source}:fused/eager"]
    assert main(["compare", *sides, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    words = [verdict["word"] for verdict in document["verdicts"]]
    assert document["paired"] is True
    for form in ("text", "markdown"):
        assert main(["compare", *sides, "--format", form]) == 0
        table = capsys.readouterr().out.split("\n\n")[0].splitlines()
        rows = table[2:] if form == "markdown" else table[1:]
        said = [[word for word in row.replace("|", " ").replace("*", "").split() if word.isupper()] for row in rows]
        assert [found[0] for found in said if found] == words
