"""Figures and panels: names letter for letter, a unit on every axis, the run's name, colours from the palette alone."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.calls import call_events, call_frame
from rope_prof.analysis.kernels import kernel_shares
from rope_prof.commands.show import rows_of
from rope_prof.io.run_folder import read_run
from rope_prof.io.traces import read_trace
from rope_prof.views import panels
from rope_prof.views.captions import panel
from rope_prof.views.figures import timeline_figure
from rope_prof.views.names import folded, plotly_text, short_name
from rope_prof.views.overview import Overview, overview
from rope_prof.views.palette import DARK, LIGHT, Palette
from rope_prof.views.timeline import lay_out
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run

CASE = "28b-tp1-n973-bf16-image"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("views") / "run", names=HOSTILE)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_figures_name_their_run_and_have_units_and_only_our_colours(hostile: Path, palette: Palette) -> None:
    folder = read_run(hostile)
    row = next(r for r in rows_of(folder) if r.case.name == CASE)
    path = folder.trace_path(row.key)
    assert path is not None
    trace = read_trace(path)
    calls = call_frame(trace, re.escape(row.key) + r"#\d+")
    call = calls.row(0, named=True)
    drawn = panel("unfused · eager", lay_out(call, call_events(trace, call)), row)
    figure = timeline_figure([drawn], palette, "my run")
    text = figure.to_json()
    assert "my run" in text
    assert "µs" in figure.layout.xaxis.title.text
    found = set(re.findall(r"#[0-9a-f]{6}\b", text.split('"template"')[0]))
    ours = {v for name in palette.__slots__ for v in [getattr(palette, name)] if isinstance(v, str)}
    assert found <= ours
    for raw in ("<img", "<a ", "</style", "<script"):
        assert raw not in text
    shown = html.unescape(html.unescape(json.dumps(json.loads(text), ensure_ascii=False).replace("<br>", "")))
    assert "onerror=alert(1)>" in shown


def test_the_panels_escape_what_a_run_says(hostile: Path) -> None:
    folder = read_run(hostile)
    found = overview(rows_of(folder), CASE)
    evil = "<img src=x onerror=alert(1)>"
    machine = type(folder.run.machine)(
        **{
            **{name: getattr(folder.run.machine, name) for name in folder.run.machine.__slots__},
            "device_name": evil,
        }
    )
    assert evil not in panels.case_line(found, machine)
    assert html.escape(evil) in panels.case_line(found, machine)


def seen(hostile: Path) -> Overview:
    return overview(rows_of(read_run(hostile)), CASE)


def test_the_overview_holds_fused_against_unfused_and_marks_where_it_does_not_pay(hostile: Path) -> None:
    found = seen(hostile)
    assert found.baseline is not None
    assert found.candidate is not None
    assert (found.baseline.label, found.candidate.label) == ("unfused · eager", "fused · eager")
    assert found.tokens == (1, 973)
    words = {name: [cell.word for cell in cells] for name, cells in found.cells}
    assert words["fused · eager"] == ["faster", "faster"]
    share = found.baseline.bubble_share
    assert share is not None
    assert 0 < share < 1
    text = panels.headline(found) + panels.cards(found) + panels.bars(found) + panels.payoff(found)
    assert "25" in text
    assert text.count("<div") == text.count("</div>")


def test_a_raw_bubble_above_the_stated_inflation_is_greyed(hostile: Path) -> None:
    found = seen(hostile)
    stretched = [s for s in found.sides if not s.raw_trusted]
    assert stretched, "the drawn run must hold a stretched path"
    assert panels.bars(found).count("rp-unsure") == len(stretched)
    assert any("stretches" in text for text in found.doubts)


def test_short_names_tell_kernels_apart() -> None:
    name = (
        "void at::native::elementwise_kernel<128, 4, at::native::gpu_kernel_impl_nocast<at::native::BinaryFunctor<"
        "float, float, float, at::native::binary_internal::MulFunctor<float>>>>(int)"
    )
    assert short_name(name) == "elementwise_kernel · MulFunctor"
    assert short_name("void at::native::(anonymous namespace)::CatArrayBatchedCopy<int>(long)") == "CatArrayBatchedCopy"
    nsys = "void at::native::<unnamed>::CatArrayBatchedCopy<at::native::<unnamed>::OpaqueType<(unsigned int)4>>(char *)"
    assert short_name(nsys) == "CatArrayBatchedCopy"
    assert short_name("![a](http://b.example) not C++") == "![a](http://b.example) not C++"
    assert short_name("_mrope_kernel") == "_mrope_kernel"


@given(st.text(max_size=200))
def test_names_come_back_letter_for_letter(name: str) -> None:
    assert html.unescape(plotly_text(name)) == name
    assert "".join(html.unescape(line) for line in folded(name).split("<br>")) == name
    assert len(short_name(name, 30)) <= max(30, len(name) if len(name) <= 30 else 30)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 1000)), min_size=1, max_size=20), st.integers(1, 4))
def test_kernel_shares_add_up(found: list[tuple[str, int]], calls: int) -> None:
    events = pl.DataFrame(
        {
            "name": [name for name, _ in found],
            "dur_ns": [ns for _, ns in found],
            "kind": "kernel",
            "grid": "1x1x1",
            "block": "1x1x1",
            "registers": 8,
            "shared_bytes": 0,
        }
    )
    table = kernel_shares(events, calls)
    assert table["share"].sum() == pytest.approx(1)
    assert table["ns_per_call"].sum() * calls == pytest.approx(sum(ns for _, ns in found))
    assert table["per_call"].sum() * calls == pytest.approx(len(found))
