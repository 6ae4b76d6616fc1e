"""The charts of a page: data for a still picture (`drawing`), and of those to zoom into for Plotly alike."""

from __future__ import annotations

from rope_prof.views.draw.charts import BarChart, HistogramChart
from rope_prof.views.draw.compare import ForestChart
from rope_prof.views.draw.lines import LineChart
from rope_prof.views.draw.roofline import RooflineChart

#: Those that Plotly draws; bars are drawn still.
Zoomed = ForestChart | HistogramChart | LineChart | RooflineChart
Chart = BarChart | Zoomed
