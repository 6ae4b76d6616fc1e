"""docs/ingest.md tells the benchmark's own figures; `python benchmarks/ingest.py --table` writes them."""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path

import pytest

from rope_prof.analysis.trace import integrity

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
import ingest_page

ROOT = Path(__file__).resolve().parents[1] / "rope_prof"
#: How the source writes a code.
CODE = (
    r'code="(\w+)"|_found\("(\w+)"|else "(gzip_\w+)"|kind = "(gzip_\w+)"'
    r'|^ +"(\w+)": \(\s*"\w+",\s*"\S+ |^ +\("(\w+)", \(?pl\.col\('
)


def test_the_page_has_the_figures_of_the_results() -> None:
    page = ingest_page.PAGE.read_text(encoding="utf-8")
    assert ingest_page.split(page)[1] == ingest_page.made(), "run `python benchmarks/ingest.py --table`"


def test_the_page_has_every_finding_and_what_it_does() -> None:
    """Codes are read from the source, what they do from the sets that decide it."""
    source = "".join(path.read_text() for folder in ("io", "analysis") for path in (ROOT / folder).rglob("*.py"))
    known = {code for found in re.findall(CODE, source, re.M) for code in found if code}
    rows = re.findall(r"^\| (`[a-z_]+`(?:, `[a-z_]+`)*) \|.*\| ([a-z ,]+) \|$", ingest_page.PAGE.read_text(), re.M)
    told = {code: does for names, does in rows for code in re.findall(r"`(\w+)`", names)}
    assert set(told) == known
    for code, does in told.items():
        assert does == (
            "makes unusable"
            if code in integrity.UNUSABLE
            else "informs"
            if code in integrity.INFORMS
            else "makes suspect, keeps shares"
            if code in integrity.KEEPS_SHARES
            else "withholds"
        )


def test_a_missed_target_and_a_failed_peer_are_told() -> None:
    said = json.loads(ingest_page.RESULTS.read_text())
    slow = copy.deepcopy(said)
    slow["tools"]["ours"]["cpu_s"]["median"] = slow["tools"]["hta"]["cpu_s"]["median"] / 11.9
    slow["tools"]["perfetto"] = {"failed": "no Node"}
    text = ingest_page.figures(slow)
    assert "hta takes 11.9 times the processor time (at least 12: **not met**)" in text
    assert "| no Node |" in text
    assert "perfetto takes" not in text
    quick = copy.deepcopy(said)
    quick["tools"]["ours"]["cpu_s"]["median"] = quick["tools"]["hta"]["cpu_s"]["median"] / 12
    assert "hta takes 12.0 times the processor time (at least 12: met)" in ingest_page.figures(quick)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lost the marks"):
        ingest_page.split("# no marks\n")
