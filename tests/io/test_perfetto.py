"""Native Perfetto traces read: clocks, words, sequences, tracks; and files that are cut, foreign or out of order."""

from __future__ import annotations

import gzip
import subprocess
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl
import pytest
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import TraceError
from rope_prof.io.perfetto import blocks, match, texts
from rope_prof.io.perfetto import protos as protos_read
from rope_prof.io.perfetto.frames import Looked
from rope_prof.io.perfetto.scan import scan
from rope_prof.io.perfetto.slices import pairs
from rope_prof.io.perfetto.words import read_words
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from tests.io.packets import CLEARED, begin, data, end, packet, spans, track, words


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """The trace of a file that holds these bytes."""

    def read(raw: bytes) -> Trace:
        path = tmp_path / "a.bin"
        path.write_bytes(raw)
        return read_trace(path)

    return read


def times(trace: Trace) -> list[tuple[str, int, int]]:
    return trace.gpu.select("name", "start_ns", "dur_ns").rows()


def codes(trace: Trace) -> dict[str, int]:
    return {found.code: found.count for found in trace.findings}


def noted(at: int, args: list[tuple[int, int]]) -> list[Any]:
    """A kernel of 5 ns whose arguments are (number of the name, value)."""
    first = begin(at, "k", "kernel")
    for number, value in args:
        first.track_event.debug_annotations.add(name_iid=number, int_value=value)
    return [first, end(at + 5)]


def test_a_kernel_is_read_to_the_nanosecond_with_what_it_says(read: Any) -> None:
    start = 1_790_000_000_123_456_789
    made = spans((start, start + 1_003), name="axpy", correlation=-5, External_id=7, bytes=1 << 40, grid="8x1x1")
    trace = read(data(made))
    assert trace.format == "perfetto" and times(trace) == [("axpy", start, 1_003)]
    (row,) = trace.gpu.to_dicts()
    assert (row["device"], row["stream"], row["correlation"], row["external"]) == ("0", 7, -5, 7)
    assert (row["bytes"], row["grid"], row["kind"]) == (1 << 40, "8x1x1", "kernel")
    assert not trace.findings


def test_words_of_a_sequence_are_its_own_and_begin_anew_when_it_is_cleared(read: Any) -> None:
    made = [
        words(1, names={1: "first"}, categories={1: "kernel"}),
        words(2, names={1: "other"}, categories={1: "kernel"}),
        begin(10, 1, 1, track=1, sequence=1),
        begin(11, 1, 1, track=2, sequence=2),
        end(20, track=1),
        end(21, track=2, sequence=2),
        words(1, names={1: "again"}, categories={1: "kernel"}),
        begin(30, 1, 1, track=1, sequence=1),
        end(40, track=1),
    ]
    assert times(read(data(made))) == [("first", 10, 10), ("other", 11, 10), ("again", 30, 10)]


def test_words_that_are_missing_are_counted_and_withhold(read: Any) -> None:
    trace = read(data(words(categories={1: "kernel"}), begin(0, 9, 1), end(10), spans((20, 30))))
    assert codes(trace) == {"missing_words": 1}
    assert analyze(trace).devices[0].idle_share is None


def test_arguments_that_nobody_reads_are_left_out_and_those_read_are_not(read: Any) -> None:
    """Told before, told anew after the sequence was cleared, and never told: the last is counted, whatever it was."""
    args = [(1, 5), (2, 99)]
    made = [words(notes={1: "correlation", 2: "share of the span"}), *noted(10, args), *noted(30, args)]
    trace = read(data(made))
    assert trace.gpu["correlation"].to_list() == [5, 5] and not trace.findings
    again = [words(notes={2: "correlation"}), *noted(50, [(2, 7)]), *noted(70, [(1, 8)])]
    trace = read(data(made, again))
    assert trace.gpu["correlation"].to_list() == [5, 5, 7, None]
    assert codes(trace) == {"missing_words": 1}


def test_an_argument_that_the_scan_was_not_asked_for_is_a_fault_of_the_program() -> None:
    found = scan(iter(()), frozenset({"correlation"}))
    look = Looked(found, read_words(found))
    assert look.numbers(pl.Series([], dtype=pl.Int64), "correlation").is_empty()
    with pytest.raises(KeyError, match="stream"):
        look.numbers(pl.Series([], dtype=pl.Int64), "stream")


def test_slices_nest_on_their_track_whatever_the_order_in_the_file(read: Any) -> None:
    outer, inner = begin(0, "outer", "user_annotation"), begin(10, "inner", "user_annotation")
    trace = read(data(end(40), inner, end(20), outer, spans((1, 2), track=2)))
    assert trace.ranges.select("name", "start_ns", "dur_ns").rows() == [("inner", 10, 10), ("outer", 0, 40)]


def test_an_incremental_clock_counts_from_the_packet_before(read: Any) -> None:
    snapshot = packet(3, CLEARED)
    for clock, at in ((6, 5_000), (64, 1_000)):
        snapshot.clock_snapshot.clocks.add(
            clock_id=clock, timestamp=at, is_incremental=clock == 64, unit_multiplier_ns=10 if clock == 64 else 1
        )
    snapshot.trace_packet_defaults.timestamp_clock_id = 64
    snapshot.trace_packet_defaults.track_event_defaults.track_uuid = 9
    instant = packet(3, at=2)
    instant.track_event.type = 3
    made = [snapshot, begin(1, "k", "kernel", sequence=3), instant, end(3, sequence=3)]
    for one in made:
        one.track_event.ClearField("track_uuid") if one.HasField("track_event") else None
    # The snapshot reads 10,000 ns where the boot clock reads 5,000; one, three and six units of 10 ns later.
    assert times(read(data(made))) == [("k", 5_010, 50)]


def test_a_clock_that_nothing_joins_to_the_files_own_is_said(read: Any) -> None:
    strange = begin(5, "k", "kernel")
    strange.timestamp_clock_id = 200
    trace = read(data(strange, spans((0, 10), (20, 30))))
    assert codes(trace)["unknown_clock"] == 1 and len(times(trace)) == 2


def test_two_clocks_are_joined_by_their_snapshot(read: Any) -> None:
    snapshot = packet(0)
    snapshot.clock_snapshot.clocks.add(clock_id=6, timestamp=100)
    snapshot.clock_snapshot.clocks.add(clock_id=1, timestamp=1_000_000)
    late = spans((1_000_050, 1_000_060))
    for one in late:
        one.timestamp_clock_id = 1
    trace = read(data(snapshot, late, spans((100, 120), track=2)))
    assert sorted(times(trace)) == [("k", 100, 20), ("k", 150, 10)]
    assert trace.base_time_ns == 999_900


def test_packets_packed_inside_one_and_files_packed_whole(read: Any) -> None:
    inner = data(spans((0, 10), (20, 30)))
    packed = protos.TracePacket(compressed_packets=zlib.compress(inner))
    raw = protos.Trace(packet=[packed]).SerializeToString()
    whole = raw + data(spans((40, 50)))
    assert times(read(whole)) == [("k", 0, 10), ("k", 20, 10), ("k", 40, 10)]
    assert times(read(gzip.compress(whole))) == times(read(whole))


def test_a_bomb_of_packed_packets_is_refused(read: Any) -> None:
    bomb = protos.TracePacket(compressed_packets=zlib.compress(bytes(32 << 20), 9))
    with pytest.raises(TraceError, match="limits against bombs"):
        read(data(spans((0, 10))) + protos.Trace(packet=[bomb]).SerializeToString())


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_cut_file_gives_its_whole_packets_and_says_so(read: Any, cut: int) -> None:
    made = data(spans(*((k * 20, k * 20 + 10) for k in range(10))))
    trace = read(made[:-cut])
    assert trace.gpu.height == 9
    assert set(codes(trace)) & {"cut_packets", "unreadable_times"}
    assert analyze(trace).devices[0].idle_share is None


def test_bytes_that_are_no_packets_end_the_reading_and_are_said(read: Any) -> None:
    trace = read(data(spans((0, 10), (20, 30))) + b"\x00" * 1000)
    assert len(times(trace)) == 2 and codes(trace)["damaged_packets"] == 1


def test_a_packet_that_is_no_message_is_left_out_and_counted(read: Any) -> None:
    held = data(spans((0, 10), (20, 30)))
    trace = read(held + b"\x0a\x03\x0f\x0f\x0f" + data(spans((40, 50))))
    assert len(times(trace)) == 3 and codes(trace) == {"damaged_packets": 1}


@pytest.mark.parametrize("seed", range(4))
def test_packets_of_sequences_and_tracks_interleaved_in_any_order_are_the_same_trace(read: Any, seed: int) -> None:
    lanes = [spans(*((k * 20 + n, k * 20 + 10 + n) for k in range(12)), name=f"k{n}", track=n) for n in (1, 2, 3)]
    for made in lanes[2]:
        made.trusted_packet_sequence_id = 2
    head = [words(sequence, notes={9: "unread"}) for sequence in (1, 2)]
    flat = [one for lane in lanes for one in lane]
    Random(seed).shuffle(flat)
    trace = read(data(head, flat))
    assert sorted(times(trace)) == sorted(times(read(data(head, *lanes)))) and trace.gpu.height == 36
    assert not codes(trace)


def test_foreign_packets_between_ours_change_nothing(read: Any) -> None:
    """ftrace, a field of the future, an event of a type that is none, a packet without anything."""
    strange = [
        protos.TracePacket(timestamp=15, ftrace_events=protos.FtraceEventBundle(cpu=1)),
        protos.TracePacket(),
        packet(at=16),
    ]
    strange[2].track_event.type = 4  # a counter
    future = bytes([0x0A, 6, 0xE2, 0xFF, 0x7F, 2, 0xAA, 0xBB])  # field 262,140, two bytes
    ours = spans((0, 10), (20, 30))
    trace = read(data(ours[:2], strange) + future + data(ours[2:]))
    assert times(trace) == [("k", 0, 10), ("k", 20, 10)] and not codes(trace)


#: What a process says of its memory after reading a file: the error, most resident bytes.
_READING = """
import resource, sys
from pathlib import Path
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    said = read_trace(Path(sys.argv[1])).events
except TraceError as error:
    said = error
print(said, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sep="|")
"""


def test_ten_gigabytes_of_zeros_packed_are_refused_in_little_memory(tmp_path: Path) -> None:
    zeros = gzip.compress(bytes(64 << 20), 1)
    path = tmp_path / "bomb.pftrace"
    with path.open("wb") as file:
        file.write(gzip.compress(data(spans((0, 10)))))
        for _ in range(160):
            file.write(zeros)
    done = subprocess.run([sys.executable, "-c", _READING, path], capture_output=True, text=True, check=True)
    said, kilobytes = done.stdout.strip().split("|")
    assert "bomb.pftrace" in said and int(kilobytes) < 400_000


def test_lost_packets_and_ends_without_a_begin_are_said(read: Any) -> None:
    lost = packet(previous_packet_dropped=1)
    first = packet(previous_packet_dropped=1, first_packet_on_sequence=True)
    trace = read(data(first, end(5), spans((10, 20)), lost))
    assert codes(trace) == {"lost_packets": 1, "unpaired_ends": 1}


def test_text_that_begins_with_a_blank_line_is_no_perfetto(read: Any) -> None:
    event = '{"ph": "X", "cat": "kernel", "name": "k", "ts": 1.000, "dur": 2.000, "pid": 0, "tid": 7, "args": {}}'
    trace = read(("\n{" + " " * 200 + f'"traceEvents": [{event}]}}').encode())
    assert trace.format == "kineto" and trace.gpu.height == 1


def test_events_of_nobody_we_know_are_counted_and_nobody_is_told_of_cuda(read: Any) -> None:
    found = analyze(read(data(spans((0, 10), category="android.input"))))
    assert found.integrity.verdict == "unusable"
    assert all("CUDA" not in one.detail for one in found.integrity.findings)


def test_more_shapes_than_are_kept_are_read_one_by_one(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "MOST_SHAPES", 1)
    made = spans(*((10**k, 10**k + 3) for k in range(1, 18)))
    assert times(read(data(made))) == [("k", 10**k, 3) for k in range(1, 18)]


def test_blocks_change_nothing(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = data([words(names={1: "k"}, categories={1: "kernel"})], spans(*((k, k + 5) for k in range(0, 4_000, 10))))
    whole = read(made)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert read(made).gpu.equals(whole.gpu)


def test_numbers_of_every_width_are_read() -> None:
    numbers = [0, 1, *(1 << k for k in range(1, 64)), (1 << 64) - 1]
    raw, places = bytearray(), []
    for number in numbers:
        places.append(len(raw))
        while number > 0x7F:
            raw.append(number & 0x7F | 0x80)
            number >>= 7
        raw.append(number)
    found, sizes = blocks.varints(np.frombuffer(bytes(raw) + bytes(16), np.uint8), np.array(places))
    assert [int(one) % (1 << 64) for one in found] == numbers
    assert places == [0, *np.cumsum(sizes)[:-1].tolist()]


def test_numbers_of_one_length_are_those_that_are_looked_for() -> None:
    for length in range(1, 11):
        low, high = (1 << 7 * (length - 1) if length > 1 else 0), min((1 << 7 * length) - 1, (1 << 64) - 1)
        wanted = [low, high, (low + high) // 3]
        raw = np.frombuffer(b"".join(_encoded(one) for one in wanted) + bytes(16), np.uint8)
        at = np.arange(3) * length
        assert blocks.numbers(raw, at, length).tolist() == blocks.varints(raw, at)[0].tolist()


def _encoded(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 24])
@pytest.mark.parametrize("spread", [texts.SPREAD, np.uint64(0)])
def test_texts_are_told_apart_even_where_their_sums_are_alike(
    monkeypatch: pytest.MonkeyPatch, length: int, spread: np.uint64
) -> None:
    monkeypatch.setattr(texts, "SPREAD", spread)  # 0: the sum is the last word alone
    rng = np.random.default_rng(length)
    raw = rng.integers(0, 3, 40_000, np.uint8)
    places = rng.integers(0, len(raw) - 40, 3_000)
    held, which = texts.distinct(raw, places, length)
    assert [held[k] for k in which] == [raw[at : at + length].tobytes() for at in places.tolist()]
    assert len(set(held)) == len(held)


def test_pairs_are_those_of_a_stack() -> None:
    """Against a stack in plain Python, on random begins and ends of three tracks."""
    random = np.random.default_rng(0)
    track, at = random.integers(0, 3, 600), np.sort(random.integers(0, 500, 600))
    begins = random.random(600) < 0.5
    begin_rows, end_rows, loose = pairs(track, at, begins)
    stacks: dict[int, list[int]] = {0: [], 1: [], 2: []}
    ends, none = {}, []
    for row in range(600):
        stack = stacks[int(track[row])]
        if begins[row]:
            stack.append(row)
        elif stack:
            ends[stack.pop()] = row
        else:
            none.append(row)
    assert begin_rows.tolist() == np.flatnonzero(begins).tolist() and loose.tolist() == none
    assert end_rows.tolist() == [ends.get(int(row), -1) for row in begin_rows]


def test_words_that_are_no_utf8_are_read_with_a_mark(read: Any) -> None:
    sound = data(track(1, "QUEUE [7]"), spans((10, 20), (30, 45), name="kernel_of_mine"), words(names={1: "word"}))
    for word in (b"QUEUE [7]", b"word"):
        assert word in sound
        assert read(sound.replace(word, word[:2] + b"\xe9" + word[3:])).gpu.height == 2
    assert set(read(sound.replace(b"of_mine", b"of\xe9mine")).gpu["name"]) == {"kernel_of\ufffdmine"}


def test_a_table_of_words_that_is_damaged_inside_is_said(read: Any) -> None:
    damaged = words(names={1: "word"})
    damaged.interned_data.MergeFromString(b"\xc2\x3e\x01\xff")  # of kernels, which the library does not know yet
    trace = read(data(damaged, spans((10, 20))))
    assert trace.gpu.height == 1
    assert codes(trace) == {"damaged_packets": 1}


@pytest.mark.parametrize("name", protos_read.MESSAGES)
def test_the_fields_that_are_read_are_perfettos(name: str) -> None:
    inner = {"Process": protos.ProcessTree.Process, "Clock": protos.ClockSnapshot.Clock}
    theirs = (inner.get(name) or getattr(protos, name)).DESCRIPTOR
    for field in protos_read.message(name).DESCRIPTOR.fields:
        told = theirs.fields_by_number[field.number]
        assert (field.name, field.type, field.is_repeated) == (told.name, told.type, told.is_repeated)
        assert (field.message_type and field.message_type.name) == (told.message_type and told.message_type.name)
    for field in protos_read.ALTERNATIVES.get(name, ()):
        assert theirs.fields_by_name[field].containing_oneof is not None
