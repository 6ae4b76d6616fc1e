"""Files of a page: what goes in comes out, letter for letter."""

from __future__ import annotations

import csv
import io
import re

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import Drawing, Text
from rope_prof.views.page.files import csv_of, markdown_of, svg_of
from tests.dashboard.drawn_run import HOSTILE

LETTERS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1)


def formula(name: str) -> bool:
    """Whether some spreadsheet takes the name for a formula: what is not seen at its beginning does not count."""
    seen = next((k for k, c in enumerate(name) if not (c.isspace() or c < " " or c == "\ufeff")), len(name))
    return name[seen : seen + 1] in {"=", "+", "-", "@", "|", "%"} or "\t" in name[:seen]


@given(
    st.lists(st.tuples(st.one_of(LETTERS, st.text("=+-@|%a'\t \ufeff\x1c", min_size=1)), st.integers(0, 9)), min_size=1)
)
@example([("=1+1", 0), (" -a", 1), ("\ufeff@a", 2), ("\x1c|a", 3), ("\ta", 4), ("'=a", 5), ("a=", 6), ("%", 7)])
def test_a_csv_reads_back_as_it_was(rows: list[tuple[str, int]]) -> None:
    """But for the apostrophe in front of what a spreadsheet would compute, there and nowhere else."""
    table = pl.DataFrame(rows, schema={"kernel": pl.String, "calls": pl.Int64}, orient="row")
    found = list(csv.reader(io.StringIO(csv_of(table).decode("utf-8"))))
    assert found[0] == ["kernel", "calls"]
    shown = [(f"'{name}" if formula(name) else name, count) for name, count in rows]
    assert [(name, int(count)) for name, count in found[1:]] == shown


def test_a_head_that_is_a_formula_is_shown_as_text() -> None:
    assert csv_of(pl.DataFrame({"\ufeff=a": [1], "b": [2]})).decode() == "'\ufeff=a,b\n1,2\n"


def test_a_nested_column_is_left_out_of_a_csv() -> None:
    assert csv_of(pl.DataFrame({"a": [1], "b": [[1, 2]]})) == b"a\n1\n"


def test_markdown_has_one_line_a_row_whatever_the_names_hold() -> None:
    names = [*HOSTILE, "a|b", "two\nlines", ""]
    text = markdown_of("run <b>x</b>", pl.DataFrame({"kernel": names, "ns": range(len(names))}), ["say *this*"])
    lines = text.decode("utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == len(names) + 1
    for line in rows:
        assert line.count("|") - line.count("\\|") == 3
    outside = "".join(part for k, part in enumerate(text.decode("utf-8").split("`")) if k % 2 == 0)
    assert not re.search(r"(?<!\\)[<*]", outside), "markup outside of code is escaped"


def test_a_drawing_as_a_file_names_the_svg_namespace_and_asks_nobody() -> None:
    found = svg_of(Drawing(width=10, height=10, title="t", shapes=(Text(x=1, y=1, text=HOSTILE[2]),)), LIGHT)
    assert found.startswith(b'<svg xmlns="http://www.w3.org/2000/svg"')
    assert b"<img" not in found
