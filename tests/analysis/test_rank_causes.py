"""A slow card, a slow host and a shared host are told apart: each rank alone, against the others alone and at once."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.run.numbers import Numbers, numbers
from rope_prof.analysis.run.rank_causes import RankCauses, over_ranks, rank_causes, widest
from rope_prof.analysis.run.rows import Row, summary
from rope_prof.analysis.run.series import Series
from rope_prof.model.samples import ALONE, samples_schema
from rope_prof.views.blocks.model import Table
from rope_prof.views.blocks.ranks import cause_tables, run_answer, run_blocks
from rope_prof.views.words.ranks import EVEN, cause_lines
from rope_prof.views.words.run_json import numbers_json
from tests.on_terminal import on_terminal
from tests.runs import RIGHT, facts, run

RANKS, ROUNDS = 4, 8
PATHS = ("unfused", "fused")
WALL, DEVICE = 1_000.0, 600.0

Slow = dict[int, float]


def rows(busy_ns: float = 500.0) -> list[Row]:
    every = [
        replace(known, key=replace(known.key, rank=rank))
        for path in PATHS
        for known in [facts(path, accuracy=RIGHT)]
        for rank in range(RANKS)
    ]
    plain = summary(run(*every), _frame(), {})
    return [replace(row, busy_ns=busy_ns) for row in plain]


def _frame() -> pl.DataFrame:
    names = [replace(facts(path).key, rank=rank).name for path in PATHS for rank in range(RANKS)]
    held = [(name, number, "wall", 1, round(WALL), None) for name in names for number in range(ROUNDS)]
    return pl.DataFrame(held, schema=samples_schema(), orient="row")


def measured(
    *, card: Slow | None = None, host: Slow | None = None, shared: Slow | None = None, device: bool = True
) -> Series:
    """What the clocks give: `card` stretches the device's time, `host` the wall's, `shared` the wall's at once."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for row in rows():
        slow_card, slow_host = (card or {}).get(row.rank, 1.0), (host or {}).get(row.rank, 1.0)
        at_once = (shared or {}).get(row.rank, 1.0)
        on_wall = WALL * slow_card * slow_host
        for name, wall in ((ALONE + row.key, on_wall), (row.key, on_wall * at_once)):
            found[name, "wall"] = {k: wall * (1 + 0.002 * k) for k in range(ROUNDS)}
            if device:
                found[name, "device"] = {k: DEVICE * slow_card * (1 + 0.002 * k) for k in range(ROUNDS)}
    return found


def opened(slow: float) -> Numbers:
    """A whole run whose rank 3 takes `slow` times as long at once, and alone no longer than the others."""
    every = [replace(known, key=replace(known.key, rank=rank)) for known in map(facts, PATHS) for rank in range(RANKS)]
    held = [
        (name, number, "wall", 10, round(10 * WALL * (1 + 0.002 * number) * times), None)
        for known in every
        for name, times in ((known.key.name, slow if known.key.rank == 3 else 1.0), (ALONE + known.key.name, 1.0))
        for number in range(ROUNDS)
    ]
    plan = run(*every, settings={"calls": 10, "rounds": ROUNDS, "world_size": RANKS, "alone_rounds": ROUNDS})
    return numbers(plan, pl.DataFrame(held, schema=samples_schema(), orient="row"), {})


def test_a_run_tells_its_ranks_in_words_tables_and_json() -> None:
    found = opened(1.5)
    assert causes(found.ranks) == {3: ("shared host",)}
    assert {row.wall_ns.n for row in found.rows if row.wall_ns} == {ROUNDS}  # what was taken alone is no round of a key
    assert "Rank 3: the host that the ranks share holds it up (1.50x, at once / alone)." in run_answer(found)
    assert [block.title for block in run_blocks(found) if isinstance(block, Table)] == [
        "Why a rank is slow",
        "Over ranks, µs per call",
    ]
    told = json.loads(json.dumps(numbers_json(found)["ranks"]))
    assert told["alone_rounds"] == ROUNDS
    assert [one["causes"] for one in told["causes"]] == [[], [], [], ["shared host"]]
    assert told["at_once"]["device"] is None
    assert told["at_once"]["wall"]["n"] == RANKS


def causes(found: tuple[RankCauses, ...]) -> dict[int, tuple[str, ...]]:
    return {one.rank: one.causes for one in found if one.causes}


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"card": {2: 1.2}}, {2: ("card",)}),
        ({"host": {1: 1.2}}, {1: ("host",)}),
        ({"shared": {0: 1.3, 3: 1.5}}, {0: ("shared host",), 3: ("shared host",)}),
        ({"host": {1: 1.2}, "device": False}, {1: ("self",)}),
        ({"shared": dict.fromkeys(range(RANKS), 1.4), "device": False}, dict.fromkeys(range(RANKS), ("shared host",))),
        ({"card": {2: 1.2}, "shared": {2: 1.3}}, {2: ("card", "shared host")}),
        ({"card": {2: 1.03}, "shared": {1: 1.04}}, {}),
        ({}, {}),
    ],
)
def test_what_was_planted_is_named(planted: dict[str, object], said: dict[int, tuple[str, ...]]) -> None:
    assert causes(rank_causes(rows(), measured(**planted))) == said  # type: ignore[arg-type]


def test_rounds_that_differ_by_more_than_the_ranks_name_nobody() -> None:
    found = {
        name: {k: ns * (3.0 if k % 2 else 1.0) for k, ns in rounds.items()}
        for name, rounds in measured(card={2: 1.2}).items()
    }
    told = rank_causes(rows(), found)
    assert causes(told) == {}
    (line,) = [line for line in cause_lines(told, ROUNDS) if line.startswith("No one rank")]
    assert "1.20x on rank 2, alone / the others alone" in line


def test_ratios_and_their_counts() -> None:
    told = rank_causes(rows(), measured(card={2: 1.2}, shared={2: 1.5}))
    one = told[2]
    assert one.own_device is not None
    assert (round(one.own_device.ratio, 6), one.own_device.keys, one.own_device.slow) == (1.2, 2, 2)
    assert one.shared_wall is not None
    assert round(one.shared_wall.ratio, 6) == 1.5
    assert one.shared_device is not None
    assert (one.shared_device.ratio, one.shared_device.slow) == (1.0, 0)


def test_the_rank_with_the_widest_bubbles_and_how_wide_they_are_alone() -> None:
    told = rank_causes(rows(busy_ns=500.0), measured(shared={3: 1.5}))
    wide = widest(told)
    assert wide is not None
    assert wide.rank == 3
    assert wide.bubble_alone_ns == pytest.approx(507.0)  # the middle round is 0.7 % above 1 µs
    assert wide.bubble_ns == pytest.approx(1.5 * 1_007 - 500)
    (line,) = [line for line in cause_lines(told, ROUNDS) if line.startswith("Bubbles are widest on rank 3")]
    assert "1.01 µs a call at once, 0.507 µs alone; the others' middle is 0.507 µs" in line


def test_over_all_ranks_contention_shows_where_no_rank_alone_does() -> None:
    told = rank_causes(rows(), measured(shared={0: 1.9, 1: 2.1, 2: 2.0, 3: 2.0}))
    figure = over_ranks(told, "wall")
    assert figure is not None
    assert figure.lo is not None
    assert figure.lo > 1.8
    assert figure.median == pytest.approx(2.0, rel=0.01)
    two = over_ranks(told[:2], "wall")
    assert two is not None
    assert (two.lo, two.n) == (None, 2)
    assert any("At once a call takes 2.00x [" in line for line in cause_lines(told, ROUNDS))


def test_even_ranks_are_said_to_be_even_and_one_rank_says_nothing() -> None:
    assert EVEN in cause_lines(rank_causes(rows(), measured()), ROUNDS)
    assert rank_causes([row for row in rows() if row.rank == 0], measured()) == ()
    without = {name: rounds for name, rounds in measured().items() if not name[0].startswith(ALONE)}
    assert rank_causes(rows(), without) == ()
    assert cause_lines((), None) == []
    assert cause_tables(()) == []


def test_the_table_names_rank_and_cause() -> None:
    text = on_terminal(cause_tables(rank_causes(rows(), measured(card={2: 1.2}, shared={0: 1.4}))), 140)
    assert "1.20x (2 of 2)" in text
    assert "shared host" in text
    lines = cause_lines(rank_causes(rows(), measured(card={2: 1.2}, shared={0: 1.4})), ROUNDS)
    assert "Rank 2: its card is slow, also alone (1.20x, alone / the others alone)." in lines
    assert "Rank 0: the host that the ranks share holds it up (1.40x, at once / alone)." in lines
