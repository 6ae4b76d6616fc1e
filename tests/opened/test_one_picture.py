"""A call is one call, and a figure has one value, on every page that shows it: of the run that ships."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.comparison.compare import compare
from rope_prof.analysis.run.cases import main_case
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.analysis.trace.idle import idle
from rope_prof.analysis.trace.replays import calls_per_range, single_events
from rope_prof.cli import main
from rope_prof.opened.comparison import side_of
from rope_prof.opened.pictures import case_traces
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.serve.server import open_path
from rope_prof.units import duration, microseconds
from rope_prof.views.blocks.bubbles import Bubbles, account_table, parts_figure
from rope_prof.views.blocks.overview import OverviewSide, cards, overview
from rope_prof.views.blocks.overview_tables import calls_picture, sides_table
from rope_prof.views.draw.svg import Rect, Text
from rope_prof.views.perfetto.export import run_metadata, run_trace
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import report_markdown
from rope_prof.views.timeline.captions import call_panel
from rope_prof.views.timeline.layout import lay_out, median_call


@pytest.fixture(scope="module")
def run(repository: Path) -> OpenedRun:
    return open_run(repository / "traces/h100-ernie28b")


def names(run: OpenedRun, mode: str) -> list[str]:
    case = main_case(run.run)
    found = [f.key.name for f in run.run.keys if f.key.case == case and f.key.mode == mode and f.trace]
    assert len(found) >= 2
    return found


def test_the_bubble_of_the_default_case_is_one_figure_under_one_name_on_every_page(run: OpenedRun) -> None:
    case = main_case(run.run)
    assert case is not None
    rows = {row.key: row for row in run.rows}
    (card,) = (one for one in cards(overview(run.rows, case.name)) if one.title == "Bubble a call")
    said = run_metadata(run.run, run.rows)
    for name in names(run, "eager"):
        row, capture, account = rows[name], run.capture(run.run.facts(name)), run.account(run.run.facts(name))
        assert capture is not None
        assert account is not None
        bubble = duration(row.bubble_corrected_ns)
        number = median_call(capture.calls)
        call = capture.calls.row(by_predicate=pl.col("call") == number, named=True)
        drawn = call_panel(
            row.path, lay_out(call, single_events(capture.trace, call), device_gaps(capture.trace, call["device"])), row
        )
        assert f"bubble {bubble}" in drawn.facts.split("drawn as profiled")[0]
        side = Bubbles(side=OverviewSide(label=row.path, row=row), idle=idle(account.gaps, account.calls))
        told = {line[0].text: line[1].text for line in account_table([side]).rows}
        assert told["bubble, unprofiled"] == bubble
        assert f"bubble (corrected, unprofiled) {bubble}" in said[f"rope_prof.figures.{name}"]
        if row.path in ("unfused", "fused"):
            assert bubble in (card.before, card.after)


@pytest.mark.parametrize("mode", ["eager", "compile", "graph"])
def test_a_call_is_one_call_on_the_timeline_and_in_the_report(run: OpenedRun, mode: str) -> None:
    """A replay of 28 calls once stood beside one call: 2.98 ms beside 79.9 µs."""
    rows = {row.key: row for row in run.rows}
    for name in names(run, mode):
        facts = run.run.facts(name)
        capture, account = run.capture(facts), run.account(facts)
        assert capture is not None
        assert account is not None
        number = median_call(capture.calls)
        call = capture.calls.row(by_predicate=pl.col("call") == number, named=True)
        drawn = lay_out(call, single_events(capture.trace, call), device_gaps(capture.trace, call["device"]))
        assert drawn.kernels == rows[name].kernels_per_call
        assert account.timeline is not None
        assert account.which.startswith(f"call #{number} of {capture.calls.height}")
        assert (account.timeline.kernels, account.timeline.end_ns) == (drawn.kernels, drawn.end_ns)
        if mode == "graph":
            wall = rows[name].wall_ns
            assert wall is not None
            assert drawn.end_ns == pytest.approx(wall.median, rel=0.15)
            assert calls_per_range(capture.trace) == 28
            known = set(capture.calls["call"])
            assert set(account.gaps["call"]) <= known, "a gap leads to a call that the timeline has"


def test_perfetto_opens_with_the_two_sides_that_the_overview_compares(run: OpenedRun) -> None:
    case = main_case(run.run)
    assert case is not None
    facts = [f for f in run.run.keys if f.key.case == case and f.trace]
    traces = {f.key.name: held for f in facts if (held := run.trace(f)) is not None}
    pins = run_trace(run.run, run.rows, traces).zooms[case.name].pins
    words = ("host launches", "stream", "bubbles")
    assert pins == tuple(f"{path} eager · {word}" for path in ("unfused", "fused") for word in words)


def test_an_address_pins_two_other_sides(run: OpenedRun) -> None:
    case = main_case(run.run)
    assert case is not None
    (made,) = [draw() for name, draw in case_traces(run).items() if name.startswith(f"{case.name}.")]
    assert made.look is not None
    chosen = [f"{side}.cold.{case.name}.r0" for side in ("unfused.graph", "per-token.compile")]
    assert [pin.partition(" · ")[0] for pin in made.look.of(chosen).pins] == ["unfused graph"] * 3 + [
        "per-token compile"
    ] * 3
    assert made.look.of([*chosen, "nobody"]) == made.look == made.look.of([])
    assert open_path("a.pftrace", ["x&y"]) == "/open/a.pftrace?side=x%26y"


def test_no_range_that_a_person_sees_is_named_by_a_case(run: OpenedRun) -> None:
    """The timeline once named a call `unfused.eager.cold.28b-tp1-n973-bf16-image.r0#18`."""
    for name in (*names(run, "eager"), *names(run, "graph")):
        capture = run.capture(run.run.facts(name))
        assert capture is not None
        shown = capture.trace.ranges["name"].to_list()
        assert not [one for one in shown if run.run.facts(name).key.case.name in one]
        word = "replay" if calls_per_range(capture.trace) > 1 else "call"
        assert f"{word} #1" in shown


def test_compare_says_both_bubbles_also_where_there_is_no_ratio(run: OpenedRun) -> None:
    rows = {row.key: row for row in run.rows}
    base, cand = (side_of(path, run, path, "eager") for path in ("unfused", "fused"))
    found = [one for one in compare(base, cand, paired=True, metrics=("bubble",)) if one.metric == "bubble"]
    assert "UNKNOWN" in {one.word for one in found}
    for one in found:
        assert (one.before, one.after) == tuple(rows[key].bubble_corrected_ns for key in (one.base, one.cand))


def test_every_output_says_one_bubble_of_the_default_case(
    run: OpenedRun, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was 235, 498, 510 and 230 µs, one click apart: overview, bubbles, compare, reports, show, each as JSON too."""
    folder = str(repository / "traces/h100-ernie28b")
    case = main_case(run.run)
    assert case is not None
    keys = {path: f"{path}.eager.cold.{case.name}.r0" for path in ("unfused", "fused")}
    rows = {row.key: row for row in run.rows}
    bubbles = {path: rows[key].bubble_corrected_ns for path, key in keys.items()}
    words = {path: duration(ns) for path, ns in bubbles.items()}
    assert words == {"unfused": "235 µs", "fused": "442 ns"}

    view = overview(run.rows, case.name)
    table = {row[0].text: row for row in sides_table(view).rows}
    assert {path: table[f"{path} · eager"][sides_table(view).head.index("bubble")].text for path in keys} == words
    (picture,) = calls_picture(view)
    hovers = " ".join(shape.title for shape in picture.drawing.shapes if isinstance(shape, Rect))
    assert all(f"bubble {microseconds(ns)} µs" in hovers for ns in bubbles.values())

    assert main(["show", folder, "--json"]) == 0
    shown = {row["key"]: row["bubble_corrected_ns"] for row in json.loads(capsys.readouterr().out)["keys"]}
    assert {path: shown[key] for path, key in keys.items()} == bubbles
    assert main(["compare", f"{folder}:unfused/eager", f"{folder}:fused/eager", "--json"]) == 0
    found = [one for one in json.loads(capsys.readouterr().out)["verdicts"] if one["metric"] == "bubble"]
    (verdict,) = (one for one in found if one["base"] == keys["unfused"])
    assert {"unfused": verdict["before"], "fused": verdict["after"]} == bubbles

    report, _ = cleaned_report(run)
    page, text = report_html(report), report_markdown(report)
    named = re.findall(rf"[\w.]*{case.name}[\w.]*", re.sub(r"<[^>]*>", " ", page))
    assert [one for one in named if not one.endswith(".trace.json.gz")] == [], "a case is named in words"
    assert all(f"bubble {told}" in page for told in words.values()), "beside the drawn calls"
    assert re.search(f"Bubble a call.*{words['unfused']}.*{words['fused']}", page), "a card"
    assert re.search(f"Bubble a call: {words['unfused']} → {words['fused']}", text)
    sides = [Bubbles(side=side, idle=None) for side in view.sides if side.row.key in keys.values()]
    (figure,) = parts_figure(sides, "x")
    notes = " ".join(shape.text for shape in figure.drawing.shapes if isinstance(shape, Text))
    assert f"{words['unfused']}, 76 % of the call" in notes and f"{words['fused']}, 8 % of the call" in notes
