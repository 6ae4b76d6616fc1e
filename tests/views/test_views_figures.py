"""Figures and panels: names letter for letter, a unit on every axis, the run's name, colours from the palette alone."""

from __future__ import annotations

import html
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.trace.kernels import kernel_shares
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.model import Card, Headline, Words
from rope_prof.views.blocks.overview import Overview, headline, overview
from rope_prof.views.blocks.overview import cards as card_facts
from rope_prof.views.blocks.overview_tables import calls_picture, payoff_table, sides_table
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.page.blocks import blocks, cards, hero, kicker
from rope_prof.views.words.names import folded, plotly_text, short_name
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run

CASE = "28b-tp1-n973-bf16-image"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("views") / "run", names=HOSTILE)


def test_the_page_escapes_what_a_run_says() -> None:
    evil = "<img src=x onerror=alert(1)>"
    said = Headline(factor="2x", words=evil, detail=evil)
    page = kicker(evil) + hero(said, Words(text=evil)) + cards([Card(title=evil, before=evil, after=evil, note=evil)])
    assert evil not in page
    assert page.count(html.escape(evil)) == 8


def seen(hostile: Path) -> Overview:
    return overview(open_run(hostile).rows, CASE)


def test_the_overview_holds_fused_against_unfused_and_marks_where_it_does_not_pay(hostile: Path) -> None:
    found = seen(hostile)
    assert found.baseline is not None
    assert found.candidate is not None
    assert (found.baseline.label, found.candidate.label) == ("unfused · eager", "fused · eager")
    assert found.swept == (1, 973)
    words = {name: [cell.word for cell in cells] for name, cells in found.cells}
    assert words["fused · eager"] == ["FASTER", "FASTER"]
    share = found.baseline.bubble_share
    assert share is not None
    assert 0 < share < 1
    answer = headline(found)
    assert answer is not None
    below = [*calls_picture(found), sides_table(found), *payoff_table(found)]
    text = hero(answer) + cards(card_facts(found)) + blocks(below, LIGHT)
    assert "973 tokens, shown" in text
    assert "25" in text
    assert text.count("<div") == text.count("</div>")


def test_a_raw_bubble_above_the_stated_inflation_is_greyed(hostile: Path) -> None:
    found = seen(hostile)
    stretched = [s for s in found.sides if not s.row.raw_trusted]
    assert stretched, "the drawn run must hold a stretched path"
    assert blocks([sides_table(found)], LIGHT).count('class="doubt') == len(stretched)
    assert any("stretches" in text for text in found.doubts)


def test_ranges_that_are_no_signature_keep_what_tells_them_apart() -> None:
    names = [f"FSDP::pre_forward (encoder.block.{k}.layer.1), op_id = *" for k in (0, 1, 4, 15)]
    found = [short_name(name) for name in names]
    assert len(set(found)) == len(names)
    assert all(name.startswith("FSDP::pre_forward (") and len(name) <= 44 for name in found)


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


@settings(max_examples=40)
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
