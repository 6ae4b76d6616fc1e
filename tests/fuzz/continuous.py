"""Mutated files without end: whatever the bytes, they are read, or there is one error of ours.

    python -m tests.fuzz.continuous --seconds 28800 --seed 1      # a night

Hypothesis draws a kind of file, one of its corpus (`corpora`) and some changes of bytes, numbers and structure; what
each of them makes of the one before is read in this process (`targets`). The first other exception, or one input that
takes `LONGEST_S` of processor time or up to twice that, ends the run: hypothesis makes the input smaller as long as it
fails, and it is written to `--keep`. CI goes on for two minutes, the tests for a few hundred.
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rope_prof.errors import RopeProfError
from tests.fuzz.targets import TARGETS

LONGEST_S: Final = 20.0
_BATCH: Final = 1000
_VALUES: Final = (
    *(b"null", b"true", b"[]", b"{}", b'""', b"-1", b"0", b"1e9", b"0.5", b'"x"', b"NaN", b"1e400", b"1e-400"),
    *(b"99999999999999999999", b"9223372036854775807", b"-9223372036854775808", b'"\\ud800"', b'[{"a":1}]'),
)
_BYTES: Final = (b"\xe9", b'"', b"\\", b",", b"}", b"]", b"{", b"[", b"\n", b"\xf0\x9f", b"\x00", b":", b"\x7f", b"/")
#: (how, where, how long, which): where is a share of the input's length.
_CHANGE: Final = st.tuples(st.integers(0, 6), st.integers(0, 9999), st.integers(0, 40), st.integers(0, 17))
Change = tuple[int, int, int, int]


def changed(data: bytes, change: Change) -> bytes:
    """One change: a byte, a hole, a doubled piece, another value, a cut, a bit, a word between."""
    how, where, length, which = change
    at = where * len(data) // 10_000
    to = at + length
    if how == 0:
        return data[:at] + _BYTES[which % len(_BYTES)] + data[at + 1 :]
    if how == 1:
        return data[:at] + data[to:]
    if how == 2:
        return data[:to] + data[at:to] + data[to:]
    if how == 3:
        colon = data.find(b":", at)
        ends = [end for mark in (b",", b"}") if (end := data.find(mark, colon)) > 0]
        return data if colon < 0 or not ends else data[: colon + 1] + _VALUES[which] + data[min(ends) :]
    if how == 4:
        return data[:at] if length == 0 else data
    if how == 5:
        return data[:at] + bytes(byte ^ 1 << which % 8 for byte in data[at : at + 1]) + data[at + 1 :]
    return data[:at] + _VALUES[which] + data[at:]


@dataclass
class Fuzzer:
    """One run of it. `outcomes`: (kind of file, `read` or the error's name) -> how often."""

    folder: Path
    keep: Path
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    slowest_s: float = 0.0
    tries: int = 0

    def __post_init__(self) -> None:
        self.corpus = {name: target.corpus(self.folder) for name, target in TARGETS.items()}

    def batch(self, most: int, seed: int) -> None:
        """Try `most` inputs or a few more; raises what is no error of ours, its smallest input in `keep`."""
        kinds = [name for name, target in TARGETS.items() for _ in range(target.weight)]

        @hypothesis.seed(seed)
        @settings(
            max_examples=-(-most // 2),
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(kinds), st.integers(0, 99), st.lists(_CHANGE, min_size=1, max_size=4))
        def holds(kind: str, which: int, changes: list[Change]) -> None:
            seeds = self.corpus[kind]
            data = seeds[which % len(seeds)]
            for change in changes:
                data = changed(data, change)
                self.one(kind, data)

        holds()

    def one(self, kind: str, data: bytes) -> None:
        """Read one input."""
        began, outcome = time.process_time(), "read"
        self.tries += 1
        try:
            TARGETS[kind].tried(data, self.folder)
        except RopeProfError as error:
            assert str(error).strip() and str(error).isprintable(), f"no one line: {error}"
            outcome = type(error).__name__
        except BaseException:
            self.keep.write_bytes(data)
            raise
        self.slowest_s = max(self.slowest_s, time.process_time() - began)
        self.outcomes[kind, outcome] += 1

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, an input that still runs at two looks of the processor's clock is ended by a TimeoutError."""
        seen = -1

        def look(*_: object) -> None:
            nonlocal seen
            if seen == self.tries:
                raise TimeoutError(f"one input takes over {LONGEST_S:.0f} s of processor time")
            seen = self.tries

        before = signal.signal(signal.SIGVTALRM, look)
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S, LONGEST_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)

    def lines(self) -> list[str]:
        """What came of it, a line for each kind of file."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        found = {kind: {what: n for (of, what), n in self.outcomes.items() if of == kind} for kind in TARGETS}
        total = f"{self.outcomes.total():,} inputs, the slowest {self.slowest_s:.2f} s, peak {peak:,.0f} MB"
        return [total, *(f"{kind}: {outcomes}" for kind, outcomes in found.items())]


def run(*, seconds: float, most: int, seed: int, keep: Path, told: int = 20_000) -> Fuzzer:
    """Try until the time or the number is up, with a line each `told` inputs."""
    began, number, said = time.monotonic(), 0, told
    with tempfile.TemporaryDirectory(prefix="rope_prof-fuzz-") as scratch:
        fuzzer = Fuzzer(Path(scratch), keep)
        with fuzzer.watched():
            while (left := most - fuzzer.outcomes.total()) > 0 and time.monotonic() - began < seconds:
                fuzzer.batch(min(_BATCH, left), seed * 1_000_003 + number)
                number += 1
                if fuzzer.outcomes.total() >= said:
                    said += told
                    sys.stdout.write(f"{fuzzer.lines()[0]}, {time.monotonic() - began:.0f} s\n")
                    sys.stdout.flush()
    return fuzzer


def main() -> int:
    """Print the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--most", type=int, default=1 << 62)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found.bin"))
    asked = parser.parse_args()
    fuzzer = run(seconds=asked.seconds, most=asked.most, seed=asked.seed, keep=asked.keep)
    sys.stdout.write("\n".join(fuzzer.lines()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
