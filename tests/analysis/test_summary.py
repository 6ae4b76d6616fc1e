"""Rows of a run: what is computed from what, what is withheld, and that signs survive."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.run.capture import CaptureFigures, call_pattern, frame_figures
from rope_prof.analysis.run.rows import Row, raw_trusted, summary
from rope_prof.model.samples import samples_schema
from tests.built_runs import FUSED, UNFUSED, built
from tests.runs import RIGHT, WRONG, facts, key, run, samples


def capture(busy: float, period: float, kernels: float = 25) -> CaptureFigures:
    return CaptureFigures(
        calls=28,
        kernels_per_call=kernels,
        kernel_ns=busy,
        busy_ns=busy,
        period_ns=period,
        bubble_raw_ns=period - busy,
    )


def rows() -> dict[str, Row]:
    keys = (
        facts("unfused", accuracy=RIGHT),
        facts("fused", accuracy=RIGHT),
        facts("per-token", status="wrong", accuracy=WRONG),
        facts("unfused", "compile", "unavailable", reason="no compiler"),
    )
    frame = samples(
        unfused_eager=[300, 330, 360, 300, 330, 360],
        fused_eager=[20, 22, 24, 20, 22, 24],
        per_token_eager=[1, 1, 1, 1, 1, 1],
    )
    captures = {key("unfused").name: capture(77, 660), key("fused").name: capture(25, 44, 1)}
    return {f"{row.path} {row.mode}": row for row in summary(run(*keys), frame, captures)}


def test_speedup_pairs_the_rounds() -> None:
    fused = rows()["fused eager"]
    assert fused.speedup == pytest.approx(15)
    assert fused.speedup_interval is not None
    assert (fused.speedup_interval.lo, fused.speedup_interval.hi) == (pytest.approx(15), pytest.approx(15))
    assert rows()["unfused eager"].speedup == 1


def test_each_l2_state_is_held_against_its_own_baseline() -> None:
    cold = (facts("unfused", accuracy=RIGHT), facts("fused", accuracy=RIGHT))
    hot = tuple(replace(one, key=replace(one.key, l2="hot")) for one in cold)
    frame = samples(unfused_eager=[300.0] * 6, fused_eager=[20.0] * 6)
    warm = frame.with_columns(
        pl.col("key").replace({one.key.name: two.key.name for one, two in zip(cold, hot, strict=True)}),
        pl.when(pl.col("key") == cold[0].key.name).then(pl.lit(1000)).otherwise("ns").alias("ns"),
    )
    found = summary(run(*cold, *hot), pl.concat([frame, warm]), {})
    assert [row.speedup for row in found] == [1, 15, 1, 5]


def test_bubbles_raw_and_corrected_and_inflation() -> None:
    unfused = rows()["unfused eager"]
    assert unfused.wall_ns is not None
    assert unfused.wall_ns.median == 330
    assert unfused.bubble_raw_ns == 660 - 77
    assert unfused.bubble_corrected_ns == 330 - 77
    assert unfused.inflation == pytest.approx(2)


def test_a_negative_bubble_is_kept() -> None:
    assert rows()["fused eager"].bubble_corrected_ns == -3


def test_a_wrong_path_is_shown_and_not_ranked() -> None:
    row = rows()["per-token eager"]
    assert row.status == "wrong"
    assert row.wall_ns is not None
    assert row.max_error == 0.5
    assert row.speedup is None
    assert row.speedup_interval is None


def test_a_wrong_baseline_ranks_nobody() -> None:
    keys = (facts("unfused", status="wrong", accuracy=WRONG), facts("fused"))
    frame = samples(unfused_eager=[300.0] * 6, fused_eager=[20.0] * 6)
    assert [row.speedup for row in summary(run(*keys), frame, {})] == [None, None]


def test_what_was_not_measured_is_missing_not_zero() -> None:
    row = rows()["unfused compile"]
    assert (row.status, row.reason) == ("unavailable", "no compiler")
    figures = (row.kernels_per_call, row.kernel_ns, row.bubble_raw_ns, row.bubble_corrected_ns, row.wall_ns)
    assert figures == (None,) * 5
    assert (row.device_ns, row.inflation, row.speedup, row.max_error) == (None,) * 4


def test_no_samples_at_all() -> None:
    empty = pl.DataFrame(schema=samples_schema())
    (row,) = summary(run(facts(status="pending")), empty, {})
    assert row.wall_ns is None


def frame(
    kernels: list[int], busy: list[int | None], period: list[int | None], gaps: list[int] | None = None
) -> pl.DataFrame:
    columns = {"kernels": kernels, "kernel_ns": busy, "busy_ns": busy, "period_ns": period}
    columns["inner_gap_ns"] = gaps or [0] * len(kernels)
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.Int64))


def test_figures_are_medians_and_the_last_call_has_no_period() -> None:
    found = frame_figures(frame([25, 25, 25], [70, 80, 90], [700, 720, None]))
    assert found == CaptureFigures(
        calls=3, kernels_per_call=25, kernel_ns=80, busy_ns=80, period_ns=710, bubble_raw_ns=635
    )


def test_a_range_of_a_replay_holds_many_calls() -> None:
    found = frame_figures(frame([28, 28], [280, 280], [560, None], [28, 28]), 28)
    assert (found.calls, found.kernels_per_call, found.busy_ns, found.period_ns) == (56, 1, 10, 20)
    assert (found.replay_ns, found.busy_each_ns) == (11, (10, 10))


def test_ranges_without_kernels_have_no_times() -> None:
    found = frame_figures(frame([0, 0], [0, 0], [None, None]))
    assert (found.calls, found.kernels_per_call) == (2, 0)
    assert (found.kernel_ns, found.busy_ns, found.period_ns, found.bubble_raw_ns) == (None,) * 4


def test_the_pattern_takes_this_key_alone() -> None:
    pattern = call_pattern("a.b")
    assert pattern.fullmatch("a.b#12")
    assert not pattern.fullmatch("a.b#x")
    assert not pattern.fullmatch("aXb#1")
    assert not pattern.fullmatch("warm-up of a.b#1")


def test_a_cold_graph_has_its_period_inside_the_replay() -> None:
    made = built()
    name = made.key("unfused", "graph").name
    between = replace(made.captures[name], period_ns=900_000.0, bubble_raw_ns=800_000.0, replay_ns=75_000.0)
    rows = {row.key: row for row in summary(made.run, made.samples, made.captures | {name: between})}
    row = rows[name]
    assert (row.period_ns, row.bubble_raw_ns) == (75_000, 75_000 - UNFUSED.busy_ns)
    assert row.inflation == pytest.approx(75_000 / UNFUSED.replay_ns, rel=1e-3)
    assert row.raw_trusted


def test_the_light_capture_stands_beside_the_full_one() -> None:
    made = built()
    name = made.key("unfused", "eager").name
    light = {name: replace(made.captures[name], period_ns=500_000.0, bubble_raw_ns=430_000.0)}
    rows = {row.key: row for row in summary(made.run, made.samples, made.captures, light)}
    wall = UNFUSED.wall_ns
    assert rows[name].light_inflation == pytest.approx(500_000 / wall, rel=1e-3)
    assert rows[name].light_bubble_raw_ns == 430_000
    assert rows[name].inflation == pytest.approx((UNFUSED.busy_ns + UNFUSED.host_ns) / wall, rel=1e-3)
    assert rows[made.key("fused", "eager").name].light_inflation is None


def test_the_check_by_replay_agrees_with_a_right_capture_and_denies_a_wrong_one() -> None:
    made = built()
    name = made.key("unfused", "eager").name
    right = {row.key: row for row in summary(made.run, made.samples, made.captures)}
    assert right[name].bubbles_agree is True
    assert right[name].bubble_by_replay_ns == pytest.approx(right[name].bubble_corrected_ns, rel=1e-3)
    slowed = replace(made.captures[name], busy_ns=UNFUSED.busy_ns + 0.06 * UNFUSED.wall_ns)
    wrong = {row.key: row for row in summary(made.run, made.samples, made.captures | {name: slowed})}
    assert wrong[name].bubbles_agree is False
    assert wrong[name].bubble_by_replay_ns == right[name].bubble_by_replay_ns, "it takes nothing of the trace's times"


def test_without_a_replay_or_a_measured_gap_nothing_is_checked() -> None:
    for made in (built(graphs=False), built(ceilings=False)):
        rows = summary(made.run, made.samples, made.captures)
        assert {(row.bubble_by_replay_ns, row.bubbles_agree) for row in rows} == {(None, None)}


def test_bandwidth_spread_and_speedup_in_the_same_mode() -> None:
    made = built()
    rows = {row.key: row for row in summary(made.run, made.samples, made.captures)}
    graph = rows[made.key("fused", "graph").name]
    assert graph.mode_speedup is not None
    assert graph.mode_speedup.median == pytest.approx(UNFUSED.replay_ns / FUSED.replay_ns, rel=1e-3)
    assert graph.bytes_per_s == pytest.approx(12_000_000 / FUSED.replay_ns * 1e9, rel=1e-3)
    assert graph.p10_ns == graph.p90_ns == pytest.approx(FUSED.replay_ns)
    assert graph.roofline_share == pytest.approx(4000 / FUSED.replay_ns, rel=1e-3)


@pytest.mark.parametrize(
    ("inflation", "trusted"),
    [(1.0, True), (1.5, True), (1.51, False), (1 / 1.5, True), (0.66, False), (0.0, False), (None, False)],
)
def test_raw_figures_tell_something_only_near_the_unprofiled_time(inflation: float | None, trusted: bool) -> None:
    assert raw_trusted(inflation) is trusted
    (row, *_) = summary(built().run, built().samples, {})
    assert replace(row, inflation=inflation).raw_trusted is trusted
