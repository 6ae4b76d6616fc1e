"""docs/reading-a-fusion.md shows the tables of a recorded file; `python tests/test_nsight_page.py` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from rope_prof.model.nsight import AGREEMENT, Nsight
from rope_prof.views.blocks.counters import nsight_tables
from tests.on_terminal import on_terminal

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reading-a-fusion.md"
SOURCE = ROOT / "docs/results/nsight-h200.json"


def recorded() -> Nsight:
    return msgspec.json.decode(SOURCE.read_bytes(), type=Nsight)


def tables(found: Nsight) -> str:
    return "\n".join(line.rstrip() for line in on_terminal(nsight_tables(found), 140).strip().splitlines())


def wanted(page: str) -> str:
    """The page with the tables of the recorded file between its marks."""
    found = recorded()
    parts = {"AGREEMENT": Nsight(systems=found.systems), "COUNTERS": Nsight(compute=found.compute)}
    for name, part in parts.items():
        begin = rf"(<!-- {name}: begin[^>]*-->\n).*?(<!-- {name}: end -->)"
        text = f"```text\n{tables(part)}\n```\n"
        page, count = re.subn(begin, lambda m, text=text: m[1] + text + m[2], page, flags=re.DOTALL)
        assert count == 1, name
    return page


def test_the_page_shows_what_was_recorded() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == wanted(page), "run `python tests/test_nsight_page.py` and look at the change"


def test_every_picture_is_there() -> None:
    for name in re.findall(r"\]\((img/[^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / name).is_file(), name


def test_the_two_profilers_agreed() -> None:
    systems = recorded().systems
    assert systems is not None and len(systems.keys) >= 6
    for one in systems.keys:
        assert one.kernels_per_call == one.kineto_kernels_per_call, one.key
        assert one.difference is not None and abs(one.difference) <= AGREEMENT, one.key
        assert one.agrees


def test_what_the_page_says_of_the_counters() -> None:
    """Each sentence under the table, on the figures of the file."""
    from rope_prof.analysis.run.counters import CallCounters, call_counters

    compute = recorded().compute
    assert compute is not None
    rows: dict[str, CallCounters] = {row.key.split(".")[0]: row for row in call_counters(compute)}
    unfused, per_token, fused = rows["unfused"], rows["per-token"], rows["fused"]
    assert unfused.kernels == 25 and per_token.kernels == fused.kernels == 1
    assert per_token.dram_read_bytes == pytest.approx(fused.dram_read_bytes, rel=0.1)
    assert per_token.l2_excess is not None and fused.l2_excess is not None
    assert per_token.l2_excess > 5 * fused.l2_excess
    assert per_token.dram_percent is not None and per_token.dram_percent < 5
    assert per_token.l2_percent is not None and per_token.l2_percent > 50
    least = min(row.occupancy_percent or 0 for row in rows.values())
    assert fused.occupancy_percent == least and fused.duration_ns == min(row.duration_ns or 0 for row in rows.values())
    assert fused.stalls[0][0] == "long_scoreboard"
    assert all((row.dram_write_bytes or 0) < 0.01 * row.least_bytes for row in rows.values())


if __name__ == "__main__":
    PAGE.write_text(wanted(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
