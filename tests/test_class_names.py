"""A class name means one thing: a reader who finds `Side` once need not ask which."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path


def homes_of(root: Path, *folders: str) -> dict[str, list[str]]:
    """Name -> the files that have a class of it, less what no other module can name: `_Side`, one in a function."""
    homes: dict[str, list[str]] = defaultdict(list)
    for folder in folders:
        for path in sorted((root / folder).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(path.relative_to(root).as_posix())
    return homes


def test_no_class_name_has_two_meanings(repository: Path) -> None:
    homes = homes_of(repository, "kernels", "rope_prof", "dashboard")
    assert len(homes) > 300
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_a_second_meaning_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("class Side: ...\nclass _Own: ...\n")
    (tmp_path / "b.py").write_text("class Side: ...\nclass _Own: ...\n")
    assert homes_of(tmp_path, ".") == {"Side": ["a.py", "b.py"]}
