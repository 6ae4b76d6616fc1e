"""Mutated traces without end: whatever the bytes, a trace, or one error of ours.

    python tests/fuzz/continuous.py --seconds 28800 --seed 1      # a night

Starts from small traces of every kind, changes bytes, numbers, names and structure, reads and analyzes each in this
process, and stops at the first other exception, whose input it writes to `--keep`. CI tries a few hundred.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import RopeProfError
from rope_prof.io.run.clean_json import clean_json
from rope_prof.io.run.redact import PrivateWords
from rope_prof.io.trace.read import read_trace

_VALUES: Final = (b"null", b"true", b"[]", b"{}", b'""', b"-1", b"1e9", b"0.5", b'"x"', b"99999999999999999999", b"NaN")
_BYTES: Final = (b"\xe9", b'"', b"\\", b",", b"}", b"]", b"{", b"[", b"\n", b"\xf0\x9f", b"\x00", b":")


def corpus() -> list[bytes]:
    """Small traces to begin with."""
    times = {"ts": 10.5, "dur": 5.25}
    kernel = {"ph": "X", "cat": "kernel", "name": "k", "pid": 0, "tid": 7, **times}
    launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 2, "ts": 4, "dur": 2}
    span = {"ph": "X", "cat": "user_annotation", "name": "step#0", "pid": 1, "tid": 2, "ts": 1, "dur": 30}
    told = {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "python"}}
    events: list[dict[str, Any]] = [told, span]
    for number in range(8):
        events.append(launch | {"ts": 4 + 20 * number, "args": {"correlation": number + 1}})
        args = {"device": 0, "stream": 7, "correlation": number + 1, "grid": [8, 1, 1], "block": [128, 1, 1]}
        events.append(kernel | {"ts": 10.5 + 20 * number, "args": args})
    top = {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "GPU"}], "traceEvents": events, "traceName": "t"}
    proton = [{"frame": {"name": "ROOT"}, "metrics": {}, "children": []}]
    plain = [json.dumps(top).encode(), json.dumps(events).encode(), json.dumps(top, indent=1).encode()]
    return [*plain, gzip.compress(plain[0]), json.dumps(proton).encode()]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """One to four changes of any kind."""
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        to = min(to, at + 40)
        how = chance.randrange(6)
        if how == 0:
            data = data[:at] + chance.choice(_BYTES) + data[at + 1 :]
        elif how == 1:
            data = data[:at] + data[to:]
        elif how == 2:
            data = data[:to] + data[at:to] + data[to:]
        elif how == 3:
            colon = data.find(b": ", at)
            end = min((k for k in (data.find(mark, colon) for mark in (b",", b"}")) if k > 0), default=-1)
            data = data if colon < 0 or end < 0 else data[: colon + 2] + chance.choice(_VALUES) + data[end:]
        elif how == 4:
            data = data[:at]
        else:
            data = data[:at] + chance.choice(_VALUES) + data[at:]
        data = data or b" "
    return data


def tried(data: bytes, path: Path) -> str:
    """What became of one input: `read`, or the kind of the error. Raises what is no error of ours."""
    path.write_bytes(data)
    clean_json(data, PrivateWords({}))
    try:
        analyze(read_trace(path))
    except RopeProfError as error:
        return type(error).__name__
    return "read"


def run(*, seconds: float, most: int, seed: int, keep: Path) -> Counter[str]:
    """Try until the time or the number is up; the outcomes. The input of another exception is in `keep`."""
    chance, seeds, outcomes = random.Random(seed), corpus(), Counter[str]()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rope_prof-fuzz-") as scratch:
        path = Path(scratch) / "trace.json"
        while outcomes.total() < most and time.monotonic() - began < seconds:
            data = mutated(chance.choice(seeds), chance)
            try:
                outcomes[tried(data, path)] += 1
            except Exception:
                keep.write_bytes(data)
                raise
    return outcomes


def main() -> int:
    """Print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--most", type=int, default=1 << 62)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found.bin"))
    asked = parser.parse_args()
    outcomes = run(seconds=asked.seconds, most=asked.most, seed=asked.seed, keep=asked.keep)
    sys.stdout.write(f"{outcomes.total():,} inputs: {dict(outcomes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
