"""docs/architecture.md is true: its files exist and hold the names that it gives, and its picture shows the imports.

python -m tests.test_architecture     # draw the picture anew
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/architecture.md"
BEGIN = "<!-- PICTURE: begin (python -m tests.test_architecture writes what stands here) -->\n"
END = "<!-- PICTURE: end -->"
#: What each top-level room is for; errors and units are on the ground of all.
ROOMS = {
    "cli": "argv, exit codes",
    "commands": "one file a command",
    "dashboard": "pages in the browser",
    "opened": "a run, opened once",
    "agents": "the commands as tools",
    "attach": "ranges around a user's code",
    "fusion": "measure: any callables of a script",
    "testing": "do_bench and sweeps in triton's words",
    "pytest_plugin": "the fixture fusion",
    "foreign": "operations of others",
    "engines": "a server's own profiler",
    "ranks": "many traces at once",
    "record": "GPU and clock",
    "serve": "Perfetto on loopback",
    "views": "words, blocks, drawings",
    "analysis": "frames to figures",
    "io": "files",
    "kernels": "operations and their paths",
    "model": "records without I/O",
}


def arrows(tree: Path) -> set[tuple[str, str]]:
    """(importer, imported) of the top-level rooms, without those that follow from others."""
    sys.path.insert(0, str(tree))
    try:
        graph = grimp.build_graph("rope_prof", exclude_type_checking_imports=True, cache_dir=None)
    finally:
        sys.path.remove(str(tree))
    names = {child.removeprefix("rope_prof.") for child in graph.find_children("rope_prof")}
    assert names - {"__main__", "errors", "units"} == ROOMS.keys(), "a room has no word in ROOMS, or is gone"
    found = {(importer.split(".")[1], imported.split(".")[1]) for importer, imported in _imports(graph)}
    found = {(a, b) for a, b in found if a != b and a in ROOMS and b in ROOMS}
    found |= {("cli", "commands")}  # by name, when one is asked for
    return {(a, b) for a, b in found if not _other_way(found, a, b)}


def _imports(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    return [
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
        if module.count(".") and imported.count(".")
    ]


def _other_way(found: set[tuple[str, str]], start: str, end: str) -> bool:
    """Whether `end` is reached from `start` by more than one arrow."""
    seen, open_ = set(), [b for a, b in found if a == start and b != end]
    while open_:
        room = open_.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            open_ += [b for a, b in found if a == room]
    return False


def picture() -> str:
    """The Mermaid text of the rooms and their imports."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([ROOT / ".ci/tree", folder], check=True, timeout=60)
        found = arrows(Path(folder))
    lines = ["```mermaid", "flowchart TD"]
    lines += [f'    {name}["<b>{name}</b><br>{words}"]' for name, words in ROOMS.items()]
    lines += [f"    {a} --> {b}" for a, b in sorted(found, key=lambda one: [list(ROOMS).index(room) for room in one])]
    return "\n".join([*lines, "```"]) + "\n"


def test_the_picture_is_drawn_from_the_imports() -> None:
    """In a process of its own: the reader of imports takes a package that is loaded for the one on the path."""
    drawn = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    words = [sys.executable, "-m", "tests.test_architecture", "--print"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == drawn, "draw it anew: python -m tests.test_architecture"


def test_every_file_that_it_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8").replace("NAME.py", "overview.py")
    named = set(re.findall(r"`([\w./]+/[\w./]+)`", text))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_each_file_holds_the_name_beside_it() -> None:
    rows = re.findall(r"^\| .+? \| `([^`]+)` \| `(\w+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 10
    for file, name in rows:
        source = (ROOT / file).read_text(encoding="utf-8")
        defined = rf"(?m)^\s*(?:def |class |layers|(?:\w+\s*=\s*)?)?{name}\b"
        assert re.search(defined, source), (file, name)
    additions = re.findall(r"^\| .+? \| `([^`]+)` \| an? (?:entry of )?`(\w+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert additions
    for file, name in additions:
        assert re.search(rf"(?m)^(?:class )?{name}\b", (ROOT / file).read_text(encoding="utf-8")), (file, name)


def named_rooms(root: Path) -> list[tuple[str, str]]:
    """(`file:line`, name) of each backticked `room.module` or `room.module.name` of a docstring or comment."""
    word = re.compile(rf"`(?:rope_prof\.)?((?:{'|'.join(ROOMS)})\.[a-z_]+[\w.]*)`")
    files = (path for folder in ("rope_prof", "dashboard", "kernels") for path in sorted((root / folder).rglob("*.py")))
    lines = ((path, n, line) for path in files for n, line in enumerate(path.read_text("utf-8").splitlines(), 1))
    return [(f"{path.relative_to(root)}:{n}", name) for path, n, line in lines for name in word.findall(line)]


def stands(root: Path, name: str) -> bool:
    """Whether there is such a module or package, which holds what is named behind it."""
    parts = name.split(".")
    at = root if parts[0] in {"kernels", "dashboard"} else root / "rope_prof"
    for place, part in enumerate(parts):
        file = at / f"{part}.py"
        if file.is_file():
            rest = parts[place + 1 : place + 2]
            return all(re.search(rf"\b{one}\b", file.read_text(encoding="utf-8")) for one in rest)
        at /= part
        if not at.is_dir():
            return False
    return True


def test_what_code_says_of_other_rooms_is_there() -> None:
    found = named_rooms(ROOT)
    assert len(found) > 30
    assert [one for one in found if not stands(ROOT, one[1])] == []
    assert not stands(ROOT, "views.palette")
    assert not stands(ROOT, "units.no_such_name")


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(picture())
        raise SystemExit
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + picture() + END + rest.partition(END)[2], encoding="utf-8")
