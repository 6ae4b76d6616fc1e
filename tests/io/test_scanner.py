"""The compiled scan reads what Python reads, to the byte, or leaves it to Python; all works without a compiler."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.io import compiled
from rope_prof.io.compiled import VARIABLE, WORTH_BYTES, CompiledSource
from rope_prof.io.kineto import scanner
from rope_prof.io.kineto.columns import Columns, read_columns
from rope_prof.io.kineto.pieces import Events
from rope_prof.io.store import compiled_kept
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.unpack import Unpacked
from tests.io.test_kineto_decoders import KERNEL, OP, OTHERS, event, told

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "traces/h100-ernie28b").glob("*.trace.json.gz"))[::9]
REAL = sorted((ROOT.parent / "shared/real-traces").glob("*.json.gz"))
#: What may stand anywhere in a damaged file.
DEBRIS = (
    b'"',
    b"{",
    b"}",
    b",",
    b":",
    b"0",
    b"-",
    b".5",
    b"\\",
    b"\\u00e9",
    b"[",
    b"]",
    b"null",
    b"\xff",
    b"e5",
    b"\0",
)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if not scanner.SOURCE.ready(WORTH_BYTES):
        pytest.skip("no C compiler here: traces are read in Python alone")


def said(columns: Columns) -> dict[str, Any]:
    """All that the columns of a piece say, without what is not there."""
    facts = told(columns)
    frames = {name: rows for name, rows in facts["frames"].items() if rows["name"]}
    counts = {what: count for what, count in facts["counts"].items() if count}
    return facts | {"frames": frames, "counts": counts, "proofs": {k: v for k, v in facts["proofs"].items() if v}}


def is_taken(text: bytes, last: bool) -> bool:
    """Whether the scan takes the piece; then it reads the same."""
    found = scanner.scanned(text, last)
    if found is not None:
        assert said(found) == said(read_columns(text, last))
    return found is not None


def pieces(path: Path) -> list[tuple[bytes, bool]]:
    return list(Events(iter(Unpacked(path)), str(path)))


@settings(max_examples=150)
@given(st.lists(event() | st.sampled_from(OTHERS), min_size=1, max_size=6), st.booleans())
def test_whatever_the_scan_takes_it_reads_as_python_does(events: list[str], last: bool) -> None:
    is_taken((",\n".join(events) + ('], "traceName": "x"}' if last else "")).encode(), last)


@pytest.mark.parametrize("path", [*SHIPPED, *REAL], ids=lambda path: path.name)
def test_every_piece_of_a_true_trace_is_read_the_same(path: Path) -> None:
    taken = [is_taken(text, last) for text, last in pieces(path)]
    assert all(taken) or path in REAL


def test_what_profilers_write_is_taken() -> None:
    copy = (
        KERNEL.replace("kernel", "gpu_memcpy", 1)
        .replace('"k"', '"Memcpy"')
        .replace('"queued"', '"copy kind": "HtoD", "q"')
    )
    assert is_taken(
        ",\n".join([KERNEL, OP, copy, *OTHERS[2:], *(OP.replace("cpu_op", "Kernel"),)]).encode(), last=False
    )


@pytest.mark.parametrize("seed", range(4))
def test_damaged_traces_are_read_the_same(seed: int) -> None:
    drawn = random.Random(seed)
    sources = [(text[:20_000], last) for path in (*SHIPPED[:2], *REAL[:3]) for text, last in pieces(path)[:1]]
    for _ in range(60):
        text, _ = drawn.choice(sources)
        damaged = bytearray(text[: text.rfind(b"},") + 1])
        for _ in range(drawn.choice((1, 1, 2, 4))):
            at, size = drawn.randrange(len(damaged)), drawn.choice((0, 0, 1, 1, 9))
            damaged[at : at + size] = drawn.choice((b"", *DEBRIS, damaged[at : at + 30]))
        is_taken(bytes(damaged), last=False)


@pytest.mark.parametrize(
    "odd",
    [
        OP.replace('"ts": 1', '"ts": 1.0005'),
        OP.replace('"ts": 1', '"ts": "1"'),
        OP.replace('"pid": 1', '"pid": "[TP00] 1"'),
        OP.replace('"o"', '"o\\u00e9"'),
        OP.replace('"dur": 2', '"dur": 2, "dur": 2'),
        KERNEL.replace('"stream": 7', '"stream": "stream 7"'),
        KERNEL.replace('"stream": 7', '"stream": 12345678901234567890'),
        OP + " x",
        OP[:-1],
    ],
)
def test_what_is_odd_is_left_to_python(odd: str) -> None:
    assert scanner.scanned(f"{OP}, {odd}".encode(), last=False) is None


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    assert not scanner.SOURCE.ready(WORTH_BYTES)
    assert scanner.scanned(OP.encode(), last=False) is None


def test_without_a_compiler_python_reads_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone = read_trace(SHIPPED[0])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert not scanner.SOURCE.ready(WORTH_BYTES)
    assert read_trace(SHIPPED[0]).gpu.equals(alone.gpu)


def test_a_compiler_that_fails_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "false")
    assert not scanner.SOURCE.ready(WORTH_BYTES)
    assert scanner.scanned(OP.encode(), last=False) is None


def test_it_is_compiled_once_small_traces_together_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(scanner, "SOURCE", CompiledSource(scanner.SOURCE.path))
    monkeypatch.setattr(compiled, "WORTH_BYTES", 2 * len(OP))
    found = []
    for _ in range(3):
        found.append(scanner.SOURCE.ready(len(OP)))
        scanner.columns_of(OP.encode(), last=False)
    assert found == [False, False, True]


def test_a_damaged_library_is_not_loaded_and_is_compiled_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(compiled_kept().folder, tmp_path / "rope_prof/compiled")
    for library in tmp_path.rglob("*.so"):
        library.write_bytes(b"damaged")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert scanner.scanned(OP.encode(), last=False) is None
    assert scanner.SOURCE.ready(WORTH_BYTES)
    assert scanner.scanned(OP.encode(), last=False) is not None
