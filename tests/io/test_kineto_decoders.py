"""The decoders of events differ in speed alone: whatever the first one takes, each reads the same."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.io.kineto import events as kineto_events
from rope_prof.io.kineto import pieces
from rope_prof.io.kineto import repeats as kineto_repeats
from rope_prof.io.kineto.columns import Columns, read_columns

READ = ("kernel", "gpu_memcpy", "gpu_memset", "cpu_op", "user_annotation", "overhead", "cuda_runtime", "hip_driver")
UNREAD = ("python_function", "gpu_user_annotation", "cuda_sync", "new_category")
ARROWS = ("ac2g", "fwdbwd")
SCALARS = st.sampled_from(["7", '"7"', '"stream 7"', "0", "null", "2.0", '"x"', str(1 << 70)])
ARGS = {
    "device": SCALARS,
    "stream": SCALARS,
    "correlation": SCALARS,
    "External id": SCALARS,
    "external id": SCALARS,
    "cbid": SCALARS,
    "bytes": SCALARS,
    "registers per thread": SCALARS,
    "shared memory": SCALARS,
    "graph id": SCALARS,
    "graph node id": SCALARS,
    "grid": st.sampled_from(["[8, 1, 1]", "[]"]),
    "block": st.sampled_from(["[32, 4, 1]"]),
    "Input Dims": st.sampled_from(["[[2, 3], []]", "[]"]),
    "Input type": st.sampled_from(['["float", ""]']),
}


@st.composite
def event(draw: st.DrawFn, categories: tuple[str, ...] = (*READ, *UNREAD, *ARROWS)) -> str:
    """One event of a category that Kineto writes, its phase mostly the usual one."""
    category = draw(st.sampled_from(categories))
    arrow = category in ARROWS
    read = category in READ
    phase = draw(st.sampled_from(["s", "f"] if arrow else ["X"] if read else ["X", "X", "i"]))
    name = draw(st.sampled_from(["a", "b", "Record Window End", "void k<{lambda}>"]))
    keys = {"ph": f'"{phase}"', "cat": f'"{category}"', "name": f'"{name}"', "pid": draw(SCALARS), "tid": draw(SCALARS)}
    keys["ts"] = draw(st.sampled_from(["1.5", "1419247332977.978", "12", "-3.001", '"4.5"', "null"]))
    if phase == "X":
        keys["dur"] = draw(st.sampled_from(["2.582", "0", "1.0005"]))
    if not arrow and draw(st.booleans()):
        held = draw(st.lists(st.sampled_from(sorted(ARGS)), unique=True))
        texts = [f'"{key}": {draw(ARGS[key])}' for key in held]
        keys["args"] = "{" + ", ".join(texts) + "}"
    if read and draw(st.integers(0, 9)) == 0:
        del keys[draw(st.sampled_from(["name", "pid", "tid", "args" if "args" in keys else "name"]))]
    parts = [f'"{key}": {value}' for key, value in keys.items()]
    if draw(st.integers(0, 9)) == 0:
        parts.append(draw(st.sampled_from(parts)))  # a key twice
    return "{" + ", ".join(parts) + "}"


#: What the typed decoder leaves to the next one.
OTHERS = (
    '{"name": "process_name", "ph": "M", "ts": 1.5, "pid": 7, "tid": 0, "args": {"name": "python3"}}',
    '{"name": "process_labels", "ph": "M", "ts": 1.5, "pid": 7, "tid": 0, "args": {"labels": "CPU"}, "pid": 7}',
    '{"name": "Record Window End", "ph": "i", "s": "g", "pid": "", "tid": "", "ts": 1.000}',
    '{"ph": "X", "cat": "new_category", "name": "n", "pid": 1, "tid": 2, "ts": 1, "dur": 2, "args": {}}',
    '{"ph": "f", "cat": "async_gpu", "name": "other", "pid": 1, "tid": 2, "ts": 1, "id": 3}',
)


def repeats(text: str) -> bool:
    found = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal found
        found = found or len(dict(pairs)) < len(pairs)

    json.loads(text, object_pairs_hook=look)
    return found


def told(columns: Columns) -> dict[str, Any]:
    """All that a piece's columns say, names written out."""
    facts = {each.name: getattr(columns, each.name) for each in fields(Columns) if each.name not in ("frames", "texts")}
    frames = {
        frame: rows.with_columns(
            columns.texts.gather(column).alias(column.name)
            for column in rows.iter_columns()
            if column.dtype == pl.UInt32
        ).to_dict(as_series=False)
        for frame, rows in columns.frames.items()
    }
    return facts | {"frames": frames}


@settings(max_examples=120)
@given(st.lists(event() | st.sampled_from(OTHERS), min_size=1, max_size=12), st.sampled_from([1, 300, 1 << 20]))
def test_every_decoder_reads_the_same_and_finds_each_repeat(events: list[str], batch: int) -> None:
    text = ",\n".join(events).encode()
    with pytest.MonkeyPatch.context() as patch:
        strict = told(read_columns(text, last=False))
        patch.setattr(kineto_events, "_BATCH_BYTES", batch)
        in_batches = told(read_columns(text, last=False))
        patch.setattr(kineto_events, "decode_list", _refuse)
        loose = told(read_columns(text, last=False))
    assert strict == in_batches == loose
    assert strict["counts"]["duplicates"] + strict["counts"]["duplicates_unread"] == sum(map(repeats, events))


def test_an_event_without_a_category_hides_no_repeat() -> None:
    twice = '{"ph": "X", "cat": "kernel", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2}'
    none = '{"ph": "X", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2}'
    assert read_columns(f"{twice}, {none}".encode(), last=False).counts["duplicates"] == 1


KERNEL = (
    '{"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, "ts": 1, "dur": 2, "args": {"External id": 5, '
    '"queued": 0, "device": 0, "context": 1, "stream": 7, "correlation": 9, "registers per thread": 32, '
    '"shared memory": 0, "blocks per SM": 0.5, "warps per SM": 4, "grid": [1, 1, 1], "block": [32, 1, 1], '
    '"est. achieved occupancy %": 3, "priority": 0, "Collective name": "allreduce", "graph id": 3, '
    '"graph node id": 7, "dtype": "BFloat16", "mangled (": {"a": 1}}}'
)
OP = '{"ph": "X", "cat": "cpu_op", "name": "o", "pid": 1, "tid": 1, "ts": 1, "dur": 2, "args": {"External id": 5}}'


@pytest.mark.parametrize("key", re.findall('"([^"]+)":', KERNEL))
@pytest.mark.parametrize("value", ["0", '"x"', "{}"])
def test_a_key_that_stands_twice_in_a_gpu_event_is_said_whichever_it_is(key: str, value: str) -> None:
    twice = KERNEL.replace(f'"{key}":', f'"{key}": {value}, "{key}":', 1)
    counts = read_columns(",\n".join([KERNEL, OP, twice, KERNEL, twice, OP]).encode(), last=False).counts
    assert (counts["duplicates"], counts["duplicates_unread"]) == (2, 0)


@pytest.mark.parametrize(
    ("event", "read", "unread"),
    [
        (OP.replace('"args": {', '"args": {"Call stack": "a", "Call stack": "b", '), 0, 1),
        (OP.replace('"args": {', '"args": {"Sequence number": 1, "Sequence number": 2, '), 1, 0),
        (OP.replace("cpu_op", "python_function").replace('"ts"', '"ts": 3, "ts"'), 0, 1),
        (OP.replace('"args": {', '"args": {"x": [{"k": 1}, {"k": 2}, {"a": {}, "a": 1}], '), 0, 1),
        (OP.replace('"args": {', '"args": {"x": [{"k": 1}, {"k": 2}], "y" : 1, '), 0, 0),
        (OP.replace('"args": {', '"args" : {"External id" : 4, '), 1, 0),
        (OP.replace('"name": "o"', '"name": "a \\"ts\\": }, {\\"ts\\": "'), 0, 0),
    ],
)
def test_a_key_that_no_figure_reads_makes_none_doubtful(event: str, read: int, unread: int) -> None:
    for beside in ([], [OP, KERNEL]):
        counts = read_columns(",\n".join([*beside, event, *beside]).encode(), last=False).counts
        assert (counts["duplicates"], counts["duplicates_unread"]) == (read, unread)


def test_one_event_of_each_form_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace of a million events has a few forms; each event parsed once more cost half of the reading."""
    parsed: list[bytes] = []
    look = kineto_repeats.repeated_key
    monkeypatch.setattr(kineto_repeats, "repeated_key", lambda text: parsed.append(text) or look(text))
    mark = '{"name": "process_labels", "ph": "M", "ts": 1.5, "pid": 7, "tid": 0, "args": {"labels": "CPU"}}'
    assert read_columns(",".join([KERNEL, OP, mark] * 50).encode(), last=False).counts["duplicates"] == 0
    assert len(parsed) == 3


def _refuse(_: bytes) -> Any:
    raise UnicodeDecodeError("utf-8", b"", 0, 1, "refused by the test")


@settings(max_examples=40)
@given(st.lists(event(READ), min_size=1, max_size=12))
def test_what_profilers_write_is_taken_at_once(events: list[str]) -> None:
    """Else the slower decoders would do all the work and nothing would say so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kineto_events, "loose", _refuse)
        patch.setattr(kineto_events, "one_by_one", _refuse)
        assert read_columns(",\n".join(events).encode(), last=False).events == len(events)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(0, 200), st.integers(0, 300))
def test_batches_leave_nothing_out_but_commas(parts: list[bytes], size: int, end: int) -> None:
    text = b'}, {"a'.join(parts)
    spans = list(pieces.batches(text, size, min(end, len(text))))
    assert (spans[0][0], spans[-1][1]) == (0, min(end, len(text)))
    for (_, stop), (start, _) in pairwise(spans):
        assert text[stop - 1 : stop] == b"}" and text[stop:start].strip() == b","
