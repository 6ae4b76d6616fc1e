from __future__ import annotations

import gzip
import os
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import TraceError
from rope_prof.io import bombs
from rope_prof.io.kineto import digits, pieces
from rope_prof.io.kineto.digits import LIMIT_NS, microseconds_to_ns
from rope_prof.io.trace import unpack
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from tests.builders import graph, kernel, kineto_events, kineto_json, microseconds, op, overhead, python, range_, trace

DRAWN = trace(
    range_("step#1", 0, 5000),
    op("aten::mul", 10, 400, external=3),
    overhead(20, 30),
    kernel(1000, 1500, launched=(100, 200), name="müł<int>", registers=32, external=3),
    kernel(1600, 1700, launched=(210, 230), stream=9, kind="memcpy", bytes=64, name="Memcpy"),
    graph((300, 350), (1800, 1900), (1901, 2000)),
)


def read(path: Path, data: bytes, name: str = "t.json") -> Trace:
    (path / name).write_bytes(data)
    return read_trace(path / name)


def codes(held: Trace) -> dict[str, int]:
    return {finding.code: finding.count for finding in held.findings}


@given(st.lists(st.integers(-(10**17), 10**17), max_size=50))
def test_digits_are_read_exactly(values: list[int]) -> None:
    read_back, good = microseconds_to_ns([microseconds(ns).encode() for ns in values])
    assert read_back.tolist() == values
    assert good.all()


@given(st.lists(st.integers(9 * 10**17, 11 * 10**18).map(lambda ns: ns * (-1) ** (ns % 7 == 0)), max_size=20))
def test_times_since_1970_are_read_exactly_and_never_wrap(values: list[int]) -> None:
    """Files of spring 2024 hold microseconds of the wall clock: sixteen digits before the point."""
    read_back, good = microseconds_to_ns([microseconds(ns).encode() for ns in values])
    assert good.tolist() == [abs(ns) <= LIMIT_NS for ns in values]
    assert read_back.tolist() == [ns if abs(ns) <= LIMIT_NS else 0 for ns in values]


def test_times_since_1970_are_read_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "decimal_ns", None)  # one value at a time takes fifteen times as long
    texts = [b"1711019247332972.313", b"1711019247332972", b"1711019247332972.5", b"-1.5"]
    for some in (texts[:1] * 3, texts):
        assert microseconds_to_ns(some)[0][0] == 1711019247332972313
    assert microseconds_to_ns(texts)[0].tolist()[1:] == [1711019247332972000, 1711019247332972500, -1500]


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("7", 7000),
        ("1.5", 1500),
        ("1.2345", 1234),
        ("1.2355", 1236),
        ("1e3", 10**6),
        ('"12.001"', 12001),
        ("-0.5", -500),
    ],
)
def test_other_spellings_of_a_number(text: str, ns: int) -> None:
    assert ns == int((Decimal(text.strip('"')) * 1000).to_integral_value())
    assert microseconds_to_ns([text.encode()])[0].tolist() == [ns]


@pytest.mark.parametrize("text", ["", "null", "inf", "1e400", "9" * 30, "1,2", "[1]", "--1", "nan", f"{LIMIT_NS}"])
def test_no_number_is_no_time(text: str) -> None:
    values, good = microseconds_to_ns([b"1.000", text.encode(), b"2.000"])
    assert values.tolist() == [1000, 0, 2000]
    assert good.tolist() == [True, False, True]


def test_round_trip(tmp_path: Path) -> None:
    held = read(tmp_path, kineto_json(DRAWN, baseTimeNanoseconds=17))
    for frame in ("gpu", "calls", "ranges", "ops"):
        assert getattr(held, frame).equals(getattr(DRAWN, frame)), frame
    assert held.window_end
    assert held.base_time_ns == 17
    assert not held.findings


def test_pieces_do_not_change_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [text for k in range(40) for text in kineto_events(DRAWN)]
    nested = '{"ph": "X", "cat": "other", "name": "},{\\"ph", "ts": 1, "dur": 1, "args": {"l": [{"a": 1}, {"b": 2}]}}'
    data = kineto_json([*many, *[nested] * 20, *many])
    whole = read(tmp_path, data)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 300)
    monkeypatch.setattr(unpack, "_OUT", 100)
    pieced = read(tmp_path, data)
    assert pieced.gpu.equals(whole.gpu)
    assert pieced.events == whole.events == 80 * len(kineto_events(DRAWN)) + 21
    assert not pieced.findings


def test_cut_json_gives_the_whole_events_before_the_cut(tmp_path: Path) -> None:
    data = kineto_json(DRAWN)
    whole = read(tmp_path, data)
    for cut in range(30, len(data) - 3, 7):
        held = read(tmp_path, data[:cut])
        assert held.gpu.equals(whole.gpu[: held.gpu.height]), cut
        assert {"cut_json", "no_events"} & set(codes(held)), cut
        assert analyze(held).integrity.verdict in ("suspect", "unusable")


def test_cut_gzip_gives_what_can_be_unpacked(tmp_path: Path) -> None:
    rng = random.Random(0)
    events = [text.replace("müł", f"k{rng.random()}") for _ in range(200) for text in kineto_events(DRAWN)]
    packed = gzip.compress(kineto_json(events))
    held = read(tmp_path, packed[: len(packed) // 2])
    assert {"cut_gzip", "cut_json"} <= set(codes(held))
    assert 300 < held.gpu.height < 800
    assert analyze(held).devices[0].idle_share is None


def test_gzip_with_a_wrong_checksum_loses_nothing(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(kineto_json(DRAWN)))
    packed[-6] ^= 255
    held = read(tmp_path, bytes(packed))
    assert codes(held) == {"gzip_checksum": 1}
    assert held.gpu.equals(DRAWN.gpu)


def test_two_gzip_members_are_one_file(tmp_path: Path) -> None:
    data = kineto_json(DRAWN)
    held = read(tmp_path, gzip.compress(data[:500]) + gzip.compress(data[500:]))
    assert held.gpu.equals(DRAWN.gpu)
    assert not held.findings


def test_bombs_meet_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bombs, "RATIO_FROM", 1 << 20)
    with pytest.raises(TraceError, match="gzip bombs"):
        read(tmp_path, gzip.compress(b'{"traceEvents": [' + b" " * (8 << 20)))
    monkeypatch.setattr(pieces, "MAX_EVENT_BYTES", 1 << 20)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1 << 19)
    with pytest.raises(TraceError, match="without the end of an event"):
        read(tmp_path, b'{"traceEvents": [{"name": "' + b"x" * (9 << 20))


@pytest.mark.parametrize("place", ["event", "head", "bare"])
def test_deep_nesting_meets_the_limit(tmp_path: Path, place: str) -> None:
    deep = "[" * 200_000 + "]" * 200_000
    text = {
        "event": f'{{"traceEvents": [{{"ph": "X", "args": {{"a": {deep}}}}}]}}',
        "head": f'{{"a": {deep}, "traceEvents": []}}',
        "bare": deep,
    }[place]
    try:
        held = read(tmp_path, text.encode())
        assert place == "bare"
    except TraceError as error:
        assert "deep" in str(error)
    else:
        assert analyze(held).integrity.verdict == "unusable"


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (b'{"ph": "X", "cat": "kernel", "name": "a "b" c", "pid": 0, "tid": 7, "ts": 1, "dur": 2}', 'a "b" c'),
        (
            b'{"ph": "X", "cat": "kernel", "name": "inf", "pid": 0, "tid": 7, "ts": 1, "dur": 2, "args": {"x": inf}}',
            "inf",
        ),
        (
            b'{"ph": "X", "cat": "kernel", "name": "k\xff", "pid": 0, "tid": 7, "ts": 1, "dur": 2}',
            "k\N{REPLACEMENT CHARACTER}",
        ),
        (b'{"ph": "X", "cat": "kernel", "name": "k\\ud800", "pid": 0, "tid": 7, "ts": 1, "dur": 2}', "k?"),
        (b'{"ph": "X", "cat": "kernel", "name": "a\nb", "pid": 0, "tid": 7, "ts": 1, "dur": 2}', "a\nb"),
    ],
)
def test_old_events_are_mended(tmp_path: Path, event: bytes, name: str) -> None:
    whole = kineto_events(DRAWN)
    data = kineto_json([*whole, "@", *whole]).replace(b"@", event)
    held = read(tmp_path, data)
    assert codes(held) == {"mended_events": 1}
    assert held.gpu.filter(held.gpu["name"] == name)["dur_ns"].to_list() == [2000]
    assert held.gpu.height == 2 * DRAWN.gpu.height + 1


def test_a_damaged_event_is_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    whole = kineto_events(DRAWN)
    held = read(tmp_path, kineto_json([*whole, '{"ph": "X", "cat": kern}', *whole]))
    assert codes(held) == {"damaged_events": 1}
    assert held.gpu.height == 2 * DRAWN.gpu.height


def test_nodes_of_a_graph_that_take_no_time_of_the_device_are_apart(tmp_path: Path) -> None:
    """As torch 2.14 writes them."""
    replay = trace(graph((-10, -5), (0, 1000), (9000, 9500)))
    node = (
        '{"ph": "X", "cat": "graph_%s_node", "name": "%s", "pid": 0, "tid": 7, "ts": %s, "dur": %s, "args": '
        '{"device": 0, "context": 1, "stream": 7, "correlation": 900, "graph id": 3, "graph node id": 5}}'
    )
    nodes = [node % ("host", "HostNode: sample", "2.000", "5.000"), node % ("event", "EventRecord", "9.600", "0.000")]
    held = read(tmp_path, kineto_json([*kineto_events(replay), *nodes]))
    assert held.gpu.height == 2
    assert held.nodes.select("kind", "name", "start_ns", "dur_ns", "correlation").rows() == [
        ("host_node", "HostNode: sample", 2000, 5000, 900),
        ("event_node", "EventRecord", 9600, 0, 900),
    ]
    assert analyze(held).devices[0].idle_by_cause_ns == {"host_node": 8000}


def test_copies_of_torchs_own_exporter_say_their_way_and_memory(tmp_path: Path) -> None:
    copy = kineto_events(trace(kernel(0, 64, launched=(-9, -5), kind="memcpy", bytes=128, name="Memcpy")))
    said = '"copy kind": "HtoD", "src kind": "pinned", "dst kind": "device", "bytes"'
    held = read(tmp_path, kineto_json([copy[0], copy[1].replace('"bytes"', said)]))
    assert held.gpu["name"].to_list() == ["Memcpy HtoD (Pinned -> Device)"]
    (moved,) = analyze(held).devices[0].copies
    assert (moved.direction, moved.memory, moved.bytes, moved.gb_per_s) == ("HtoD", "pinned", 128, 2.0)


def test_repeated_keys_are_counted(tmp_path: Path) -> None:
    twice = kineto_events(DRAWN)
    twice[-1] = twice[-1].replace('"dur"', '"dur": 1.000, "dur"')
    twice[-2] = twice[-2].replace('"stream"', '"stream": 1, "stream"')
    held = read(tmp_path, kineto_json(twice))
    assert codes(held) == {"duplicate_keys": 2}
    assert held.gpu.equals(DRAWN.gpu)


def test_times_that_are_none_are_left_out_and_counted(tmp_path: Path) -> None:
    good = kineto_events(DRAWN)
    bad = [good[-1].replace('"dur"', '"other"'), good[-1].replace('"ts": ', '"ts": 1e99, "was": ')]
    held = read(tmp_path, kineto_json([*good, *bad]))
    assert codes(held) == {"unreadable_times": 2}
    assert held.gpu.height == DRAWN.gpu.height


def test_files_of_2021(tmp_path: Path) -> None:
    events = [
        '{"ph": "X", "cat": "Kernel", "name": "k", "pid": 0, "tid": "stream 7", "ts": 5, "dur": 2, '
        '"args": {"correlation": 4, "external id": 2}}',
        '{"ph": "X", "cat": "Runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": "9", "ts": 1, "dur": 2, '
        '"args": {"correlation": 4, "external id": 2}}',
    ]
    held = read(tmp_path, kineto_json(events))
    row = held.gpu.row(0, named=True)
    assert (row["device"], row["stream"], row["start_ns"], row["external"]) == ("0", 7, 5000, 2)
    assert analyze(held).links.linked == 1
    assert codes(held) == {"coarse_clock": 1}


def test_a_bare_list_of_events(tmp_path: Path) -> None:
    held = read(tmp_path, ("[" + ",".join(kineto_events(DRAWN)) + "]").encode())
    assert held.gpu.equals(DRAWN.gpu)
    assert not held.findings


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"hello", b'{"a": 1}', b"\0" * 100, b"\x1f\x8b\x08\0" + b"\0" * 50])
def test_what_is_no_trace_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(TraceError) as caught:
        read(tmp_path, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("data", [kineto_json(DRAWN), ("[" + ",".join(kineto_events(DRAWN)) + "]").encode()])
def test_a_byte_order_mark_is_no_cut(tmp_path: Path, data: bytes, pack: Callable[[bytes], bytes]) -> None:
    held = read(tmp_path, pack(b"\xef\xbb\xbf" + data))
    assert held.gpu.equals(DRAWN.gpu)
    assert not held.findings


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (kineto_json(DRAWN).decode().encode("utf-16"), "text in UTF-16"),
        (b"\x28\xb5\x2f\xfd" + b"0" * 100, "zstd data is damaged"),
        (b"PK\x03\x04" + b"0" * 100, "a damaged or locked archive"),
    ],
)
def test_what_wraps_a_trace_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(TraceError, match=said):
        read(tmp_path, data)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TraceError, match="a pipe or a device"):
        read_trace(tmp_path / "pipe")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(TraceError):
            read_trace(path)


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    data = kineto_json(DRAWN)
    (tmp_path / "t.json").write_bytes(data)
    seen: list[tuple[int, int]] = []
    read_trace(tmp_path / "t.json", progress=lambda read_, total: seen.append((read_, total)))
    assert seen[-1] == (len(data), len(data))


def test_python_stacks_are_kept_but_for_built_in_functions(tmp_path: Path) -> None:
    stack = (
        python("train.py(3): step", 0, 90),
        python("<built-in function len>", 5, 6),
        python("nn.Module: L_0", 10, 20),
    )
    held = read(tmp_path, kineto_json(trace(kernel(100, 110, launched=(10, 20)), *stack)))
    assert held.python.rows() == [("train.py(3): step", 1, 1, 0, 90), ("nn.Module: L_0", 1, 1, 10, 10)]
    assert not held.findings
