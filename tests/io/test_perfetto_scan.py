"""The compiled scan of packets reads what Python reads, to the byte, or leaves a block to Python."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from rope_prof.errors import TraceError
from rope_prof.io.compiled import VARIABLE, WORTH_BYTES
from rope_prof.io.perfetto import blocks, compiled
from rope_prof.io.perfetto.blocks import PacketBlocks
from rope_prof.io.perfetto.columns import sizes
from rope_prof.io.perfetto.scan import scan
from rope_prof.io.perfetto.scanned import ABSENT, TABLES, Scan
from rope_prof.io.perfetto.shapes import BLOB, DIGITS, DOUBLE, TEXT
from rope_prof.io.trace.read import read_trace
from rope_prof.views.perfetto.encode import block, fixed, number, varint
from rope_prof.views.perfetto.export import perfetto_bytes
from tests.fuzz.corpora import perfetto_corpus
from tests.io.packets import CLEARED, NEEDS, data, end
from tests.io.packets import words as told
from tests.io.test_perfetto import noted

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "traces/h100-ernie28b").glob("*.trace.json.gz"))[::9]
FRAMES = ("gpu", "nodes", "calls", "ranges", "ops", "overheads")
WANTED = frozenset(("correlation", "device", "stream", "grid", "graph id", "a", ""))


#: Some of them numbers as they are written.
TEXTS = (b"1", b"0", b"70", b"9" * 18, b"8x1x1", b"", b"07", b"-1", b"9" * 19, b"x" * 9, b"1 ")


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if not compiled.SOURCE.ready(WORTH_BYTES):
        pytest.skip("no C compiler here: traces are read in Python alone")


@contextmanager
def in_python() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "0")
        yield


def columns(found: Scan) -> dict[str, Any]:
    """All that a scan says, whatever it numbers in which order."""
    texts = list(found.texts)
    facts: dict[str, Any] = {
        name: getattr(found, name) for name in ("rare", "packets", "counted", "damaged", "dropped", "stepped")
    }
    for name in TABLES:
        table = getattr(found, name)
        shapes = [(s.kind, s.stage, s.sequence, s.clock, s.category) for s in found.shapes]
        facts[name] = [shapes[k] for k in table.shape.tolist()], table.ordinal.tolist()
        facts[name] += tuple(values.tolist() for values in table.values.values())
    facts["resets"] = {sequence: rows for sequence, rows in found.resets.items() if rows}
    held: dict[Any, list[Any]] = {("names",): [(one, TEXT) for one in found.names]}
    for (sequence, (table, name, kind)), many in found.args.items():  # digits are the texts that they were
        held.setdefault((sequence, (table, name, TEXT if kind == DIGITS else kind)), []).extend((o, kind) for o in many)
    for key, many in held.items():
        rows = []
        for one, kind in many:
            values = one.values.view(np.int64) if kind == DOUBLE else one.values
            told = [texts[k] for k in values.tolist()] if kind in (TEXT, BLOB) else values.tolist()
            told = [str(value).encode() for value in told] if kind == DIGITS else told
            rows += zip(one.ordinal.tolist(), told, strict=True)
        facts[str(key)] = sorted(rows, key=lambda row: row[0])
    return facts


def scanned(raw: bytes, wanted: frozenset[str] | None) -> tuple[dict[str, Any], Any]:
    """What the scan says, and what its blocks say; or the sentence with which it refuses."""
    made = PacketBlocks(iter((raw,)), "a", compiled.framer())
    try:
        return columns(scan(made, wanted)), (made.broken, made.cut_bytes, made.packets)
    except TraceError as error:
        return {}, str(error)


def is_read_the_same(raw: bytes, wanted: frozenset[str] | None = None) -> bool:
    """Whether both ways give the same; then whether the compiled one took every block."""
    with pytest.MonkeyPatch.context() as patch:
        left: list[int] = []
        read = compiled.CompiledScan.read

        def watched(self: compiled.CompiledScan, one: blocks.Block) -> Any:
            told = read(self, one)
            left.extend([one.first] if told is None else [])
            return told

        patch.setattr(compiled.CompiledScan, "read", watched)
        fast = scanned(raw, wanted)
    with in_python():
        assert fast == scanned(raw, wanted)
    return not left


def answered(path: Path) -> Any:
    """All that is read of a file, or the sentence with which it is refused."""
    try:
        trace = read_trace(path)
    except TraceError as error:
        return str(error)
    return trace.findings, trace.events, {name: getattr(trace, name).rows() for name in FRAMES}


#: Bits of messages that a scan looks into, and of those that it passes; each is a field's bytes.
def _any(drawn: Random) -> bytes:
    field = drawn.choice((1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 17, 19, 20, 21, 22, 23, 41, 42, 53, 59, 87, 900))
    made = (
        number(field, drawn.choice((0, 1, 2, 5, 127, 128, 1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1))),
        block(field, drawn.choice((b"", b"a", b"device", b"correlation", b"x" * 20, b"\xff", b"\x08\x01"))),
        fixed(field, drawn.getrandbits(64)),
        varint(field << 3 | 5) + bytes(4),
        varint(field << 3)
        + drawn.choice((b"\x81\x80\x00", b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x02", b"\xff" * 11)),
        varint(field << 3 | drawn.choice((3, 4, 6, 7))),
        drawn.randbytes(drawn.randrange(4)),
    )
    return drawn.choice((*made[:3], *made[:3], *made[:2], *made[:2], *made))


def _note(drawn: Random, odd: float) -> bytes:
    text = b"\xff" if drawn.random() < odd else drawn.choice((b"a", b"device", b"", b"grid"))
    named = number(1, drawn.choice((1, 2, 3, 9))), block(10, text)
    valued = (
        *(number(field, drawn.choice((0, 7, 1 << 35))) for field in (2, 3, 4, 7, 17)),
        *(
            fixed(5, drawn.getrandbits(64)),
            block(6, drawn.choice(TEXTS)),
            block(9, b"{}"),
            block(11, b"\x0a\x00"),
            block(12, b""),
        ),
    )
    return b"".join((*drawn.sample(named, drawn.randrange(2)), drawn.choice(named), drawn.choice(valued)))


def _event(drawn: Random, odd: float) -> bytes:
    parts = [
        number(9, drawn.choice((1, 1, 2, 2, 3, 4))),
        drawn.choice((number(3, drawn.choice((1, 2))), block(3, b"\x01\x02"), block(22, b"kernel"), b"")),
        drawn.choice((number(10, drawn.choice((1, 2))), block(23, drawn.choice((b"k", b"\xffk"))), b"")),
        drawn.choice((number(11, drawn.choice((1, 2, 1 << 63))), b"")),
        *(block(4, _note(drawn, odd)) for _ in range(drawn.randrange(3))),
    ]
    drawn.shuffle(parts)
    return b"".join(parts)


def _stage(drawn: Random) -> bytes:
    named = block(1, drawn.choice((b"a", b"graph id", b""))) + block(2, drawn.choice(TEXTS))
    sizes = b"".join(number(dim, drawn.choice((1, 300))) for dim in (1, 2, 3))
    told = drawn.choice((number(1, 4), block(2, b"a"), b"")) + drawn.choice((number(3, 9), fixed(5, 1 << 62), b""))
    parts = [
        *(number(field, drawn.choice((0, 1, 2, 1 << 33))) for field in drawn.sample((1, 2, 5, 11, 13, 14, 19, 20), 5)),
        drawn.choice((block(17, b"k"), b"")),
        block(6, named),
        block(21, block(1, sizes) + block(2, number(2, 1)) + block(3, told)),
    ]
    return b"".join(parts)


def _words(drawn: Random) -> bytes:
    table = drawn.choice((1, 2, 3))
    return block(table, number(1, drawn.choice((1, 2, 3))) + block(2, drawn.choice((b"device", b"b", b"grid"))))


def _packet(drawn: Random, odd: float) -> bytes:
    parts = [
        number(8, drawn.choice((0, 10, 10, 1 << 40, 1 << 62))),
        number(10, drawn.choice((1, 1, 2))),
        number(13, drawn.choice((CLEARED, *(NEEDS,) * 8))),
        drawn.choice(
            (block(11, _event(drawn, odd)),) * 6 + (block(53, _stage(drawn)),) * 3 + (block(12, _words(drawn)),)
        ),
        drawn.choice(
            (b"",) * 12 + (number(58, 64), number(42, 1), number(87, 1), number(41, 1), block(59, number(58, 64)))
        ),
    ]
    if drawn.random() < odd:
        parts.append(_any(drawn))
    if drawn.random() < odd:
        parts.append(block(drawn.choice((11, 53, 60, 6)), _any(drawn) + _any(drawn)))
    drawn.shuffle(parts)
    made = b"".join(parts[: drawn.choice((5, 5, 5, 9, 3))])
    return drawn.choice((b"",)) + b"\x0a" + varint(len(made)) + made


def drawn_file(seed: int, odd: float) -> bytes:
    """Packets by the rules of the format, a part of them odd."""
    drawn = Random(seed)
    made = b"".join(_packet(drawn, odd) for _ in range(drawn.choice((1, 5, 30))))
    if drawn.random() < odd:
        packed = zlib.compress(made)
        made += b"\x0a" + varint(len(inner := block(50, packed))) + inner + made[:40]
    if drawn.random() < odd / 2:
        at = drawn.randrange(len(made))
        made = drawn.choice((made[:at], made[:at] + drawn.randbytes(3) + made[at:], made + bytes(9)))
    return made


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_scan_takes_it_reads_as_python_does(seed: int, tmp_path: Path) -> None:
    raw = drawn_file(seed, odd=(0.0, 0.02, 0.3)[seed % 3])
    taken = is_read_the_same(raw, WANTED if seed % 2 else None)
    assert taken or seed % 3
    (path := tmp_path / "a.pftrace").write_bytes(raw)
    fast = answered(path)
    with in_python():
        assert fast == answered(path)


def made_files() -> list[bytes]:
    return [*perfetto_corpus(Path()), *(perfetto_bytes(read_trace(path), "drawn") for path in SHIPPED[:1])]


def test_what_profilers_and_our_export_write_is_taken() -> None:
    assert all(is_read_the_same(raw, wanted) for raw in made_files() for wanted in (None, WANTED))


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_are_read_the_same(seed: int) -> None:
    drawn, sources = Random(seed), perfetto_corpus(Path())
    for _ in range(25):
        damaged = bytearray(drawn.choice(sources))
        for _ in range(drawn.choice((1, 1, 2, 4))):
            at, size = drawn.randrange(len(damaged)), drawn.choice((0, 0, 1, 1, 9))
            damaged[at : at + size] = drawn.choice((b"", b"\x0a", b"\xff", b"\x80\x80", damaged[at : at + 30]))
        is_read_the_same(bytes(damaged), WANTED)


def test_a_name_that_means_another_thing_later_in_a_block_is_read_from_the_block_on() -> None:
    """Number 1 is a name that nobody reads; cleared, it is one that is read: both in the second block."""
    first = [told(notes={1: "b", 2: "a"}), *noted(10, [(1, 5), (2, 6)]), end(20)]
    later = [*noted(30, [(1, 7)]), told(notes={1: "device"}), *noted(50, [(1, 8), (2, 9)])]
    assert is_read_the_same(data(first, later), WANTED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "SMALL_BLOCK_BYTES", 8)
        patch.setattr(blocks, "BLOCK_BYTES", 8)
        chunks = [data(first), data(later)]
        fast = columns(scan(PacketBlocks(iter(chunks), "a", compiled.framer()), WANTED))
        with in_python():
            assert fast == columns(scan(PacketBlocks(iter(chunks), "a"), WANTED))
    assert [row for row in fast[str((1, ("note", 1, "int")))] if row[1] in (7, 8)]


@pytest.mark.parametrize("path", [ROOT / "tests/io/made/monitor.pftrace", *SHIPPED[1:2]], ids=lambda path: path.name)
def test_a_trace_is_the_same_trace(path: Path, tmp_path: Path) -> None:
    drawn = path
    if path.suffix == ".gz":
        drawn = tmp_path / "drawn.pftrace"
        drawn.write_bytes(perfetto_bytes(read_trace(path), "drawn"))
    fast = read_trace(drawn)
    with in_python():
        slow = read_trace(drawn)
    assert fast.findings == slow.findings
    assert fast.events == slow.events
    assert all(getattr(fast, name).equals(getattr(slow, name)) for name in FRAMES)


def test_what_has_no_room_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = data(noted(10, [(number, 1) for number in range(1100)]))
    assert not is_read_the_same(raw)
    monkeypatch.setattr(compiled, "_MOST_BYTES", 64)
    assert not is_read_the_same(data(noted(10, [(1, 5)])) * 4)


@pytest.mark.parametrize("field", [10, 58, 13])
def test_numbers_beyond_their_bits_are_read_as_protocol_buffers_cut_them(field: int, tmp_path: Path) -> None:
    event = number(9, 1) + number(3, (1 << 64) - 1) + number(11, 1) + block(4, number(1, 1 << 63) + number(4, 1))
    made = number(8, 5) + number(field, (1 << 63) + 1) + block(11, event)
    (path := tmp_path / "a.pftrace").write_bytes((b"\x0a" + varint(len(made)) + made) * 3)
    found = answered(path)
    assert found[1] == 3
    with in_python():
        assert found == answered(path)


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    assert not compiled.SOURCE.ready(WORTH_BYTES)
    assert not is_read_the_same(data(noted(10, [(1, 5)])))


def test_sizes_of_launches_are_told_whatever_their_size() -> None:
    usual, large = np.array([8, ABSENT, 0, 1]), np.array([8, 1, 1 << 40, -1])
    one = np.ones(4, np.int64)
    assert sizes(usual, one, one).to_list() == ["8x1x1", None, "0x1x1", "1x1x1"]
    assert sizes(one, large, usual).to_list() == ["1x8x8", None, f"1x{1 << 40}x0", "1x-1x1"]
