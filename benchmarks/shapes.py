"""Traces of odd shapes, and how the time to analyze, export and show them grows: no valid trace takes more than linear
time.

    python benchmarks/shapes.py --events 50000                # a table: seconds at a quarter and at all, the exponent
    python benchmarks/shapes.py --only nested --write a.json  # the trace itself

Each figure is processor seconds of a fresh process at a quarter of the events and at all of them, less what the
smallest trace takes (imports); the exponent is of those two. `LIMIT_S` seconds is what any of them may take; a process
over `STOPPED_S` is ended.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S, STOPPED_S = 5.0, 60
Event = dict[str, Any]
#: The dashboard's page of one trace, drawn without a browser.
PAGE = """
import sys
from streamlit.testing.v1 import AppTest
from rope_prof.dashboard import FOLDER
sys.argv = ["app.py", "--folder", sys.argv[1]]
page = AppTest.from_file(str(FOLDER / "pages/app.py"), default_timeout=600)
page.query_params["trace"] = "trace.json"
page.switch_page("any_trace.py")
page.run()
sys.exit(len(page.exception) + (len(page.get("bidi_component")) != 1))
"""


def event(cat: str, name: str, ts: float, dur: float, tid: int = 1, **args: Any) -> Event:
    """A complete event of the host."""
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur, "args": args}


def launch(number: int, ts: float, tid: int = 1, name: str = "k", stream: int = 7, device: int = 0) -> Iterator[Event]:
    """A launch call and its kernel 5 µs later."""
    yield event("cuda_runtime", "cudaLaunchKernel", ts, 1, tid, correlation=number + 1)
    place = {"stream": stream, "device": device, "correlation": number + 1}
    yield event("kernel", name, ts + 5, 2, stream, **place) | {"pid": device}


def _launches(n: int, each: float = 10, **more: Any) -> Iterator[Event]:
    for i in range(n):
        yield from launch(i, i * each, **more)


def nested(n: int) -> Iterator[Event]:
    """A third of the events are ranges nested in each other."""
    k = n // 3
    for i in range(k):
        yield event("user_annotation", f"r{i % 50}", i * 0.001, 10.0 * k + 100 - i * 0.002)
    for i in range(k):
        yield from launch(i, k * 0.001 + 1 + i * 9)


def staggered(n: int) -> Iterator[Event]:
    """Ranges of one thread that overlap, each over a thousand others."""
    k = n // 3
    for i in range(k):
        yield event("user_annotation", f"r{i % 7}", i * 10.0, 10_000)
        yield from launch(i, i * 10.0 + 3)


def deep_stairs(n: int) -> Iterator[Event]:
    """Each range begins in the one before and ends after it, over half of the trace."""
    k = n // 3
    for i in range(k):
        yield event("user_annotation", "stair", i * 10.0, k * 5.0)
        yield from launch(i, i * 10.0 + 3)


def many_threads(n: int, spread: int = 1) -> Iterator[Event]:
    """A thread for each launch."""
    for i in range(n // 2):
        yield from launch(i, i * 10.0, tid=10 + i // spread)


def long_syncs(n: int) -> Iterator[Event]:
    """A thread for each launch, each in one long synchronisation."""
    k = n // 3
    for i in range(k):
        yield from launch(i, i * 10.0, tid=10 + i)
        yield event("cuda_runtime", "cudaDeviceSynchronize", i * 10.0 + 2, 10.0 * k, 10 + i)


def thread_ranges(n: int) -> Iterator[Event]:
    """A thousand threads with a long range each."""
    k = n // 2
    for t in range(1000):
        yield event("user_annotation", f"thread {t}", 0, 10.0 * k + 50, 10 + t)
    yield from (e for i in range(k - 500) for e in launch(i, i * 10.0 + 3, tid=10 + i % 1000))


def syncs(n: int) -> Iterator[Event]:
    """Every launch is waited for."""
    for i in range(n // 3):
        yield from launch(i, i * 20.0)
        yield event("cuda_runtime", "cudaStreamSynchronize", i * 20.0 + 1.5, 8)


def nested_ops(n: int) -> Iterator[Event]:
    """Operators nested in each other."""
    k = n // 3
    for i in range(k):
        yield event("cpu_op", f"aten::op{i % 30}", i * 0.001, 10.0 * k + 100 - i * 0.002, **{"Sequence number": i})
    yield from (e for i in range(k) for e in launch(i, k * 0.001 + 1 + i * 9))


def python_calls(n: int) -> Iterator[Event]:
    """Nine of ten events are calls of Python's functions."""
    for i in range(n * 9 // 10):
        args = {"Python id": i, "Python parent id": i - 1}
        yield event("python_function", f"file.py({i % 90}): f", i * 2.0, 1.5, **args)
    yield from _launches(n // 20, each=36)


def hundred_deep(n: int) -> Iterator[Event]:
    """Ranges a hundred deep, again and again."""
    k = n // 102
    for i in range(k):
        for d in range(100):
            yield event("user_annotation", f"d{d}", i * 500.0 + d, 400 - 2.0 * d)
        yield from launch(i, i * 500.0 + 150)


def graph(n: int, each: int) -> Iterator[Event]:
    """Graph launches of `each` kernels."""
    number, now = 0, 0.0
    while number < n:
        first = number
        yield event("cuda_runtime", "cudaGraphLaunch", now, 3, correlation=first + 1)
        for j in range(min(each, n - first)):
            place = {"stream": 7, "device": 0, "correlation": first + 1, "graph node id": j + 1, "graph id": 1}
            yield event("kernel", f"k{j % 40}", now + 5 + 3 * j, 2, 7, **place) | {"pid": 0}
        number, now = first + each, now + 10 + 3.0 * each


def fibonacci(n: int) -> Iterator[Event]:
    """Names that repeat at every length and never with a period."""
    a, b = "0", "01"
    while len(b) < n // 2:
        a, b = b, b + a
    yield from (e for i in range(n // 2) for e in launch(i, i * 10.0, name=f"k{b[i]}"))


def overlapping_kernels(n: int) -> Iterator[Event]:
    """Kernels of two streams, each over the next ten of the other."""
    for i in range(n // 2):
        call, kernel = launch(i, i * 10.0, stream=7 + i % 12)
        yield call
        yield kernel | {"dur": 100}


def spans_all(n: int) -> Iterator[Event]:
    """One kernel of a second stream as long as the trace."""
    yield event("kernel", "long", 0, n * 5.0, 9, stream=9, device=0) | {"pid": 0}
    yield from _launches(n // 2)


def backward(n: int) -> Iterator[Event]:
    """Forward operators in a range, their backward ones on another thread."""
    k = n // 6
    yield event("user_annotation", "forward", 0, 10.0 * k + 5)
    for i in range(k):
        yield event("cpu_op", "aten::mul", i * 10.0, 6, **{"Sequence number": i, "Fwd thread id": 0})
        yield from launch(i, i * 10.0 + 1)
        at = 10.0 * (2 * k - i) + 50
        yield event("cpu_op", "MulBackward0", at, 6, 2, **{"Sequence number": i, "Fwd thread id": 1})
        yield from launch(k + i, at + 1, tid=2)


def counted(n: int, **more: Callable[[int], Any]) -> Iterator[Event]:
    """Launches whose name, stream, device or thread follows from their number."""
    for i in range(n // 2):
        yield from launch(i, i * 10.0, **{name: make(i) for name, make in more.items()})


SHAPES: dict[str, Callable[[int], Iterator[Event]]] = {
    "plain": lambda n: _launches(n // 2),
    "nested": nested,
    "staggered": staggered,
    "deep_stairs": deep_stairs,
    "many_threads": many_threads,
    "threads_of_25": lambda n: many_threads(n, 25),
    "long_syncs": long_syncs,
    "thread_ranges": thread_ranges,
    "syncs": syncs,
    "nested_ops": nested_ops,
    "python_calls": python_calls,
    "hundred_deep": hundred_deep,
    "one_graph": lambda n: graph(n, n),
    "graphs_of_500": lambda n: graph(n, 500),
    "graphs_of_2": lambda n: graph(n, 2),
    "fibonacci": fibonacci,
    "unique_names": lambda n: counted(n, name=lambda i: f"kernel {i}"),
    "period_of_1000": lambda n: counted(n, name=lambda i: f"kernel {i % 1000}"),
    "squares": lambda n: counted(n, name=lambda i: f"kernel {math.isqrt(i)}"),
    "streams_1000": lambda n: counted(n, stream=lambda i: i % 1000),
    "a_stream_each": lambda n: counted(n, stream=lambda i: i),
    "devices_64": lambda n: counted(n, device=lambda i: i % 64),
    "overlapping_kernels": overlapping_kernels,
    "spans_all": spans_all,
    "backward": backward,
    "crowded_host": lambda n: _launches(n // 2, each=0.5),
    "long_names": lambda n: counted(n, name=lambda i: "void at::native::" + "x" * 400 + str(i % 100)),
    "ranges_of_one_name": lambda n: (
        e for i in range(n // 3) for e in (event("user_annotation", "r", i * 10.0, 9), *launch(i, i * 10.0 + 1))
    ),
    "ranges_each_named": lambda n: (
        e for i in range(n // 3) for e in (event("user_annotation", f"r{i}a", i * 10.0, 9), *launch(i, i * 10.0 + 1))
    ),
}


def write(path: Path, shape: str, events: int) -> None:
    """The trace of that shape at `path`."""
    found = {"traceEvents": list(SHAPES[shape](events))}
    path.write_text(json.dumps(found))


def seconds(words: list[str]) -> float:
    """Processor seconds of that command; infinite where it is ended. Errors: RuntimeError where it fails."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (STOPPED_S, STOPPED_S))

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as an installed tool, it has its bytecode
    with tempfile.TemporaryDirectory() as scratch:
        environment["XDG_CACHE_HOME"] = scratch
        command = [sys.executable, *(word.replace("{out}", f"{scratch}/out") for word in words)]
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=bound
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode < 0:
        return math.inf
    if child.returncode not in {0, 3}:
        raise RuntimeError(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Print the table; 1 where a shape takes over `LIMIT_S`."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--events", type=int, default=50_000)
    words.add_argument("--only", action="append", choices=list(SHAPES))
    words.add_argument("--write", type=Path, help="write the one trace and end")
    asked = words.parse_args()
    shapes = asked.only or list(SHAPES)
    if asked.write:
        write(asked.write, shapes[0], asked.events)
        return 0
    print(f"load {os.getloadavg()[0]:.1f}, {asked.events:,} events\n")
    heads = ("analyze --chains", "export to Perfetto", "page Any trace")
    print(f"| shape | {' | '.join(f'{head}, s | exponent' for head in heads)} |\n|---|{'---:|' * 2 * len(heads)}")
    slow = 0
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        commands = [
            ["-m", "rope_prof", "analyze", str(trace), "--chains", "--json"],
            ["-m", "rope_prof", "export", str(trace), "--to", "perfetto", "-o", "{out}"],
            ["-c", PAGE, folder],
        ]
        write(trace, "plain", 40)
        floors = [seconds(command) for command in commands]
        for shape in shapes:
            cells = []
            for command, floor in zip(commands, floors, strict=True):
                times = []
                for events in (asked.events // 4, asked.events):
                    write(trace, shape, events)
                    times.append(seconds(command))
                small, large = (max(time - floor, 0.02) for time in times)
                grown = math.log(large / small, 4) if math.isfinite(large) else math.inf
                cells += [f"{times[1]:.1f}", f"{grown:.2f}"]
                slow += times[1] > LIMIT_S
            print(f"| {shape} | {' | '.join(cells)} |", flush=True)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
