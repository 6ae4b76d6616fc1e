"""What a late rank costs, and where it loses the time, in jobs like those that run: overlap, hosts, rare delays."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.ranks.clock import Collective, clocks
from rope_prof.analysis.ranks.late import host_late, stragglers
from rope_prof.analysis.ranks.losses import late_fixes
from rope_prof.analysis.ranks.ranks import Recording, ranks_report
from rope_prof.analysis.ranks.rows import row_set
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.model.trace import Trace
from rope_prof.views.blocks.ranks import ranks_blocks
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.ranks import MOST_TOP, heat_figure, heat_rows
from rope_prof.views.words.ranks import late_line
from tests.builders import Drawn, kernel, range_, trace
from tests.on_terminal import on_terminal
from tests.ranks.drawn_ranks import ALL_REDUCE, BASE

STEP, STEPS, RANKS, DELAY = 100_000, 6, 4, 20_000


def buckets(rank: int, late: int) -> Trace:
    """Data-parallel steps: a backward pass of three buckets, each reduced on a stream of its own while it goes on.

    The late rank's host comes `DELAY` later to each step. Reducing a bucket takes 1 µs once all are there.
    """
    drawn: list[Drawn] = []
    for step in range(STEPS):
        behind = DELAY if rank == late else 0
        begin, done = step * STEP, step * STEP
        drawn += [
            range_("step", begin, begin + STEP - 1_000),
            range_("load_batch", begin, begin + 1_000 + behind),
        ]
        for bucket in range(3):
            at = begin + 5_000 + behind + 10_000 * bucket
            launched = begin + 1_500 + behind + 100 * bucket
            number = 10 * step + bucket + 1
            drawn.append(kernel(at, at + 10_000, launched=(launched, launched + 50), correlation=2 * number))
            ready, last = at + 10_000, begin + 5_000 + DELAY + 10_000 * bucket + 10_000
            enters, done = max(ready, done), last + 1_000
            reduce = kernel(
                enters, done, name=ALL_REDUCE, stream=20, launched=(launched + 60, launched + 90),
                correlation=2 * number + 1,
            )  # fmt: skip
            drawn.append(reduce)
    return trace(*drawn)


def rows(late: int = 2) -> pl.DataFrame:
    parts = []
    for rank in range(RANKS):
        about = {"distributedInfo": {"rank": rank, "world_size": RANKS}}
        drawn = replace(buckets(rank, late), base_time_ns=BASE, metadata=about)
        held = row_set(drawn, analyze(drawn), Fixes(), name=f"rank{rank}.json")
        parts.append(held.with_columns(source=pl.lit(f"/j/rank{rank}.json"), folder=pl.lit("/j")))
    return pl.concat(parts)


def recording(late: int = 2) -> Recording:
    (one,) = ranks_report(rows(late)).recordings
    return one


def test_a_delay_that_three_buckets_of_a_step_show_costs_once() -> None:
    """Each of three buckets is entered late by one rank, beside the backward pass: by 20, 9 and 9 µs."""
    (late,) = recording().stragglers
    assert late.rank == "2"
    assert late.cost_ns == STEPS * DELAY


def test_a_host_that_is_late_is_named_in_the_range_that_it_is_late_in() -> None:
    one = recording()
    (late,) = one.stragglers
    assert (late.range, late.on, late.excess_ns) == ("load_batch", "host", STEPS * DELAY)
    assert late_line(late).endswith("it loses 120 µs in load_batch on the host.")
    (fix,) = late_fixes(one.ranks, one.stragglers)
    assert fix.place.event.startswith("what its host does")
    (found,) = host_late(one.ranks, one.ranges)
    assert (found.range, found.rank, found.calls) == ("load_batch", "2", STEPS)
    assert (found.median_ns, found.longest_ns) == (STEPS * 1_000, STEPS * (1_000 + DELAY))


def test_a_range_that_launches_nothing_stands_on_the_map_by_the_host() -> None:
    one = recording()
    drawn = heat_rows(one)
    assert [row.label for row in drawn] == ["load_batch · host", "step"]
    assert drawn[0].over == [1.0, 1.0, 21.0, 1.0]
    figure = heat_figure(one, LIGHT, "x")
    assert "by the host’s clock" in figure.data[0].customdata[0][2]
    assert figure.data[0].zmax == MOST_TOP


def test_the_table_of_hosts_names_the_rank() -> None:
    text = on_terminal(ranks_blocks(ranks_report(rows())), 80)
    assert "Longer on one host" in text
    assert max(map(len, text.splitlines())) <= 80


def test_rows_of_before_say_nothing_of_the_host() -> None:
    (one,) = ranks_report(rows().drop("host_ns", "host_calls", "frees_ns")).recordings
    (late,) = one.stragglers
    assert late.rank == "2"
    assert all(set(across.host_ns) == {None} for across in one.ranges)


def at(rank_starts: list[list[int]], frees: list[list[int]] | None = None) -> list[dict[str, Collective]]:
    ends = [max(starts) + 10 for starts in zip(*rank_starts, strict=True)]
    return [
        {"c": Collective(starts_ns=starts, ends_ns=ends, frees_ns=None if frees is None else frees[rank])}
        for rank, starts in enumerate(rank_starts)
    ]


def test_collectives_side_by_side_are_waited_for_once() -> None:
    """Rank 1 comes 100 ns late to two that begin together, as those of two groups do."""
    told = clocks(at([[0, 1, 1_000, 2_000], [100, 101, 1_000, 2_000]]))
    assert told.arrivals[1].cost_ns == 100
    assert told.arrivals[1].last == 2


def test_collectives_one_after_another_are_waited_for_once() -> None:
    """Rank 1 is 100 ns late to the first; the second, which follows at once, it enters by 3 ns of chance later."""
    starts = [[0, 510, 5_000], [100, 513, 5_000]]
    ranks = [{"c": Collective(starts_ns=mine, ends_ns=[500, 900, 5_100], frees_ns=[0, 0, 4_000])} for mine in starts]
    assert clocks(ranks).arrivals[1].cost_ns == 100


def test_a_host_that_fell_behind_once_is_late_once_until_the_hosts_wait_again() -> None:
    """Host 1 launches everything 70 ns later than host 0, whose queue is full: it waits 50 ns at each of three."""
    starts = [[0, 1_000, 2_000, 5_000], [50, 1_050, 2_050, 5_050]]
    launches = [[-30, 970, 1_970, 4_970], [40, 1_040, 2_040, 5_040]]

    def ranks(syncs: list[int] | None, launched: list[list[int]]) -> list[dict[str, Collective]]:
        ends = [100, 1_100, 2_100, 5_100]
        return [
            {
                "c": Collective(
                    starts_ns=mine, ends_ns=ends, frees_ns=[ns - 5 for ns in mine], launches_ns=made, syncs=syncs
                )
            }
            for mine, made in zip(starts, launched, strict=True)
        ]

    assert clocks(ranks([0, 0, 0, 1], launches)).arrivals[1].cost_ns == 70 + 50
    assert clocks(ranks(None, launches)).arrivals[1].cost_ns == 200
    assert clocks(ranks([0, 0, 0, 1], [launches[0], launches[0]])).arrivals[1].cost_ns == 200


def test_work_between_two_collectives_is_no_waiting() -> None:
    """A slow rank, 50 ns late to every one, while the others compute between them: 50 ns each, and no more."""
    starts = [[0, 1_000, 2_000], [50, 1_050, 2_050]]
    ranks = [
        {"c": Collective(starts_ns=mine, ends_ns=[100, 1_100, 2_100], frees_ns=[0, 1_000, 2_000])} for mine in starts
    ]
    assert clocks(ranks).arrivals[1].cost_ns == 150


def test_one_delay_a_step_among_many_collectives_is_late_all_the_same() -> None:
    """Of eight collectives a step one waits for rank 1, which comes last to an eighth of them alone."""
    one = recording()
    ranks = tuple(
        replace(rank, arrivals=None if rank.arrivals is None else replace(rank.arrivals, last=2, cost_ns=cost))
        for rank, cost in zip(one.ranks, (3_000, 2_000, 90_000, 0), strict=True)
    )
    (late,) = stragglers(ranks, one.ranges, one.clocks)
    assert (late.rank, late.cost_ns, late.how) == ("2", 90_000, "last to 2 of 18 collectives")
