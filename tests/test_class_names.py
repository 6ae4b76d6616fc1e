"""A class name means one thing: a reader who finds `Side` once need not ask which."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path


def test_no_class_name_has_two_meanings(repository: Path) -> None:
    """Over kernels, package and dashboard; a class that no other module can name, `_Side` or one in a function, may."""
    homes: dict[str, list[str]] = defaultdict(list)
    for folder in ("kernels", "rope_prof", "dashboard"):
        for path in sorted((repository / folder).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(path.relative_to(repository).as_posix())
    assert len(homes) > 300
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}
