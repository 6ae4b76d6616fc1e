"""The count of lines by use: each line counts once, and what it names is there."""

from __future__ import annotations

from pathlib import Path

from tests.lines import OLD, USES, by_room, by_use, defined, patterns


def test_every_line_is_counted_once_by_room_and_by_use(repository: Path) -> None:
    """A file or a definition that is gone is a KeyError: then name what serves the use now."""
    uses, rooms = by_use(repository), by_room(repository)
    assert sum(uses.values()) == sum(rooms.values()) > 40_000
    assert uses.keys() == {OLD, *USES}
    assert min(uses.values()) > 50


def test_a_definition_has_the_lines_before_it_up_to_the_one_above() -> None:
    source = '"""What."""\n\nA = 1\n\n\n@cached\ndef f() -> int:\n    return 1\n\n\nclass C:\n    def g(self): ...\n'
    assert defined(source) == {"f": 5, "C": 4, "C.g": 2}
    assert patterns("a/* b.py\n  c.py: f C.g") == {"a/*": (), "b.py": (), "c.py": ("f", "C.g")}
