"""Findings, copies, communication and what no range owns, as a terminal and a page show them."""

from __future__ import annotations

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.views.blocks.findings import finding_words, findings_table
from rope_prof.views.blocks.model import Table
from rope_prof.views.blocks.trace import account
from tests.builders import kernel, range_, trace

US = 1000


def answer() -> Analysis:
    """A range, a kernel outside it, one kernel before its launch, a copy, an all-reduce half hidden by a kernel."""
    return analyze(
        trace(
            range_("step", 0, 200 * US),
            kernel(10 * US, 60 * US, launched=(1 * US, 2 * US), name="gemm"),
            kernel(20 * US, 100 * US, launched=(3 * US, 4 * US), name="ncclDevKernel_AllReduce", stream=9),
            kernel(
                110 * US,
                160 * US,
                launched=(5 * US, 6 * US),
                kind="memcpy",
                bytes=50_000_000,
                name="Memcpy HtoD (Pageable -> Device)",
            ),
            kernel(500 * US, 520 * US, launched=(530 * US, 531 * US), name="early"),
        )
    )


def tables() -> dict[str, Table]:
    return {table.title: table for table in account(answer())}


def texts(table: Table) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table.rows]


def test_a_finding_names_its_events_the_place_on_the_timeline_and_what_to_do() -> None:
    lines = [words.text for words in finding_words(answer(), "a b.json")]
    assert lines[0].startswith("  kernel before launch: GPU events start before their launch call does")
    assert lines[1] == (
        "    do: record again; if it stays, update the driver or the profiler: their clocks do not agree"
    )
    assert lines[2] == "    see: 'early' at 500 µs; any_trace?trace=a%20b.json&trace_zoom=460~560"
    assert "times are from the trace's first event" in lines[-1]


def test_the_page_links_each_event_where_the_trace_has_an_address() -> None:
    (linked,), (bare,) = findings_table(answer(), "x.json"), findings_table(answer(), None)
    assert texts(linked) == texts(bare) == [["kernel before launch", "early", "500 µs"]]
    assert [row[2].link for row in linked.rows] == ["any_trace?trace=x.json&trace_zoom=460~560"]
    assert [row[2].link for row in bare.rows] == [""]
    assert "kernel before launch: record again" in linked.note


def test_copies_have_their_way_bytes_and_rate() -> None:
    copies = tables()["Copies"]
    assert texts(copies) == [["0", "HtoD pageable", "1", "50.0 µs", "47.7 MiB", "1,000"]]
    assert "does nothing but copy for 50.0 µs, 9.80 % of its span" in copies.note


def test_communication_is_exposed_or_hidden() -> None:
    assert texts(tables()["Communication"]) == [["0", "1", "80.0 µs", "40.0 µs", "40.0 µs", "8 %"]]


def test_what_no_range_owns_stands_under_the_ranges() -> None:
    assert tables()["Ranges"].note == "1 kernel, 20.0 µs, in no range"
