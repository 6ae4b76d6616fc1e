"""The charts that a page can zoom into: data for a still picture (`drawing`) and for Plotly alike."""

from __future__ import annotations

from rope_prof.views.draw.charts import BarChart, HistogramChart
from rope_prof.views.draw.compare import ForestChart
from rope_prof.views.draw.lines import LineChart
from rope_prof.views.draw.roofline import RooflineChart

Chart = BarChart | ForestChart | HistogramChart | LineChart | RooflineChart
