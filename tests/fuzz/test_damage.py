"""Damaged files give a verdict or one clear error: no traceback, no hang, no wrong number in silence.

`ROPE_PROF_FUZZ=50` tries fifty times as many cuts and flips.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import random
import time
from pathlib import Path

import pytest

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.errors import RopeProfError
from rope_prof.io.trace.read import read_trace

REAL = Path(__file__).resolve().parents[2].parent / "shared/real-traces"
MORE = int(os.environ.get("ROPE_PROF_FUZZ", "1"))
LONGEST_S = 30.0

#: File -> how often each damage is tried on every run.
FILES = {
    "02_h100_bert_compile_triton.json.gz": 8,
    "05_mi300_vllm_decode_full_hipgraph.json.gz": 8,
    "10_a100_cudagraph_6stream_int_us.json.gz": 1,
    "14_cuda_event_sync_3stream.json.gz": 25,
    "16_cpu_only_no_gpu.json.gz": 8,
    "17_resnet50_2021_capitalised_cats.json.gz": 1,
    "healthy_1pct.sqlite": 8,
    "h100_2gpu_1s.sqlite": 1,
    "proton_cuda_hatchet.json": 25,
}
CASES = [(name, number) for name, times in FILES.items() for number in range(times * MORE)]


@functools.cache
def _bytes(name: str) -> bytes:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not here: the real traces lie beside the project")
    return path.read_bytes()


@functools.cache
def _kernels(name: str) -> int:
    return sum(use.kernels or 0 for use in analyze(read_trace(REAL / name)).devices)


def _answer(path: Path) -> Analysis | None:
    """The analysis, held to its laws; None where one clear error said why not."""
    began = time.process_time()
    try:
        trace = read_trace(path)
        answer = analyze(trace)
        chains(trace, withheld=answer.integrity.reason)
    except RopeProfError as error:
        assert str(error).strip()
        assert "\n" not in str(error)
        return None
    finally:
        assert time.process_time() - began < LONGEST_S
    json.dumps(answer.as_json())
    for use in answer.devices:
        if use.idle_ns is None or use.busy_ns is None or use.idle_by_cause_ns is None:
            continue
        assert use.busy_ns + use.idle_ns == use.span_ns
        assert sum(use.idle_by_cause_ns.values()) == use.idle_ns
    return answer


def _flipped(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_cut_file_is_never_sound(name: str, number: int, tmp_path: Path) -> None:
    rng = random.Random(f"cut {name} {number}")
    data = _bytes(name)
    path = tmp_path / name
    path.write_bytes(data[: rng.randrange(len(data))])
    answer = _answer(path)
    if answer is None:
        return
    assert sum(use.kernels or 0 for use in answer.devices) <= _kernels(name)
    if name.endswith(".gz"):
        assert answer.integrity.verdict != "sound"


@pytest.mark.parametrize(("name", "number"), [case for case in CASES if case[0].endswith(".gz")])
def test_cut_json_is_never_sound(name: str, number: int, tmp_path: Path) -> None:
    rng = random.Random(f"cut json {name} {number}")
    text = gzip.decompress(_bytes(name))
    path = tmp_path / "t.json"
    path.write_bytes(text[: rng.randrange(len(text) - 2)])
    answer = _answer(path)
    if answer is None:
        return
    kernels = sum(use.kernels or 0 for use in answer.devices)
    assert kernels <= _kernels(name)
    assert answer.integrity.verdict != "sound" or kernels == _kernels(name)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_flipped_bits_keep_the_laws(name: str, number: int, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(_flipped(_bytes(name), random.Random(f"flip {name} {number}")))
    answer = _answer(path)
    if answer is not None and name.endswith(".gz") and answer.integrity.verdict == "sound":
        assert sum(use.kernels or 0 for use in answer.devices) == _kernels(name)


@pytest.mark.parametrize(("name", "number"), [case for case in CASES if case[0].endswith(".gz")])
def test_flipped_bits_of_the_json_keep_the_laws(name: str, number: int, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(_flipped(gzip.decompress(_bytes(name)), random.Random(f"flip json {name} {number}")))
    _answer(path)


def test_a_gzip_bomb_meets_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.json.gz"
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(b'{"traceEvents": [')
        for _ in range(80):
            file.write(b" " * (1 << 20))
    with pytest.raises(RopeProfError, match="limit"):
        read_trace(path)


@pytest.mark.parametrize(
    "text",
    [
        b'{"traceEvents": [' + b"[" * 200_000,
        b'{"traceEvents": [{"ph": "X", "args": ' + b'{"a":' * 200_000,
        b'{"traceEvents": [{"ph": "X", "args": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}]}",
        b'{"a":' * 200_000,
        b"[" * 200_000,
    ],
    ids=["arrays", "open objects", "closed objects", "no events", "top arrays"],
)
def test_deep_nesting_is_one_clear_error_or_a_finding(text: bytes, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_bytes(text)
    answer = _answer(path)
    assert answer is None or answer.integrity.verdict == "unusable"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"null", b"\x1f\x8b", b"\x00" * 99, b"SQLite format 3\x00"])
def test_next_to_nothing_is_refused_or_unusable(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(data)
    answer = _answer(path)
    assert answer is None or answer.integrity.verdict == "unusable"


def test_many_damaged_events_take_time_in_proportion(tmp_path: Path) -> None:
    """Damaged deflate data once took minutes here: the rest of the file was searched behind every bad event."""
    event = b'{"ph": "X", "cat": "kernel", "name": "k", "ts": 1.0; "dur": 1.0, "args": {"device": 0, "stream": 7}}'
    good = event.replace(b";", b",")
    path = tmp_path / "t.json"
    path.write_bytes(b'{"traceEvents": [' + b",\n".join([good, *[event + b" " * 300] * 10_000, good]) + b"]}")
    answer = _answer(path)
    assert answer is not None
    assert answer.integrity.verdict == "suspect"
    assert sum(use.kernels or 0 for use in answer.devices) == 2
