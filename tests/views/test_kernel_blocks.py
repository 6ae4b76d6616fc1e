"""Kernels as blocks: nothing is hidden, marks stand where figures say, differences and reasons in words."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from rope_prof.analysis.run.roofline import path_roofs
from rope_prof.analysis.trace.kernels import KERNELS
from rope_prof.model.nsight import Compute, LeastBytes, ToolRecording
from rope_prof.views.blocks.kernels import (
    MOST,
    HeldKernels,
    Kernels,
    floor_lines,
    floors_table,
    kernel_table,
    kernels_figure,
    paths_figure,
    time_figure,
)
from rope_prof.views.blocks.model import Picture
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.draw.roofline import Roof, RooflineChart, Spot
from rope_prof.views.draw.svg import Line, Marker, Rect, Text, svg_file
from tests.analysis.test_roof import kernel, limits, row

EVIL = "<img src=http://evil.example/i.png onerror=alert(1)>"


def frame(*times: float, name: str = "k", kind: str = "kernel") -> pl.DataFrame:
    rows = [(f"{name}{k}", kind, 1.0, ns, ns / sum(times), ns, "1x1x1", "32x1x1", 8, 0) for k, ns in enumerate(times)]
    return pl.DataFrame(rows, schema=KERNELS, orient="row")


def side(path: str, kernels: pl.DataFrame, **more: object) -> Kernels:
    return Kernels(label=f"{path} · eager", row=row(path, **more), kernels=kernels, calls=28)


def boxes(figure: Picture) -> list[Rect]:
    return [s for s in figure.drawing.shapes if isinstance(s, Rect) and s.title]


def texts(figure: Picture) -> list[str]:
    return [s.text for s in figure.drawing.shapes if isinstance(s, Text)]


def test_a_long_list_ends_in_one_bar_that_holds_the_rest() -> None:
    found = time_figure([side("unfused", frame(*[1000.0] * (MOST + 5)))], "r · c")
    assert len(boxes(found)) == MOST + 1
    assert boxes(found)[-1].width == pytest.approx(5 * boxes(found)[0].width)
    assert "5 more kernels" in texts(found)
    assert f"{MOST + 5} kernels, 17.0 µs a call, mean of 28 calls" in texts(found)
    assert len(boxes(time_figure([side("unfused", frame(*[1000.0] * (MOST + 1)))], "r"))) == MOST + 1


def test_copies_have_their_own_colour_and_are_no_kernels() -> None:
    both = pl.concat([frame(1000.0), frame(500.0, name="copy", kind="memcpy")])
    found = time_figure([side("fused", both)], "r · c")
    assert [box.role for box in boxes(found)] == ["kernel", "copy"]
    assert "1 kernel, 1.50 µs a call, mean of 28 calls" in texts(found)
    assert "copy or set" in texts(found)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_names_stay_letters_in_the_picture(palette: object) -> None:
    found = time_figure([side("fused", frame(1000.0, name=EVIL))], "r · c")
    text = svg_file(found.drawing, palette)  # type: ignore[arg-type]
    assert "<img" not in text
    assert "onerror=alert(1)&gt;0" in text


def test_marks_stand_higher_the_more_bytes_a_second() -> None:
    spots = (Spot(moved=1e6, per_s=1e11, whole_per_s=1e10), Spot(moved=1e7, per_s=1e12, shade=1))
    roof = Roof(flat=(("copy", 2e12),), launches=(("one launch", 5000.0),))
    drawing = RooflineChart(spots=spots, labels=(("a", 0), ("b", 1)), roof=roof, title="t").drawing
    whole, run, other = (s for s in drawing.shapes if isinstance(s, Marker) and s.x < 900)
    assert (whole.hollow, run.hollow) == (True, False)
    assert whole.x == run.x < other.x
    assert whole.y > run.y > other.y
    assert run.y - other.y == pytest.approx(whole.y - run.y), "a decade is as high as another"
    (flat,) = (s for s in drawing.shapes if isinstance(s, Line) and s.role == "kernel")
    (launch,) = (s for s in drawing.shapes if isinstance(s, Line) and s.role == "launch")
    assert flat.points[0][1] == flat.points[1][1] < other.y
    assert launch.points[0][1] > launch.points[1][1], "more bytes in one launch are more a second"
    words = [s.text for s in drawing.shapes if isinstance(s, Text)]
    assert {"bytes moved, MB (logarithmic)", "GB/s (logarithmic)", "copy, 2,000 GB/s", "one launch, 5.00 µs"} <= {
        *words
    }
    inside = [p for s in (flat, launch) for p in s.points]
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for x, y in inside)
    with pytest.raises(ValueError, match="without a point"):
        _ = RooflineChart(spots=(), labels=(), roof=Roof(), title="t").drawing


def test_paths_without_counted_bytes_are_named_and_not_drawn() -> None:
    roofs = path_roofs([row(), row(mode="compile")], limits())
    found = paths_figure(roofs, limits(), ["unfused", "fused"], "r · c")
    assert found is not None
    assert "Not drawn, since nobody counted their bytes: fused · compile." in found.caption
    marks = [s for s in found.drawing.shapes if isinstance(s, Marker) and s.title]
    assert {mark.role for mark in marks} == {"path1"}, "shaded in the order of all paths"
    assert "fused · eager: 1.00 MB a call" in marks[0].title
    assert paths_figure(roofs[1:], limits(), ["fused"], "r") is None


def test_the_floors_have_their_difference_and_what_is_missing_is_no_nought() -> None:
    base, mine, unknown = row("unfused", busy_ns=1000.0), row(), row("fused", "compile", busy_ns=None, wall_ns=None)
    roofs = path_roofs([base, mine, unknown], limits())
    table = floors_table(roofs, lambda one: f"{one.path} · {one.mode}", HeldKernels(label="it", row=base, kernels=None))
    first, second, third = ([cell.text for cell in line] for line in table.rows)
    assert first[2] == "1.00 µs"
    assert second == [
        *("fused · eager", "1.00", "500 ns (−50 %)", "2,000", "50 %", "2.00 µs (±0 %)", "1.00 µs", "400 ns", "50 %"),
        "one launch",
    ]
    assert third[1:] == ["–"] * 9
    assert "in brackets the difference to it" in table.title
    assert floor_lines(roofs, lambda one: one.mode) == [
        "eager: 1.00 MB a call, 1,000 GB/s while its kernels run (25 % of a copy); floor / call 50 %",
        "eager: 1.00 MB a call, 2,000 GB/s while its kernels run (50 % of a copy); floor / call 50 %",
    ]


def test_a_kernel_is_held_against_the_same_kernel_of_the_baseline() -> None:
    base, mine = side("unfused", frame(1000.0, 500.0)), side("fused", frame(250.0, 100.0, 10.0))
    table = kernel_table([base, mine], HeldKernels(label="unfused", row=base.row, kernels=base.kernels))
    assert table["to unfused"].to_list() == ["", "", "−75 %", "−80 %", "not there"]
    assert "to unfused" not in kernel_table([base, mine], None).columns


def computed(*, percents: tuple[float, ...]) -> Compute:
    kernels = tuple(
        replace(kernel(40e3 * share, percent=share, l2_bytes=5e6), key="k", name=f"{EVIL}{n}")
        for n, share in enumerate(percents)
    )
    least = (LeastBytes(key="k", least_bytes=100), LeastBytes(key="none.eager.cold.c.r0", least_bytes=100))
    return Compute(recording=ToolRecording(version="9.9", options=()), kernels=kernels, least=least)


def test_each_kernel_is_a_mark_below_the_peak_that_the_counters_imply() -> None:
    compute = computed(percents=(10.0, 50.0))
    found = kernels_figure(compute, {"k": ("fused · eager", 2)}, "dram", limits(copy_bytes_per_s=None), "r · c")
    assert found is not None
    marks = [s for s in found.drawing.shapes if isinstance(s, Marker) and s.title]
    assert len(marks) == 2
    assert f"{EVIL}1\nfused · eager: 2.00 MB at the DRAM in 1.00 µs alone, 2,000 GB/s, 50.0 % of the DRAM's peak" in {
        mark.title for mark in marks
    }
    assert "peak of the DRAM by the counters, 4,000 GB/s" in texts(found)
    assert "This run measured no copy bandwidth" in found.caption
    of_l2 = kernels_figure(compute, {"k": ("fused · eager", 2)}, "l2", limits(), "r · c")
    assert of_l2 is not None
    assert "No line for the peak of the L2" in of_l2.caption
    assert not any("copy" in text for text in texts(of_l2)), "a copy goes by the DRAM"
    assert kernels_figure(compute, {"other": ("x", 0)}, "dram", limits(), "r") is None
