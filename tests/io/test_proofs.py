"""What a reader finds names the events that prove it; every code says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.analysis.trace.proof import ADVICE
from rope_prof.io.kineto.reader import KinetoReader
from rope_prof.io.rocm.records import CALLS, COPIES, DISPATCHES, rocm_trace
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import NAMED
from rope_prof.views.blocks.findings import finding_words
from tests.io.packets import begin, data, end, spans, track, words


def kernel(number: int, **args: Any) -> dict[str, Any]:
    place = {"device": 0, "stream": 7, "correlation": number} | args
    return {
        "ph": "X",
        "cat": "kernel",
        "name": f"k{number}",
        "pid": 0,
        "tid": 7,
        "ts": number * 10.5,
        "dur": 4,
        "args": place,
    }


KERNELS = [json.dumps(kernel(number)) for number in range(1, 6)]


def found(code: str, *events: str, after: str = "]}") -> tuple[int, list[tuple[Any, ...]]]:
    text = f'{{"traceEvents": [{", ".join(events)}{after}'
    trace = KinetoReader("t.json").read(iter([text.encode()]))
    (one,) = [finding for finding in analyze(trace).integrity.findings if finding.code == code]
    assert one.do == ADVICE[code]
    return one.count, [(event["kind"], event["name"], event["start_ns"], event["dur_ns"]) for event in one.events]


def test_an_event_with_a_key_twice_is_named() -> None:
    twice = KERNELS[3].replace('"device": 0', '"device": 0, "graph node id": 1, "graph node id": 7')
    assert found("duplicate_keys", *KERNELS[:3], twice, KERNELS[4]) == (1, [("gpu", "k4", 42000, 4000)])


def test_a_mended_event_is_named_with_its_own_name() -> None:
    odd = KERNELS[1].replace('"k2"', '"C:\\users\\k2"')
    assert found("mended_events", KERNELS[0], odd, *KERNELS[2:]) == (1, [("gpu", "C:\\users\\k2", 21000, 4000)])


def test_a_damaged_event_is_named_as_far_as_it_can_be_read() -> None:
    broken = KERNELS[1].replace('"args": {', '"args": {{')
    assert found("damaged_events", KERNELS[0], broken, *KERNELS[2:]) == (1, [("gpu", "k2", 21000, 4000)])


def test_an_event_without_a_time_is_named_and_says_so() -> None:
    late = KERNELS[1].replace('"ts": 21.0', '"ts": "soon"')
    assert found("unreadable_times", KERNELS[0], late, *KERNELS[2:]) == (1, [("gpu", "k2", None, 4000)])
    trace = KinetoReader("t.json").read(iter([f'{{"traceEvents": [{late}, {KERNELS[0]}]}}'.encode()]))
    lines = [words.text for words in finding_words(analyze(trace), "t.json")]
    assert "    see: 'k2' at no readable time" in lines


def test_an_event_of_an_odd_place_is_named() -> None:
    odd = KERNELS[1].replace('"stream": 7', '"stream": "x"')
    assert found("odd_places", KERNELS[0], odd, *KERNELS[2:]) == (1, [("gpu", "k2", 21000, 4000)])


def test_events_of_a_second_array_are_named() -> None:
    after = f'], "traceEvents": [{KERNELS[4]}]}}'
    assert found("second_array", *KERNELS[:4], after=after) == (1, [("gpu", "k5", 52500, 4000)])


def test_no_more_events_are_named_than_one_looks_at_and_the_first_of_the_file() -> None:
    odd = [json.dumps(kernel(number, stream="x")) for number in range(1, 6)]
    count, events = found("odd_places", *odd)
    assert (count, [event[1] for event in events]) == (5, ["k1", "k2", "k3"][:NAMED])


@pytest.mark.parametrize("code", ["cut_json", "no_window_end"])
def test_a_file_that_ends_early_names_its_last_event(code: str) -> None:
    assert found(code, *KERNELS, after=', {"ph": "X", "na') == (1, [("gpu", "k5", 52500, 4000)])


def test_merged_ranks_are_named_by_the_first_event_of_each() -> None:
    ranks = [
        {**kernel(number), "pid": f"[TP0{number % 2}] 0", "name": f"k{number} of {number % 2}"}
        for number in range(1, 5)
    ]
    count, events = found("merged_processes", *map(json.dumps, ranks))
    assert (count, [event[1] for event in events]) == (2, ["k1 of 1", "k2 of 0"])


def test_a_dispatch_of_rocm_without_a_time_is_named() -> None:
    rows = {"name": ["k1", "k2"], "device": ["0", "0"], "start_ns": [0, 5], "end_ns": [0, 9]}
    dispatches = pl.DataFrame(rows).select(
        (pl.col(name) if name in rows else pl.lit(None)).cast(dtype).alias(name) for name, dtype in DISPATCHES.items()
    )
    empty = (pl.DataFrame(schema=COPIES), pl.DataFrame(schema=CALLS))
    (finding,) = rocm_trace("t", "rocpd", dispatches, *empty, device_names={}).findings
    assert [(event["kind"], event["name"]) for event in finding.events] == [("gpu", "k1")]


def on_clock(number: int, made: Any) -> Any:
    made.timestamp_clock_id = number
    return made


def noted(number: int, made: Any) -> Any:
    made.track_event.debug_annotations.add(name_iid=number, int_value=1)
    return made


@pytest.mark.parametrize(
    ("code", "made", "told"),
    [
        (
            "unpaired_ends",
            [track(3, "stream 7"), end(9, track=4), end(5, track=3), spans((10, 20))],
            [("host", "(unnamed, on track stream 7)", 5, None), ("host", "(unnamed, on track 4)", 9, None)],
        ),
        ("unknown_clock", [on_clock(200, begin(5, "late", "kernel")), spans((0, 10))], [("host", "late", None, None)]),
        (
            "missing_words",
            [
                words(categories={1: "kernel"}),
                track(1, "STREAM [7] AGENT [0]"),
                begin(2, 9, 1),
                end(6),
                spans((20, 30)),
            ],
            [("gpu", "(unnamed, on track STREAM [7] AGENT [0])", 2, 4)],
        ),
        ("missing_words", [spans((0, 10)), noted(9, begin(20, "k", "kernel")), end(30)], [("host", "k", 20, 10)]),
    ],
)
def test_events_of_a_native_trace_are_named_by_what_it_tells(
    tmp_path: Path, code: str, made: list[Any], told: list[tuple[Any, ...]]
) -> None:
    path = tmp_path / "a.pftrace"
    path.write_bytes(data(*made))
    (one,) = [finding for finding in read_trace(path).findings if finding.code == code]
    assert [tuple(event.values()) for event in one.events] == told and one.count == len(told)


def codes(repository: Path) -> set[str]:
    """Every code that the sources give a finding."""
    text = "\n".join(
        file.read_text()
        for room in ("io", "analysis/trace")
        for file in (repository / "rope_prof" / room).rglob("*.py")
    )
    told = re.findall(r'\bcode="([a-z_]+)"', text) + re.findall(r'_found\(\s*"([a-z_]+)"', text)
    tables = re.findall(r"^_DETAILS: Final = \{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    return {*told, *(code for table in tables for code in re.findall(r'^    "([a-z_]+)":', table, re.MULTILINE))}


def test_every_finding_says_what_to_do(repository: Path) -> None:
    every = codes(repository)
    assert {"mended_events", "cut_gzip", "copies_without_way", "clock_shift", "captured_launches"} <= every
    assert every - ADVICE.keys() == set()
