"""What the JSON of the shipped runs says otherwise than another version's: fields gone, new, or of other values.

    git archive cd54db3 | tar x -C DIR; python -m tests.outputs DIR

Runs `show --json` and `compare --format json` (the baseline against the last path, eager) of each shipped run in both
trees with this interpreter. Values that differ by less than `ROUNDED` of themselves count apart: rounded once.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROUNDED = 1e-3


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(`keys[3].busy_ns`, its value) of every field; an empty object or list has none."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from leaves(one, f"{name}[{place}]")
    else:
        yield name, value


def changes(before: Any, after: Any) -> Counter[tuple[str, str]]:
    """(what happened, the field without its places) -> how often."""
    old, new = dict(leaves(before)), dict(leaves(after))
    found: Counter[tuple[str, str]] = Counter()
    for name in old | new:
        if name not in new and not any(other.startswith((f"{name}.", f"{name}[")) for other in new):
            found["gone", _plain(name)] += 1
        elif name not in old:
            found["new", _plain(name)] += 1
        elif name in new and old[name] != new[name]:
            found["rounded" if _near(old[name], new[name]) else "other", _plain(name)] += 1
    return found


def _plain(name: str) -> str:
    return re.sub(r"\[\d+\]", "[]", name)


def _near(one: Any, other: Any) -> bool:
    both = isinstance(one, int | float) and isinstance(other, int | float)
    return both and abs(one - other) <= ROUNDED * max(abs(one), abs(other))


def said(tree: Path, *words: str) -> Any:
    """The document that a command of that tree prints. Errors: SystemExit with its words where it prints none."""
    command = [sys.executable, "-m", "rope_prof", *words]
    done = subprocess.run(
        command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, check=False
    )
    if not done.stdout:
        sys.exit(f"{tree}: {' '.join(words)}: {done.stderr.decode()}")
    return json.loads(done.stdout)


def main(other: Path) -> None:
    """Print what differs, a line a field, of each run that the other tree ships."""
    for run in sorted(path.parent.name for path in (other / "traces").glob("*/run.json")):
        sides = [f"traces/{run}:{path}/eager" for path in ("unfused", "fused")]
        for words in (("show", f"traces/{run}", "--json"), ("compare", *sides, "--format", "json")):
            found = changes(said(other, *words), said(ROOT, *words))
            lines = [f"  {what:8} {count:6,}  {field}" for (what, field), count in sorted(found.items())]
            print(f"{' '.join(words)}", *lines, sep="\n")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
