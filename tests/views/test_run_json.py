"""`show --json` holds every field of a row by its name: a column of `show` is a field and an entry of `COLUMNS`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from rope_prof.analysis.run.rows import Row, summary
from rope_prof.views.words.run_json import row_json
from tests.runs import facts, run, samples

#: Fields whose figures stand under other names.
OTHERS = {"accuracy", "throttled", "other_clock"}


class WiderRow(Row, kw_only=True):
    """A row with one more column."""

    waited_ns: float = 12.0


def row() -> Row:
    return summary(run(facts()), samples(unfused_eager=[300e3 + k for k in range(8)]), {})[0]


def test_a_new_field_is_in_the_document_by_itself() -> None:
    known = row()
    wider = WiderRow(**{field.name: getattr(known, field.name) for field in fields(known)})
    assert list(row_json(wider).items()) == [*row_json(known).items(), ("waited_ns", 12)]


def test_every_field_is_told_once() -> None:
    document = row_json(row())
    assert {field.name for field in fields(Row)} - set(document) == OTHERS
    assert document["wall_ns"].keys() == {"median", "lo", "hi", "n", "over"}


def test_a_column_is_named_in_two_files(repository: Path) -> None:
    """A column's field: where it is computed, and its entry of `COLUMNS`; notes below the table may speak of it too."""
    sources = [*repository.glob("rope_prof/views/**/*.py"), *repository.glob("rope_prof/analysis/run/rows.py")]
    code = {path: path.read_text(encoding="utf-8").split("from __future__", 1)[-1] for path in sources}
    named = {path.relative_to(repository).as_posix() for path, text in code.items() if "light_inflation" in text}
    assert named - {"rope_prof/views/words/notes.py"} == {
        "rope_prof/analysis/run/rows.py",
        "rope_prof/views/blocks/run.py",
    }
