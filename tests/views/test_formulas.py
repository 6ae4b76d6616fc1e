"""A name from a trace is text in a spreadsheet, whatever it begins with, and text in Markdown and SVG."""

from __future__ import annotations

import csv
import io
import re

import polars as pl
import pytest

from rope_prof.views.page.files import csv_of, markdown_of

HOSTILE = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1+1", "\r=1", " =1+1", "|x", "%x", "\ufeff=1")


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_a_formula(name: str) -> None:
    table = pl.DataFrame({"kernel": [name, "plain"], "ns": [-1, 2], name: [1, 2]})
    rows = list(csv.reader(io.StringIO(csv_of(table).decode())))
    assert rows[1][0] == f"'{name}"
    assert [row[1] for row in rows[1:]] == ["-1", "2"], "numbers stay numbers"
    assert rows[2][0] == "plain"
    if name.lstrip()[:1] in "=+-@":
        assert rows[0][2] == f"'{name}"


@pytest.mark.parametrize(
    "name", ["<script>x</script>", "![p](http://x/p.png)", "[a](javascript:x)", "a | b", "`x`", "<img src=x>"]
)
def test_no_name_is_markup(name: str) -> None:
    text = markdown_of("t", pl.DataFrame({"kernel": [name]})).decode()
    shown = re.sub(r"(?<!\\)`[^`]*`", "", text.partition("|---|")[2])  # a span of code is text
    assert not re.search(r"(?<!\\)[<\[`]", shown), "each mark has a backslash in front"
