"""Things to fix, as a terminal and a page say them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rope_prof.analysis.fixes.fix import Fix, Fixes, FixPlace
from rope_prof.analysis.trace.analyze import analyze
from rope_prof.views.blocks.fixes import fix_answer, fix_blocks, fix_words
from rope_prof.views.blocks.model import Bullets, Table, Words
from rope_prof.views.words.fixes import fix_do, fix_title
from tests.builders import kernel, trace

MS = 1_000_000
PLACE = FixPlace(
    start_ns=12 * MS, dur_ns=2 * MS, event="gemm", range="layer#*", operator="aten::linear", line="train.py(34): step"
)
FIX = Fix(
    kind="launches",
    devices=("0",),
    subject="launches",
    count=360,
    lo_ns=5 * MS,
    hi_ns=6 * MS,
    span_ns=10 * MS,
    place=PLACE,
    within="layer#*",
    times=36,
    each=10,
)
ANALYSIS = analyze(trace(kernel(2 * MS, 12 * MS)))


def test_a_fix_is_a_sentence_with_its_bound_its_place_and_what_to_do() -> None:
    lines = [words.text for words in fix_words(Fixes(fixes=(FIX,)), ANALYSIS.zero_ns, "a b.json")]
    assert lines[:4] == [
        "One thing to fix",
        "  1. 5.00–6.00 ms, 60 % of device 0: 360 launches come too late, 10 in each of 36 calls of layer#*",
        "     do: capture it in a CUDA graph (torch.compile mode='reduce-overhead'), or fuse its small kernels",
        "     see: gemm at 10.0 ms, train.py(34): step, operator aten::linear, range layer#*; "
        "any_trace?trace=a%20b.json&trace_zoom=6000~16000",
    ]


def test_three_are_shown_and_the_rest_counted() -> None:
    fixes = Fixes(fixes=tuple(replace(FIX, hi_ns=k * MS) for k in (9, 8, 7, 6, 5)))
    table, seen, more = fix_blocks(fixes, ANALYSIS.zero_ns, "x.json")
    assert isinstance(table, Table)
    assert isinstance(more, Table)
    assert (len(table.rows), more.title, len(more.rows), more.folded) == (3, "2 more", 2, True)
    assert isinstance(seen, Bullets)
    place = "gemm at 10.0 ms, train.py(34): step, operator aten::linear, range layer#*"
    assert place in seen.items[0], "all that the file tells of it"
    assert table.rows[0][2].small == "train.py(34): step"
    assert fix_answer(fixes) == "360 launches come too late, 10 in each of 36 calls of layer#*: 5.00–9.00 ms."
    assert [row[2].link for row in table.rows] == ["any_trace?trace=x.json&trace_zoom=6000~16000"] * 3
    bare, *_ = fix_blocks(fixes, ANALYSIS.zero_ns, None)
    assert isinstance(bare, Table)
    assert [row[2].link for row in bare.rows] == [""] * 3


def test_none_is_an_answer_and_so_is_a_file_that_cannot_be_trusted() -> None:
    (words,) = fix_blocks(Fixes(), ANALYSIS.zero_ns, None)
    assert words == Words(text="Nothing to fix: no loss takes 1 % of a device's time or more.")
    (words,) = fix_words(Fixes(reason="clock_shift: so"), ANALYSIS.zero_ns, "x")
    assert words.text == "What to fix is not said: clock_shift: so"


@pytest.mark.parametrize(
    ("subject", "title", "do"),
    [
        (
            "HtoD pageable",
            "360 copies HtoD from pageable memory with no kernel beside",
            "pin the host's memory",
        ),
        (
            "DtoH pinned",
            "360 copies DtoH to pinned memory with no kernel beside",
            "keep the result on the GPU",
        ),
        ("DtoD", "360 copies DtoD with no kernel beside", "leave the copy out"),
        ("?", "360 copies ? with no kernel beside", "copy ahead of need"),
    ],
)
def test_a_copy_is_mended_by_its_way(subject: str, title: str, do: str) -> None:
    fix = replace(FIX, kind="copies", subject=subject)
    assert fix_title(fix) == title
    assert fix_do(fix).startswith(do)


def test_what_saves_nothing_for_sure_says_up_to() -> None:
    (_, line, *_) = fix_words(Fixes(fixes=(replace(FIX, lo_ns=-3),)), ANALYSIS.zero_ns, "x")
    assert line.text.startswith("  1. up to 6.00 ms, 60 % of device 0")
