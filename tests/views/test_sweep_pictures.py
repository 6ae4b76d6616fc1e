"""A sweep drawn: a line per path and mode, the floor, what loses and what is unsure marked, names letter for letter."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import polars as pl
import pytest

from rope_prof.analysis.run.rows import summary
from rope_prof.analysis.run.sweep import sweep
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import OperationFacts, heads
from rope_prof.views.blocks.sweep import turning_blocks
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.stack import stacked
from rope_prof.views.draw.svg import Drawing, Line, Marker, Text, svg_file
from rope_prof.views.draw.sweep import FLOOR, SHARES, TIMES, HeldWalls, sweep_charts, sweep_table
from rope_prof.views.page.blocks import blocks
from rope_prof.views.words.sweep import families, sign
from tests.built_runs import FUSED, PASS_NS, UNFUSED, Truth, built
from tests.runs import CASE


def swept(paths: dict[str, Truth], rounds: int = 8, *, graphs: bool = True, ceilings: bool = True) -> pl.DataFrame:
    frames = []
    for tokens in (1, 64, 4096):
        made = built(paths, rounds=rounds, graphs=graphs, ceilings=ceilings, case=CASE.but(tokens=tokens))
        frames.append(sweep(summary(made.run, made.samples, made.captures)))
    return pl.concat(frames)


def sweep_drawings(
    name: str, frame: pl.DataFrame, operation: OperationFacts, paths: list[str], held: HeldWalls
) -> dict[str, Drawing]:
    """The charts as still pictures."""
    return {head: chart.drawing for head, chart in sweep_charts(name, frame, operation, paths, held).items()}


def texts(made: Drawing) -> list[str]:
    return [shape.text for shape in made.shapes if isinstance(shape, Text)]


def test_a_line_per_path_and_mode_and_the_floor() -> None:
    frame = swept({"unfused": UNFUSED, "fused": FUSED})
    made = sweep_drawings("r", frame, MROPE, ["unfused", "fused"], HeldWalls())
    assert list(made) == [TIMES, SHARES]
    for one in made.values():
        said = texts(one)
        assert {"unfused · eager", "unfused · graph", "fused · eager", "fused · graph", FLOOR} <= set(said)
        assert "tokens" in said
        floors = [s for s in one.shapes if isinstance(s, Line) and s.role == "kernel" and len(s.points) == 3]
        assert len(floors) == 1
        ElementTree.fromstring(svg_file(one, LIGHT))
    titles = " ".join(s.title for s in made[SHARES].shapes if isinstance(s, Marker))
    share = 100 * PASS_NS / FUSED.stream_ns
    assert f"fused · eager, 64 tokens: {share:.3g} % of one pass" in titles


def test_without_a_floor_only_the_times_are_drawn() -> None:
    frame = swept({"unfused": UNFUSED, "fused": FUSED}, ceilings=False)
    made = sweep_drawings("r", frame, MROPE, ["unfused", "fused"], HeldWalls())
    assert list(made) == [TIMES]
    assert FLOOR not in texts(made[TIMES])


def test_what_is_slower_for_sure_and_what_has_too_few_rounds_is_marked() -> None:
    slow = replace(UNFUSED, busy_ns=2 * UNFUSED.busy_ns, host_ns=2 * UNFUSED.host_ns)
    loses = sweep_drawings("r", swept({"unfused": UNFUSED, "fused": slow}), MROPE, ["unfused", "fused"], HeldWalls())[
        TIMES
    ]
    assert texts(loses).count("▼") == 6
    assert "?" not in texts(loses)
    few = sweep_drawings(
        "r", swept({"unfused": UNFUSED, "fused": FUSED}, rounds=3), MROPE, ["unfused", "fused"], HeldWalls()
    )
    assert texts(few[TIMES]).count("?") == 12, "the chain's own times have no interval either"
    assert "▼" not in texts(few[TIMES])


def test_a_path_keeps_its_shade_whatever_is_chosen_beside_it() -> None:
    frame = swept({"unfused": UNFUSED, "per-token": FUSED, "fused": FUSED}).filter(pl.col("path") == "fused")
    made = sweep_drawings("r", frame, MROPE, ["unfused", "per-token", "fused"], HeldWalls())[TIMES]
    assert {s.role for s in made.shapes if isinstance(s, Marker)} == {"path2"}


def test_the_difference_to_the_baseline_is_at_each_point_and_in_the_table() -> None:
    frame = swept({"unfused": UNFUSED, "fused": FUSED}, graphs=False)
    chain = frame.filter(pl.col("path") == "unfused")
    walls = dict(zip(frame.filter(pl.col("path") == "fused")["key"], chain["wall_ns"], strict=True))
    held = HeldWalls(label="unfused · eager", walls=walls)
    table = sweep_table(frame, MROPE, held)
    assert table["to unfused · eager"].to_list() == ["–", "−98 %"] * 3
    made = sweep_drawings("r", frame, MROPE, ["unfused", "fused"], held)[TIMES]
    titles = [s.title for s in made.shapes if isinstance(s, Marker) and "fused · eager, 64" in s.title]
    assert any("−98 % to unfused · eager" in title for title in titles)
    assert "to unfused · eager" not in sweep_table(frame, MROPE, HeldWalls()).columns


def test_an_axis_called_as_a_column_of_the_table_has_a_head_of_its_own() -> None:
    rows = swept({"unfused": UNFUSED, "fused": FUSED}, graphs=False)
    alike = tuple(replace(a, form="L2 {}") if a.name in ("tp", "tokens") else a for a in MROPE.axes)
    table = sweep_table(rows, replace(MROPE, axes=alike), HeldWalls())
    assert table["axis tokens"].to_list() == rows["tokens"].to_list()
    assert table.columns[:4] == ["axis tokens", "path", "mode", "L2"]
    assert heads(alike[:3], []) == {"model": "model", "tp": "axis tp", "tokens": "axis tokens"}


def test_the_table_says_what_is_sure() -> None:
    rows = swept({"unfused": UNFUSED, "fused": FUSED}, graphs=False)
    assert sweep_table(rows, MROPE, HeldWalls())["for sure"].to_list() == ["–", "faster"] * 3
    few = swept({"unfused": UNFUSED, "fused": FUSED}, graphs=False, rounds=2)
    assert set(sweep_table(few, MROPE, HeldWalls())["for sure"]) == {"? too few rounds or processes"}
    wrong = rows.with_columns(status=pl.lit("wrong"))
    assert set(sweep_table(wrong, MROPE, HeldWalls())["for sure"]) == {"wrong"}
    assert sweep_drawings("r", wrong, MROPE, ["unfused", "fused"], HeldWalls()) == {}


@pytest.mark.parametrize(
    ("row", "mark"),
    [
        ({"speedup": 2.0, "verdict": "FASTER", "wall_lo_ns": 1.0}, ""),
        ({"speedup": 1.0, "verdict": "SAME", "wall_lo_ns": 1.0}, "≈"),
        ({"speedup": 0.5, "verdict": "SLOWER", "wall_lo_ns": 1.0}, "▼"),
        ({"speedup": 0.5, "verdict": "UNKNOWN", "wall_lo_ns": 1.0}, "?"),
        ({"speedup": None, "verdict": None, "wall_lo_ns": 1.0}, ""),
        ({"speedup": None, "verdict": None, "wall_lo_ns": None}, "?"),
    ],
)
def test_the_sign_of_a_row(row: dict[str, object], mark: str) -> None:
    assert sign(row) == mark


def test_a_panel_names_its_family_and_escapes_what_a_file_says() -> None:
    evil = "<b onmouseover=x>:f"
    frame = swept({"unfused": UNFUSED, evil: FUSED})
    ((title, rows),) = families(frame, MROPE)
    page = blocks(turning_blocks(title, rows, MROPE), LIGHT)
    assert ">28b · TP 1 · bf16 · image prompt · cold L2</h3>" in page
    assert "<b onmouseover" not in page
    assert "&lt;b onmouseover=x&gt;:f · eager: fusing matters at every count up to 4,096 tokens" in page
    charts = sweep_charts("r", rows, MROPE, ["unfused", evil], HeldWalls()).values()
    points = [point for chart in charts for one in chart.series for point in one.points]
    assert sum(bool(point.title) for point in points) == 2 * 12, "every point of both charts tells its facts"
    _, alone = turning_blocks(title, rows.filter(pl.col("path") == "unfused"), MROPE)
    assert "Only the baseline is shown" in str(alone)


def test_stacked_drawings_do_not_cover_each_other() -> None:
    frame = swept({"unfused": UNFUSED, "fused": FUSED})
    first, second = sweep_drawings("r", frame, MROPE, ["unfused", "fused"], HeldWalls()).values()
    both = stacked([first, second], "both")
    assert both.height > first.height + second.height
    heads = [s.y for s in both.shapes if isinstance(s, Text) and s.bold and s.size == 14]
    assert len(heads) == 2
    assert heads[1] > first.height
    with pytest.raises(ValueError, match="no drawing"):
        stacked([], "none")
