"""What several ranks wrote becomes one run, whoever of them is whole; the spread over ranks is read from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.run.rank_spread import rank_spread
from rope_prof.analysis.run.rows import summary
from rope_prof.errors import RunError, UsageError
from rope_prof.io.run.folder import append_samples, read_run, write_run
from rope_prof.io.run.ranks import gather, is_taken, rank_folder, write_ended
from rope_prof.model.run import Run
from rope_prof.model.samples import samples_schema
from rope_prof.record.ranks import Place, place, ranked
from rope_prof.record.session import resumed_run
from rope_prof.views.blocks.model import Table
from rope_prof.views.blocks.ranks import rank_tables
from rope_prof.views.blocks.run import run_tables
from rope_prof.views.words.notes import notes
from tests.on_terminal import on_terminal
from tests.runs import RIGHT, facts, run

WALL = {"unfused": 1000, "fused": 100}


def of(rank: int, *, size: int = 3, status: str = "measured", complete: bool = True) -> Run:
    plan = run(*(facts(path, status=status, accuracy=RIGHT) for path in WALL), complete=complete)
    return ranked(plan, Place(rank=rank, size=size, local=0))


def write_rank(folder: Path, rank: int, *, slow: float = 1.0, **more: object) -> None:
    """One whole rank: eight rounds of each path, and a file called as a trace of its own."""
    own, plan = rank_folder(folder, rank), of(rank, **more)  # type: ignore[arg-type]
    write_run(own, plan)
    rows = [
        (each.key.name, number, "wall", 10, round(10 * WALL[each.key.path] * slow), None)
        for each in plan.keys
        for number in range(8)
    ]
    append_samples(own, pl.DataFrame(rows, schema=samples_schema(), orient="row"))
    (own / f"{plan.keys[0].key.name}.trace.json.gz").write_bytes(b"trace")


def printed(tables: Sequence[Table]) -> str:
    return on_terminal(tables, 140)


def test_whole_ranks_become_one_run_folder_and_nothing_else(tmp_path: Path) -> None:
    for rank in range(3):
        write_rank(tmp_path, rank)
    gathered = gather(tmp_path, 3)
    assert gathered.sentence() is None
    kept = read_run(tmp_path)
    assert kept.run.complete
    assert [(f.key.path, f.key.rank) for f in kept.run.keys] == [(path, rank) for path in WALL for rank in range(3)]
    assert kept.samples.height == 3 * 2 * 8
    assert len(list(tmp_path.glob("*.trace.json.gz"))) == 3
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".gz"] * 3 + [".json", ".parquet"]
    assert kept.run.settings["world_size"] == 3


def test_gathering_twice_is_gathering_once(tmp_path: Path) -> None:
    write_rank(tmp_path, 0)
    write_rank(tmp_path, 1, complete=False, status="pending")
    gather(tmp_path, 3)
    once = read_run(tmp_path)
    gather(tmp_path, 3)
    again = read_run(tmp_path)
    assert once.run == again.run
    assert once.samples.equals(again.samples)


def test_a_dead_rank_is_named_and_the_others_stay(tmp_path: Path) -> None:
    write_rank(tmp_path, 0)
    write_rank(tmp_path, 1, complete=False, status="pending")
    write_rank(tmp_path, 2, complete=False, status="pending")
    write_ended(tmp_path, 2, "stopped with the others")
    gathered = gather(tmp_path, 4)
    assert gathered.lost == {1: "died", 2: "ended early (stopped with the others)", 3: "died"}
    said = gathered.sentence()
    assert said is not None
    assert said.startswith("rank 1 of 4 died; rank 3 of 4 died and 1 other was stopped: what the ranks")
    kept = read_run(tmp_path)
    assert not kept.run.complete
    by_rank = {(f.key.path, f.key.rank): f for f in kept.run.keys}
    assert by_rank["fused", 0].status == "measured"
    assert by_rank["fused", 1].reason == "rank 1 died before this key was done"
    assert kept.samples.height == 3 * 2 * 8
    assert is_taken(tmp_path)


def test_no_rank_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="none of 2 ranks"):
        gather(tmp_path, 2)


def test_the_spread_names_the_slow_rank_and_keeps_speedups_within_a_rank(tmp_path: Path) -> None:
    for rank, slow in enumerate((1.0, 1.5, 1.1)):
        write_rank(tmp_path, rank, slow=slow)
    gather(tmp_path, 3)
    kept = read_run(tmp_path)
    rows = summary(kept.run, kept.samples, {})
    assert {row.speedup for row in rows if row.path == "fused"} == {10.0}
    unfused, fused = rank_spread(rows)
    assert (unfused.wall_lo_ns, unfused.wall_median_ns, unfused.wall_hi_ns) == (1000, 1100, 1500)
    assert (unfused.slow, fused.slow) == (1, 1)
    assert unfused.ratio == pytest.approx(1500 / 1100)
    assert "1.36x" in printed(rank_tables((unfused, fused)))
    assert rank_spread([row for row in rows if row.rank == 0]) == ()


def test_a_lost_rank_is_no_figure_but_a_line(tmp_path: Path) -> None:
    write_rank(tmp_path, 0)
    gone = of(1, status="pending")
    write_run(rank_folder(tmp_path, 1), replace(gone, complete=False))
    gather(tmp_path, 2)
    kept = read_run(tmp_path)
    rows = summary(kept.run, kept.samples, {})
    (one, _) = rank_spread(rows)
    assert one.lost == ((1, "rank 1 died before this key was done"),)
    assert (one.slow, one.wall_hi_ns, one.timed, one.ranks) == (None, 1000, 1, 2)
    out = printed(rank_tables(rank_spread(rows)))
    assert "1 of 2" in out
    assert "\nrank 1 died before this key was done" in out


def test_the_table_of_a_run_tells_its_ranks_apart(tmp_path: Path) -> None:
    for rank in range(2):
        write_rank(tmp_path, rank)
    gather(tmp_path, 2)
    kept = read_run(tmp_path)
    rows = summary(kept.run, kept.samples, {})
    out = printed(run_tables(rows))
    assert all(f"{path} eager, rank {rank}" in out for path in WALL for rank in range(2))
    alone = printed(run_tables([row for row in rows if row.rank == 0]))
    assert "rank" not in alone
    why = [replace(row, reason="checked, not timed") for row in rows]
    each = "unfused eager rank 0, unfused eager rank 1, fused eager rank 0, fused eager rank 1"
    assert f"{each}: checked, not timed" in notes(kept.run, why)
    of_one = [row for row in why if row.rank == 0]
    assert "unfused eager, fused eager: checked, not timed" in notes(kept.run, of_one)


def test_a_run_of_several_ranks_is_never_gone_on_with_by_one(tmp_path: Path) -> None:
    write_rank(tmp_path, 0)
    write_rank(tmp_path, 1, complete=False, status="pending")
    gather(tmp_path, 2)
    with pytest.raises(RunError, match="was recorded on 3 ranks at once; record anew on all 3 ranks"):
        resumed_run(tmp_path, "auto")
    part = read_run(rank_folder(tmp_path, 1))
    said = notes(part.run, summary(part.run, part.samples, {}))
    assert any(line.startswith("2 keys are pending: record anew on all 3 ranks") for line in said)


def test_ranks_that_were_never_put_together_are_named(tmp_path: Path) -> None:
    write_rank(tmp_path, 0)
    write_rank(tmp_path, 1)
    with pytest.raises(RunError, match=r"all its ranks were stopped .* \(r0, r1\), as '.*ranks/r0'"):
        read_run(tmp_path)
    assert read_run(rank_folder(tmp_path, 0)).samples.height == 2 * 8


def test_torchrun_says_who_is_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("RANK", "3")  # of a job of somebody else's: not ours to join
    assert place() is None
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert place() == Place(rank=3, size=8, local=1)
    monkeypatch.setenv("LOCAL_RANK", "one")
    with pytest.raises(UsageError, match="LOCAL_RANK is 'one'"):
        place()
