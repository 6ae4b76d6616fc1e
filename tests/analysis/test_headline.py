"""Best against best: each side in its fastest mode, then mode by mode, then the device's clock; the run's own line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rope_prof.analysis.requests.per_layer import per_layer
from rope_prof.analysis.run.headline import BestAgainstBest, headlines
from rope_prof.analysis.run.modes import modes
from rope_prof.analysis.run.series import series
from rope_prof.io.run.folder import shipped_runs
from rope_prof.opened.run import open_run
from rope_prof.views.words.comparable import comparable_line
from rope_prof.views.words.headline import best_lines, more_words
from rope_prof.views.words.verdicts import gain
from tests.built_runs import FUSED, UNFUSED, built


def made(**truths: object) -> tuple[BestAgainstBest, ...]:
    run = built(truths or None)  # type: ignore[arg-type]
    found = series(run.samples)
    return headlines(run.run, found, modes(run.run, found))


def test_both_sides_are_taken_in_their_fastest_mode() -> None:
    """The chain gains by a graph what no eager loop has: against that, and not against the loop, a path is held."""
    (one,) = made()
    assert (one.best.base_mode, one.best.cand_mode) == ("graph", "graph")
    assert one.best.ratio.median == pytest.approx(UNFUSED.replay_ns / FUSED.replay_ns, rel=1e-3)
    assert [step.base_mode for step in one.same] == ["graph", "eager"]
    assert one.same[-1].ratio.median == pytest.approx(UNFUSED.wall_ns / FUSED.wall_ns, rel=1e-3)
    assert one.device is not None
    assert one.device.ratio.median == pytest.approx(UNFUSED.stream_ns / FUSED.stream_ns, rel=1e-3)


def test_a_path_that_loses_to_the_best_says_so_though_it_wins_eager() -> None:
    slow = replace(FUSED, busy_ns=90_000)
    (one,) = made(unfused=UNFUSED, fused=slow)
    assert one.same[-1].ratio.median > 1 > one.best.ratio.median
    assert best_lines((one,)) == [
        f"fused, best mode against best mode by wall: {gain(one.best.ratio)} (graph against unfused graph), 64 tokens"
    ]
    assert gain(one.best.ratio).startswith("▼")


def test_the_shipped_run_is_thirteen_times_as_fast_and_not_fifty_four() -> None:
    run = open_run(shipped_runs() / "h100-ernie28b")
    (one,) = (h for h in run.headlines if h.path == "fused" and h.case.swept == 973)
    assert (one.best.base_mode, one.best.cand_mode) == ("compile", "eager")
    assert one.best.ratio.median == pytest.approx(13.0, abs=0.05)
    assert more_words(one).endswith("graph 13.4x, eager 54.2x (19.0x by the device's clock).")
    assert "13.0x (eager against unfused compile), 973 tokens" in " ".join(best_lines(run.headlines))


def test_calls_times_layers_are_what_a_token_saved() -> None:
    run = open_run(shipped_runs() / "h100-ernie28b")
    assert run.requests is not None
    every = {(one.path, one.phase): one for one in per_layer(run.rows, run.requests.facts, run.requests.rows)}
    found = {path: one for (path, phase), one in every.items() if phase == "decode"}
    fused, prompt = found["fused"], every["fused", "prefill"]
    assert fused.layers == 28
    assert fused.predicted_ns == pytest.approx(28 * (fused.before_ns - fused.after_ns))
    assert fused.predicted_ns == pytest.approx(1.18e6, rel=0.01)
    assert fused.measured_ns == pytest.approx(fused.predicted_ns, rel=0.02)
    assert found["per-token"].measured_ns == pytest.approx(found["per-token"].predicted_ns, rel=0.03)
    assert (fused.mode, prompt.mode) == ("graph", "eager")
    assert prompt.measured_ns == pytest.approx(prompt.predicted_ns, rel=0.06)
    stock = next(row for row in run.requests.rows if row.path == "stock")
    assert stock.token_ns is not None and fused.stock_ns == stock.token_ns.median
    assert fused.of_stock(fused.measured_ns) == pytest.approx(1 - (fused.token_ns - fused.measured_ns) / fused.stock_ns)


def test_fused_saves_of_stock_what_it_saves_of_nobodys_chain() -> None:
    run = open_run(shipped_runs() / "h100-ernie28b")
    assert run.requests is not None
    rows = {(row.path, row.mode): row for row in run.requests.rows}
    assert next(iter(rows)) == ("stock", "graph"), "decode as it is served comes first"
    graph, eager = rows["fused", "graph"], rows["fused", "eager"]
    over = [graph.token_over_stock, eager.token_over_stock, eager.prefill_over_stock]
    assert [round(100 * gain.median, 1) for gain in over if gain] == [9.3, 13.5, 5.9]
    slower = rows["unfused", "graph"].token_over_stock
    assert slower is not None and slower.hi is not None and slower.hi < 0, "the chain as served is slower than stock"
    assert rows["stock", "graph"].token_over_stock is None


def test_a_run_says_whether_it_may_be_compared_with_another() -> None:
    with_anchors, without = built().run, built(ceilings=False).run
    assert "reference calls (9 a case)" in comparable_line(with_anchors)
    assert comparable_line(without).startswith("figures are not to be compared with another run's")
    several = replace(with_anchors, settings={**with_anchors.settings, "repeats": 5})
    assert "which are over 5 processes of one host and hour" in comparable_line(several)
