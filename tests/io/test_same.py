"""Four names of one content are said to be one; files that differ in one byte are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.cli import main
from rope_prof.io.trace.same import one_content
from rope_prof.io.trace.storage import Source
from tests.builders import kernel, kineto_json, trace


def test_names_of_one_content_are_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "traces"
    folder.mkdir()
    data = kineto_json(trace(kernel(0, 10, launched=(0, 1)), kernel(14, 20, launched=(2, 3))))
    for name in ("a.json", "b.json", "line\nbreak.json"):
        (folder / name).write_bytes(data)
    (folder / "link.json").symlink_to("a.json")
    (folder / "other.json").write_bytes(data.replace(b"14", b"13", 1) if b"14" in data else data[:-1] + b" ")
    main(["analyze", str(folder), "-o", str(tmp_path / "out")])
    told = [line for line in capsys.readouterr().err.splitlines() if "of one content" in line]
    assert len(told) == 1
    assert told[0].startswith("4 names of one content: ")
    assert "line\\nbreak.json" in told[0] and "other.json" not in told[0]


def test_files_that_begin_alike_are_read_to_their_ends(tmp_path: Path) -> None:
    whole = bytes(1 << 17)
    for name, data in (("a", whole), ("b", whole), ("c", whole[:-1] + b"x"), ("d", b"x" + whole[1:])):
        (tmp_path / name).write_bytes(data)
    sources = [Source(address=str(path), size=path.stat().st_size, stamp="") for path in sorted(tmp_path.iterdir())]
    assert one_content(sources) == [(sources[0].shown, sources[1].shown)]


def test_contents_part_where_they_differ_and_keep_the_order_of_their_names(tmp_path: Path) -> None:
    """Pieces after the first are compared with the first file's, and those that differ from it with each other."""
    whole, late = bytes(3 << 20), bytes((3 << 20) - 1) + b"x"
    for name, data in zip("abcdef", (whole, late, b"x" + whole[1:], late, whole, whole[:-1] + b"y"), strict=True):
        (tmp_path / name).write_bytes(data)
    sources = [Source(address=str(path), size=path.stat().st_size, stamp="") for path in sorted(tmp_path.iterdir())]
    a, b, _, d, e, _ = (source.shown for source in sources)
    assert one_content(sources) == [(a, e), (b, d)]
    (tmp_path / "d").unlink()  # gone while the others are read
    assert one_content(sources) == [(a, e)]
