"""A fact has one home: what stands for it in code is found in no other file."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

FOLDERS = ("rope_prof", "dashboard")
#: What is looked for in the code, docstrings and comments left out -> the files that may hold it.
HOMES = {
    "the rule of percentiles": (r"\.quantile\(|\.quantiles\(|percentile\(", {"rope_prof/analysis/stats.py"}),
    "the inverse of Student's t": (r"betainc|stdtr|\bstats\.t\b", {"rope_prof/analysis/student.py"}),
    "the verdict of a ratio": (r"\b[lh][oi] [<>] 1\b", {"rope_prof/analysis/verdict.py"}),
    "the limit of inflation": (r"INFLATION_LIMIT = ", {"rope_prof/analysis/run/rows.py"}),
    "the suffix of our traces": (r"'\.trace\.json", {"rope_prof/io/layout.py"}),
    "the suffix of native traces": (r"(= |')\.pftrace'|\}\.pftrace'", {"rope_prof/io/layout.py"}),
    "the suffixes of Nsight's reports": (r"'[^' ]*\.(nsys|ncu)-rep'", {"rope_prof/io/layout.py"}),
    "the suffixes of traces": (r"'\.json\.gz'|'\.hatchet'", {"rope_prof/io/trace/formats.py"}),
    "the baseline of runs that name none": (r"baseline='|== 'unfused'", {"rope_prof/io/run/schema.py"}),
    "the baseline of whole requests": (r"BASELINE = 'unfused'", {"rope_prof/analysis/requests/requests.py"}),
    "nanoseconds in other units": (r"[*/] ?1000\.0|[*/] ?1000000(?:000)?\.0", set()),
    "how long a queue is held": (r"\+ 100000\b", {"rope_prof/record/loop/timing.py"}),
    "what msgspec decodes to in many threads": (
        r"\b(json|msgpack|toml)\.decode\(.*\btype=(?!decodable\(|(dict\[\w+, |list\[)?(msgspec\.Raw|str)\b)"
        r"|msgspec\.convert\((?!.*\bdecodable\()",
        set(),
    ),
    "the path, which another thread may walk along": (
        r"(?m)^ *(del )?sys\.path(\[|\.remove|\.pop)",
        {"rope_prof/foreign/source.py", "rope_prof/io/trace/ncu.py", "rope_prof/record/worker/zygote.py"},  # recording
    ),
    "a format of traces by name": (r"\.format (==|!=|in) ", set()),
    "a key's path and mode in a sentence": (r"key\.path\} \{[\w.]*key\.mode", set()),
}


@pytest.fixture(scope="module")
def code(repository: Path) -> dict[str, str]:
    """File -> its code as Python writes it: one kind of quotes, no comments, no docstrings."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((repository / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    node.value.value = ...
            found[path.relative_to(repository).as_posix()] = ast.unparse(tree)
    assert len(found) > 300
    return found


@pytest.mark.parametrize("fact", HOMES)
def test_a_fact_has_one_home(code: dict[str, str], fact: str) -> None:
    words, homes = HOMES[fact]
    assert {file for file, text in code.items() if re.search(words, text)} <= homes


@pytest.mark.parametrize("fact", [fact for fact, (_, homes) in HOMES.items() if len(homes) == 1])
def test_its_home_holds_it(code: dict[str, str], fact: str) -> None:
    """Else the words above look for nothing."""
    words, homes = HOMES[fact]
    assert any(re.search(words, code[home]) for home in homes)


def test_a_second_home_is_seen() -> None:
    words = HOMES["the rule of percentiles"][0]
    assert re.search(words, "x = np.quantile(values, 0.5)")
    assert re.search(HOMES["nanoseconds in other units"][0], ast.unparse(ast.parse("x = ns / 1e3")))
