"""What a comparison of traces says first, and that its tables and JSON hold what the analysis found."""

from __future__ import annotations

import json

import pytest

from rope_prof.analysis.diff.diff import TraceDiff, trace_diff
from rope_prof.analysis.diff.side import trace_side
from rope_prof.views.blocks.model import Picture, Table, Words
from rope_prof.views.blocks.trace_diff import diff_blocks, diff_json, diff_sentence
from tests.builders import kernel, range_, trace


def diff(before: list[tuple[str, int, int]], after: list[tuple[str, int, int]], calls: int = 8) -> TraceDiff:
    """A range `step` with those kernels (name, start, length), a range `rope` inside it, on both sides."""
    sides = []
    for call in (before, after):
        drawn = []
        for zero in range(0, 100_000 * calls, 100_000):
            drawn += [range_("step", zero, zero + 90_000), range_("rope", zero + 1, zero + 89_000)]
            drawn += [
                kernel(zero + s, zero + s + n, name=name, launched=(zero + s - 50, zero + s - 30))
                for name, s, n in call
            ]
        sides.append(trace_side(trace(drawn), "step"))
    return trace_diff(*sides)


CHAIN = [("a", 1000, 1000), ("b", 12_000, 1000), ("c", 22_000, 1000)]
FUSED = [("abc", 1000, 1200)]


def test_the_sentence_says_times_parts_and_places() -> None:
    said = diff_sentence(diff(CHAIN, FUSED))
    assert said.startswith("1.20 µs a call of step instead of 22.0 µs (18.3x): ")
    assert "less idle waiting for the host's launch in rope" in said
    assert "1.80 µs less kernel time, 3 kernels a call became 1 in rope" in said


def test_nothing_changed_is_said() -> None:
    assert "no part changed by more than half a percent" in diff_sentence(diff(CHAIN, CHAIN))


@pytest.mark.parametrize("calls", [1, 8])
def test_the_waterfall_starts_before_ends_after_and_the_doubts_are_unfolded(calls: int) -> None:
    blocks = diff_blocks(diff(CHAIN, FUSED, calls))
    assert isinstance(blocks[0], Words)
    fall = next(block for block in blocks if isinstance(block, Table) and block.title == "Where the difference is")
    assert (fall.rows[0][0].text, fall.rows[0][3].text) == ("a call before", "22.0 µs")
    assert (fall.rows[-1][0].text, fall.rows[-1][3].text) == ("a call after", "1.20 µs")
    said = " ".join(str(block) for block in blocks if not isinstance(block, Picture))
    assert ("1 call of the base" in said) == (calls == 1)
    assert "host_late" not in said


def test_the_json_adds_up() -> None:
    found = json.loads(json.dumps(diff_json(diff(CHAIN, FUSED))))
    assert (found["schema_version"], found["verdict"]) == (1, "FASTER")
    total = found["base"]["span_ns"] / found["base"]["calls"] + sum(term["delta_ns"] for term in found["terms"])
    assert total == pytest.approx(found["candidate"]["span_ns"] / found["candidate"]["calls"])
    assert found["kernels"][0]["change"] == "fused"
