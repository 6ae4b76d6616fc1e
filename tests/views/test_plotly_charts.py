"""Charts to zoom into say what the still ones do: every value under the mouse, the same colours, marks and names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rope_prof.analysis.comparison.compare import Verdict
from rope_prof.analysis.stats import Figure
from rope_prof.views.draw.chart import Zoomed
from rope_prof.views.draw.charts import Histogram, HistogramChart
from rope_prof.views.draw.compare import ForestChart
from rope_prof.views.draw.lines import Axes, LineChart, Point, Series
from rope_prof.views.draw.palette import DARK, LIGHT, Palette
from rope_prof.views.draw.plotly_charts import plotly_chart
from rope_prof.views.draw.roofline import Roof, RooflineChart, Spot
from tests.runs import CASE

EVIL = "<b>fused</b>"
SAFE = "&lt;b&gt;fused&lt;/b&gt;"
LINES = LineChart(
    series=(
        Series(
            label=EVIL,
            points=(Point(x=1, y=5.0, lo=4.0, hi=7.0, title=f"{EVIL} 5 µs"), Point(x=1000, y=900.0, bad=True)),
            shade=2,
            mark=1,
            dash=True,
            hollow=True,
        ),
        Series(label="floor", points=(Point(x=1, y=1.0), Point(x=1000, y=800.0)), bound=True),
    ),
    axes=Axes(x="tokens", y="µs a call"),
    title="times",
)
GAPS = HistogramChart(
    rows=(Histogram(label=EVIL, counts=(1, 0, 3), role="unsure"),), edges_us=(1, 10, 100, 1000), unit="µs", title="gaps"
)
ROOF = RooflineChart(
    spots=(Spot(moved=1e6, per_s=1e12, whole_per_s=2e11, title=EVIL),),
    labels=((EVIL, 0),),
    roof=Roof(flat=(("copy", 3e12),), launches=(("one launch", 4000.0),), passes=(("one pass", 1e6, 2e12),)),
    title="roof",
)
FOREST = ForestChart(
    verdicts=(
        Verdict(
            case=CASE,
            base="unfused.eager.cold.c.r0",
            cand="fused.eager.cold.c.r0",
            metric="wall",
            word="FASTER",
            ratio=Figure(2.0, 1.9, 2.2, 12),
            reason=None,
            before=2000.0,
            after=1000.0,
        ),
        Verdict(
            case=CASE,
            base="unfused.eager.cold.c.r0",
            cand="fused.eager.cold.c.r0",
            metric="device",
            word="UNKNOWN",
            ratio=None,
            reason="too few",
            before=None,
            after=None,
        ),
    ),
    title="forest",
)
CHARTS = (LINES, GAPS, ROOF, FOREST)


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.title)
@pytest.mark.parametrize("ground", [LIGHT, DARK], ids=["light", "dark"])
def test_a_chart_names_its_run_and_reads_no_markup_from_a_name(chart: Zoomed, ground: Palette) -> None:
    drawn = plotly_chart(chart, ground, f"run {EVIL}")
    assert drawn.layout.annotations[-1].text == f"run {SAFE}"
    assert EVIL not in drawn.to_json().replace("\\u003c", "<").replace("\\u003e", ">")
    assert drawn.layout.font.color == ground.ink
    assert chart.drawing.title == chart.title


def test_a_line_carries_intervals_marks_and_its_hover() -> None:
    drawn = plotly_chart(LINES, LIGHT, "r")
    line, floor = drawn.data
    assert (line.name, line.line.dash, line.marker.symbol) == (SAFE, "dash", "square-open")
    assert list(line.marker.color) == [LIGHT.paths[2], LIGHT.warn]
    assert list(line.text) == ["", "▼"]
    assert (line.error_y.array[0], line.error_y.arrayminus[0]) == (2.0, 1.0)
    assert line.customdata[0] == f"{SAFE} 5 µs"
    assert floor.mode == "lines" and floor.line.color == LIGHT.kernel
    assert drawn.layout.xaxis.type == drawn.layout.yaxis.type == "log"
    assert drawn.layout.xaxis.title.text == "tokens"
    assert drawn.layout.showlegend


def test_every_bin_tells_its_count_and_its_ends() -> None:
    (row,) = plotly_chart(GAPS, LIGHT, "r").data
    assert list(row.y) == [1, 0, 3, 0]
    assert row.customdata[2] == f"{SAFE}<br>3 gaps of 100 to 1,000 µs"
    assert row.fillcolor == LIGHT.unsure


def test_the_roof_holds_what_ran_the_whole_call_and_the_waiting() -> None:
    traces = {trace.name: trace for trace in plotly_chart(ROOF, LIGHT, "r").data}
    assert traces["copy, 3,000 GB/s"].line.color == LIGHT.kernel
    assert traces["one launch, 4.00 µs"].line.color == LIGHT.launch
    assert traces["between: the device waits"].line.color == LIGHT.bubble
    assert list(traces[f"{SAFE}, while its kernels run"].y) == [1000.0]
    assert traces[f"{SAFE}, the whole call"].marker.symbol == "circle-open"
    launch = traces["one launch, 4.00 µs"]
    assert [1e3 * x / y for x, y in zip(launch.x, launch.y, strict=True)] == pytest.approx([4.0, 4.0])


def test_a_verdict_stands_with_its_interval_and_its_word() -> None:
    drawn = plotly_chart(FOREST, LIGHT, "r")
    faster = next(trace for trace in drawn.data if trace.name == "FASTER")
    assert list(faster.x) == [2.0]
    assert faster.error_x.array[0] == pytest.approx(0.2)
    assert list(drawn.layout.yaxis2.ticktext) == ["FASTER  2.00x", "UNKNOWN"]
    assert "12 rounds" in faster.customdata[0]


def test_the_overview_needs_no_plotly() -> None:
    """Its first answer paints before Plotly is there: nothing that the page imports loads it."""
    code = (
        "import sys, rope_prof.views.blocks.overview, rope_prof.views.page.blocks, rope_prof.views.draw.waterfall, "
        "rope_prof.views.words.losses; sys.exit('plotly' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
