"""Tables of the numbers: every word of the JSON is documented, doubt is marked, names are drawn letter for letter."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.run.numbers import Numbers, numbers
from rope_prof.analysis.run.sweep import sweep
from rope_prof.io.run.schema import MROPE
from rope_prof.views.blocks import numbers as number_tables
from rope_prof.views.blocks.model import Table
from rope_prof.views.blocks.run import run_tables
from rope_prof.views.blocks.sweep import sweep_tables
from rope_prof.views.words.notes import check_notes, notes
from rope_prof.views.words.numbers import number_notes
from rope_prof.views.words.run_json import numbers_json
from rope_prof.views.words.sweep import is_sweep, sweep_notes
from tests.built_runs import FUSED, UNFUSED, Built, built, on_two_ranks
from tests.on_terminal import on_terminal
from tests.runs import CASE


def found(made: Built | None = None) -> Numbers:
    made = made or built()
    return numbers(made.run, made.samples, made.captures)


def text(*tables: Table | None, width: int = 160) -> str:
    return on_terminal(tables, width)


def words(value: Any) -> set[str]:
    """Every field of a document, but for those of intervals, terms and names of modes."""
    if isinstance(value, list):
        return set().union(*map(words, value))
    return set(value) if isinstance(value, dict) else set()


def test_every_field_of_the_document_is_described_and_it_is_json(repository: Path) -> None:
    document = numbers_json(found())
    again = json.loads(json.dumps(document, allow_nan=False))
    parts = {"headlines", "modes", "ceilings", "floors", "decompositions", "ranks"}
    assert again.keys() == {"comparable", "intervals"} | parts
    assert again["ranks"] is None
    again["ranks"] = json.loads(json.dumps(numbers_json(found(on_two_ranks(built(), 2.0))), allow_nan=False))["ranks"]
    said = (repository / "docs/json.md").read_text(encoding="utf-8")
    common = {"case", "l2", "rank", "path", "mode", "key"}
    ceilings = {"copy_bytes_per_s", "in_place_ns", "empty_launch_ns", "graph_node_ns", "graph_gap_ns"}
    for name, part in again.items():
        assert part
        assert f"\n- `{name}`: " in said, name
        for field in words(part) - common - ceilings:
            assert f"`{field}`" in said, field
    assert again["decompositions"][0]["closes"] is True
    assert again["decompositions"][0]["cand"] == built().key("fused", "eager").name


def test_the_decomposition_is_shown_with_its_residual() -> None:
    shown = text(number_tables.decomposition_table(found()))
    assert "host bubbles" in shown
    assert "297" in shown
    assert shown.count(" yes") == 2
    assert number_tables.difference_table(found()) is None


def test_a_decomposition_that_does_not_close_says_so_with_its_reason() -> None:
    hidden = built({"unfused": replace(UNFUSED, extra_ns=90_000), "fused": FUSED})
    assert "NO" in text(number_tables.decomposition_table(found(hidden)))
    assert any(
        "does not close: of unfused eager's 190 µs on the device" in line for line in number_notes(found(hidden))
    )


def test_what_keeps_many_pairs_from_closing_is_said_once() -> None:
    hidden = built({"unfused": replace(UNFUSED, extra_ns=90_000), "fused": FUSED, "other": FUSED})
    (eager,) = (line for line in number_notes(found(hidden)) if "unfused eager's 190 µs" in line)
    assert eager.startswith("fused eager, other eager, ")


def test_without_graphs_terms_are_marked_by_difference() -> None:
    plain = found(built(graphs=False, ceilings=False))
    assert number_tables.decomposition_table(plain) is None
    assert "bubbles, by difference" in text(number_tables.difference_table(plain))
    assert number_tables.floors_table(plain) is None
    assert number_tables.modes_table(plain) is None
    assert any(line.startswith("by difference:") for line in number_notes(plain))


@pytest.mark.parametrize("width", [140])
def test_no_column_is_cut_at_the_width_of_a_file(width: int) -> None:
    paths = {"unfused": UNFUSED, "per-token": FUSED, "fused": FUSED}
    shown = text(*number_tables.number_tables(found(built(paths, case=CASE.but(tokens=65536)))), width=width)
    assert "…" not in shown
    assert "per-token" in shown


def test_names_are_drawn_letter_for_letter() -> None:
    made = found(built({"unfused": UNFUSED, "[red]m:f": FUSED}))
    shown = text(*run_tables(made.rows), *number_tables.number_tables(made), *sweep_tables(sweep(made.rows), MROPE))
    assert shown.count("[red]m:f") >= 5


def test_doubtful_gains_are_marked() -> None:
    from rope_prof.analysis.stats import Figure

    assert number_tables.gain(Figure(2.0, 1.5, 2.5, 9)) == "2.00x"
    assert number_tables.gain(Figure(0.5, 0.4, 0.6, 9)) == "▼0.500x"
    assert number_tables.gain(Figure(1.0, 0.9, 1.1, 9)) == "≈1.00x"
    assert number_tables.gain(Figure(2.0, None, None, 3)) == "?2.00x"
    assert number_tables.gain(None) == "–"


def test_a_path_that_launches_nothing_is_told_so() -> None:
    made = built()
    said = (
        "fused eager: its capture holds no kernel: it launches nothing, and its time is an empty call's, or works "
        "in a thread of its own, which no capture sees"
    )
    name = made.key("fused", "eager").name
    idle = made.captures | {name: replace(made.captures[name], kernels_per_call=0.0, busy_ns=0.0)}
    assert said in notes(made.run, numbers(made.run, made.samples, idle).rows)
    assert said not in notes(made.run, found().rows)


def test_a_corrected_bubble_that_its_check_denies_is_marked_and_named() -> None:
    made = built()
    name = made.key("unfused", "eager").name
    slow = made.captures | {name: replace(made.captures[name], busy_ns=2.0 * UNFUSED.busy_ns)}
    rows = numbers(made.run, made.samples, slow).rows
    assert "≠" in text(*run_tables(rows))
    said = check_notes(rows)
    assert said[0].endswith("3 of 4 agree within 5% of the call's wall; ≠ those that do not:")
    assert said[1].startswith("≠ unfused eager: corrected 260, by replay 330 of")
    agreed = check_notes(found().rows)
    assert len(agreed) == 1
    assert "4 of 4 agree" in agreed[0]


def test_raw_bubbles_under_a_profiler_that_dominates_are_grey() -> None:
    made = built()
    name = made.key("unfused", "eager").name
    slow = made.captures | {name: replace(made.captures[name], period_ns=900_000.0, bubble_raw_ns=830_000.0)}
    (table,) = run_tables(numbers(made.run, made.samples, slow).rows)
    tones = {row[table.head.index("bubble raw")].text: row[table.head.index("bubble raw")].tone for row in table.rows}
    assert tones["830?"] == "muted"
    assert tones["3.00"] == ""


def test_a_sweep_is_a_table_per_family_with_its_turning_points() -> None:
    rows = [row for n in (1, 64, 4096) for row in found(built(case=CASE.but(tokens=n))).rows]
    frame = sweep(rows)
    assert not is_sweep(frame, MROPE)
    shown = text(*sweep_tables(frame, MROPE))
    assert "28b · TP 1 · bf16 · image prompt · cold L2" in shown
    assert "4,096" in shown
    assert "78%" in shown
    said = sweep_notes(frame, MROPE)
    assert "fused eager: fusing matters at every count up to 4,096 tokens" in said


def test_many_cases_are_a_sweep() -> None:
    rows = [row for n in range(1, 10) for row in found(built(rounds=1, graphs=False, case=CASE.but(tokens=n))).rows]
    frame = sweep(rows)
    assert is_sweep(frame, MROPE)
    assert any("not decided at 1 (too few rounds)" in line for line in sweep_notes(frame, MROPE))


def test_rows_of_several_ranks_say_which() -> None:
    shown = text(*number_tables.number_tables(found(on_two_ranks(built(), 2.0))))
    for row in ("fused, rank 0", "fused, rank 1", "fused eager, rank 1", "fused graph, rank 0"):
        assert row in shown
    assert ", rank" not in text(*number_tables.number_tables(found()))


def test_the_line_of_ceilings_names_its_case_and_its_rank() -> None:
    def line(made: Numbers) -> str:
        return next(line for line in number_notes(made) if line.startswith("ceilings"))

    alone = line(found())
    assert alone.startswith("ceilings at 64 tokens: copy 3,000 GB/s")
    assert "show --json" not in alone
    ranks = line(found(on_two_ranks(built(), 2.0)))
    assert ranks.startswith("ceilings at 64 tokens, rank 0: copy")
    assert ranks.endswith("; those of the other 1: show --json")


def test_a_sweep_says_how_certain_its_figures_are() -> None:
    wide = found(built(rounds=30, noise=0.2, case=CASE.but(tokens=64, tp=2))).rows
    calm = found(built(rounds=12, case=CASE.but(tokens=1))).rows
    frame = sweep([*calm, *wide])
    (said,) = [line for line in sweep_notes(frame, MROPE) if line.startswith("each cell")]
    assert said.startswith("each cell rests on 12 to 30 rounds; 95 % intervals, as parts of the medians: times ")
    widest = max(wide, key=lambda row: (row.wall_ns.hi - row.wall_ns.lo) / row.wall_ns.median)  # type: ignore[union-attr, operator]
    assert f"({widest.path} {widest.mode} TP 2 n64); speedups" in said
    few = sweep(found(built(rounds=5)).rows)
    assert "each cell rests on 5 rounds; too few for any interval" in sweep_notes(few, MROPE)
    both = sweep([*found(built(rounds=5)).rows, *wide])
    assert ", 4 without one (under 6 rounds, or two processes); speedups" in " ".join(sweep_notes(both, MROPE))
