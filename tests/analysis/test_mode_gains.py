"""What a mode buys, what fusing buys in it: ratios of walls in shared rounds; what is missing is not made up."""

from __future__ import annotations

import pytest

from rope_prof.analysis.run.modes import ModeRow, modes
from tests.runs import RIGHT, WRONG, facts, run, samples


def found() -> dict[str, ModeRow]:
    keys = [facts(path, mode, accuracy=RIGHT) for path in ("unfused", "fused") for mode in ("eager", "graph")]
    keys += [facts("unfused", "compile", accuracy=RIGHT), facts("fused", "compile", "wrong", accuracy=WRONG)]
    frame = samples(
        unfused_eager=[300.0] * 8,
        unfused_compile=[100.0] * 8,
        unfused_graph=[60.0] * 8,
        fused_eager=[20.0] * 8,
        fused_compile=[1.0] * 8,
        fused_graph=[5.0] * 8,
    )
    return {row.path: row for row in modes(run(*keys), frame)}


def test_a_mode_alone_is_held_against_the_path_in_eager() -> None:
    row = found()["unfused"]
    assert row.compiler is not None
    assert row.graph is not None
    assert (row.compiler.median, row.graph.median) == (3, 5)
    assert (row.fusing, row.after_all, row.fastest) == ({}, None, None)


def test_fusing_is_held_against_the_chain_in_the_same_mode() -> None:
    row = found()["fused"]
    assert {mode: one.median for mode, one in row.fusing.items()} == {"eager": 15, "graph": 12}
    assert row.after_all is not None
    assert (row.after_all.median, row.fastest) == (12, ("graph", "graph"))


def test_a_wrong_key_is_in_no_ratio() -> None:
    row = found()["fused"]
    assert "compile" not in row.wall_ns
    assert row.compiler is None


def test_what_was_not_measured_is_not_there() -> None:
    (row,) = modes(run(facts("unfused"), facts("unfused", "graph", "unavailable")), samples(unfused_eager=[300.0] * 6))
    assert list(row.wall_ns) == ["eager"]
    assert (row.compiler, row.graph) == (None, None)


def test_ratios_pair_the_rounds() -> None:
    drift = [1, 2, 4, 8, 16, 32]
    frame = samples(unfused_eager=[300.0 * d for d in drift], unfused_graph=[60.0 * d for d in drift])
    (row,) = modes(run(facts("unfused"), facts("unfused", "graph")), frame)
    assert row.graph is not None
    assert (row.graph.lo, row.graph.hi) == (pytest.approx(5), pytest.approx(5))
