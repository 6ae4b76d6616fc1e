"""Where a path loses: what it is held against, the same for overview and report, and how it is told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.run.rows import summary
from rope_prof.io.run.schema import MROPE
from rope_prof.views.blocks.overview import overview
from rope_prof.views.words.losses import Loss, bases, by_rule, losses, main, sentences, verdicts
from tests.runs import facts, run, samples

SIDES = [(path, mode) for path in ("unfused", "fused") for mode in ("eager", "compile", "graph")]
#: Fused is far ahead when eager, loses to the chain under the compiler, and to its graph.
TIMES = {
    "unfused_eager": 100.0,
    "unfused_compile": 40.0,
    "unfused_graph": 20.0,
    "fused_eager": 30.0,
    "fused_compile": 50.0,
    "fused_graph": 25.0,
}


def test_a_path_is_held_against_the_chain_in_its_mode_eager_and_compiled() -> None:
    assert bases(("fused", "graph"), SIDES, "unfused") == (
        ("unfused", "graph"),
        ("unfused", "eager"),
        ("unfused", "compile"),
    )
    assert bases(("fused", "eager"), SIDES, "unfused") == (("unfused", "eager"), ("unfused", "compile"))
    assert bases(("unfused", "graph"), SIDES, "unfused") == (("unfused", "eager"),)
    assert bases(("unfused", "eager"), SIDES, "unfused") == ()
    assert bases(("fused", "graph"), [("unfused", "eager"), ("fused", "graph")], "unfused") == (("unfused", "eager"),)


def test_the_overview_names_losses_to_the_compiled_chain_and_to_the_same_mode() -> None:
    found = run(*(facts(*name.split("_")) for name in TIMES))
    rounds = samples(**{name: [ns * 1e3 + k for k in range(8)] for name, ns in TIMES.items()})
    pairs = verdicts(found, rounds)
    rows = summary(found, rounds, {})
    case = rows[0].case.name
    assert overview(rows, case).losses == (), "all are faster than the baseline"
    assert set(overview(rows, case, pairs=pairs).losses) == {
        "than unfused · compile: fused · compile at 64 tokens",
        "than unfused · graph: fused · graph at 64 tokens",
    }
    first = main(pairs)
    assert len({(p.key.name, p.verdict.metric) for p in first}) == len(first)
    assert {(p.key.mode, p.base.mode) for p in first if p.key.path == "fused"} == {
        ("eager", "eager"),
        ("compile", "compile"),
        ("graph", "graph"),
    }


def test_verdicts_from_elsewhere_are_sifted_by_the_same_rule() -> None:
    found = run(*(facts(*name.split("_")) for name in TIMES))
    rounds = samples(**{name: [ns * 1e3 + k for k in range(8)] for name, ns in TIMES.items()})
    pairs = verdicts(found, rounds)
    foreign = replace(pairs[0].verdict, base=found.keys[3].key.name)  # against fused: nobody asked
    assert by_rule(found, [*(pair.verdict for pair in pairs), foreign]) == pairs
    other_rank = run(*(replace(f, key=replace(f.key, rank=1)) for f in found.keys))
    assert by_rule(other_rank, [pair.verdict for pair in pairs]) == ()


def test_what_is_not_slower_for_sure_is_no_loss() -> None:
    found = run(facts(), facts("fused"))
    noisy = samples(
        unfused_eager=[100.0, 90, 110, 95, 105, 100, 98, 103], fused_eager=[101.0, 100, 99, 104, 96, 103, 95, 107]
    )
    pairs = verdicts(found, noisy)
    assert pairs[0].verdict.word != "SLOWER"
    assert list(losses(pairs, [f.key for f in found.keys])) == []


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ([1], "1 token"),
        ([64], "64 tokens"),
        ([1, 8192], "1 and 8,192 tokens"),
        ([1, 64, 973], "1 to 973 tokens"),
        ([1, 64, 8192], "1, 64 and 8,192 tokens"),
    ],
)
def test_token_counts_in_a_row_are_told_by_their_ends(lost: list[int], words: str) -> None:
    found = sentences((Loss("unfused · eager", "fused · eager", n) for n in lost), [1, 64, 973, 8192], MROPE)
    assert found == (f"than unfused · eager: fused · eager at {words}",)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from([1, 2, 4, 8])), max_size=20))
def test_each_baseline_has_one_sentence_and_each_side_stands_once_in_it(lost: list[tuple[str, str, int]]) -> None:
    found = sentences((Loss(*one) for one in lost), [8, 4, 2, 1, 1], MROPE)
    assert [text[:7] for text in found] == [f"than {base}:" for base in dict.fromkeys(base for base, _, _ in lost)]
    for base, text in zip(dict.fromkeys(base for base, _, _ in lost), found, strict=True):
        for side in "xyz":
            assert text.count(f"{side} at ") == any((b, s) == (base, side) for b, s, _ in lost)
