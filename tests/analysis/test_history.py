"""What runs of the same code differed by: kept by code, pooled by mode; the larger of it and of what anchors say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.comparison.compare import Verdict, compare
from rope_prof.analysis.comparison.history import kept, known
from rope_prof.analysis.comparison.sides import Side
from rope_prof.io.run import history
from rope_prof.io.run.folder import read_run, shipped_runs
from rope_prof.model.history import KeptKey, KeptRun, machine_kind
from rope_prof.model.run import Key, KeyFacts
from tests.runs import CASE, run

EAGER = Key(case=CASE, path="unfused", mode="eager", l2="cold")
USER = replace(EAGER, path="mine:f")


def recorded(number: int, ns: int = 1_000, *, commit: str | None = "abc", dirty: bool | None = False) -> KeptRun | None:
    made = run(*(KeyFacts(key=key, status="measured") for key in (EAGER, USER)))
    made = replace(made, created=str(number), machine=replace(made.machine, commit=commit, dirty=dirty))
    names = [key.name for key in (EAGER, USER) for _ in range(2)]
    samples = pl.DataFrame({"key": names, "clock": "wall", "calls": 10, "ns": 10 * ns})
    return kept(made, samples)


def runs(*values: float, code: str = "abc", group: str = "eager cold") -> list[KeptRun]:
    key = KeptKey(group=group, medians_ns={"wall": 0.0})
    return [
        KeptRun(created=f"{code}{n}", code=code, keys={"k": replace(key, medians_ns={"wall": ns})})
        for n, ns in enumerate(values)
    ]


def test_a_run_is_kept_by_its_code_and_not_where_nobody_knows_that() -> None:
    made = recorded(1)
    assert made is not None
    assert (made.code, dict(made.keys[USER.name].medians_ns)) == ("abc", {"wall": 1_000.0})
    assert recorded(1, dirty=True) is None
    packaged = recorded(1, commit=None, dirty=None)
    assert packaged is not None
    assert packaged.code.startswith("rope_prof ")
    assert set(packaged.keys) == {EAGER.name}, "a user's own path, of which nothing says that it is the same"


def test_pairs_of_one_code_tell_how_far_it_differs() -> None:
    found = known(runs(100, 110, 100, 100, 100), EAGER, "wall")
    assert found is not None
    assert found.factor == pytest.approx(1.1)
    assert "95% of 10 pairs" in found.how
    assert known(runs(100, 110, 100, 100), EAGER, "wall") is None, "six pairs are too few"
    assert known(runs(*[100] * 9), replace(EAGER, mode="graph"), "wall") is None
    assert known(runs(*[100] * 9), EAGER, "device") is None
    mixed = [*runs(*[100] * 5), *runs(*[300] * 5, code="other")]
    both = known(mixed, EAGER, "wall")
    assert both is not None
    assert both.factor == 1.0, "two codes are no pair"


def test_the_file_is_bounded_replaces_a_resumed_run_and_damage_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    here = run().machine
    first, again = recorded(1), recorded(1, 2_000)
    assert first is not None
    assert again is not None
    history.keep(here, first)
    history.keep(here, again)
    assert history.kept_runs(here) == (again,)
    assert history.kept_runs(replace(here, torch="1.0")) == ()
    for one in runs(*range(1, history.MOST_RUNS + 9)):
        history.keep(here, one)
    left = history.kept_runs(here)
    assert len(left) == history.MOST_RUNS
    assert left[-1].created == f"abc{history.MOST_RUNS + 7}"
    for damaged in (b'{"version": 1, "machine": 3}', b'{"version": 1, "machine": "\xe9"}', b'{"x":' + b"[" * 100_000):
        history.history_file(here).write_bytes(damaged)
        assert history.kept_runs(here) == ()
    history.keep(here, first)
    assert history.kept_runs(here) == (first,)
    assert machine_kind(here) != machine_kind(replace(here, torch="1.0"))


def test_two_runs_differ_only_by_more_than_kept_runs_of_the_same_code_did() -> None:
    """A run against itself, a quarter slower: what is kept decides whether that is said."""
    folder = read_run(shipped_runs() / "h100-ernie28b")
    slower = folder.samples.with_columns(ns=(pl.col("ns") * 1.25).cast(pl.Int64))
    anchors = {ceiling.key_name for ceiling in folder.run.ceilings}
    same = pl.when(pl.col("key").is_in(sorted(anchors))).then(folder.samples["ns"]).otherwise(pl.col("ns"))
    base, cand = (
        Side(label=name, run=folder.run, samples=samples)
        for name, samples in (("a", folder.samples), ("b", slower.with_columns(ns=same)))
    )
    quiet, loud = runs(*[100] * 6), runs(*[100, 140] * 4)

    def judged(before: list[KeptRun]) -> list[Verdict]:
        found = compare(base, cand, paired=False, metrics=("wall",), known=lambda _, clock: known(before, EAGER, clock))
        return [one for one in found if one.ratio is not None]

    assert {one.word for one in judged(quiet)} >= {"SLOWER"}
    assert {one.word for one in judged(loud)} == {"UNDECIDED"}
    assert [one.between.factor for one in judged(loud) if one.between] == pytest.approx([1.4] * len(judged(loud)))
