"""A host that launches and a GPU that runs, as a trace: what chains and their bounds are held against."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Trace, empty


@dataclass
class Machine:
    """A host that launches, streams that run: `launch_ns` and `kernel_ns` each, with jitter unless it is `steady`."""

    rng: random.Random
    launch_ns: int = 8000
    kernel_ns: int = 2000
    steady: bool = False
    host: int = 0
    free: dict[int, int] = field(default_factory=dict)
    gpu: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    def run(
        self,
        name: str,
        ns: int | None = None,
        *,
        stream: int = 7,
        thread: int = 1,
        kind: str = "kernel",
        launch_ns: int | None = None,
    ) -> int:
        """Launch one kernel; its start."""
        begin = self.host + (0 if self.steady else self.rng.randrange(self.launch_ns // 4))
        self.host = begin + (self.launch_ns if launch_ns is None else launch_ns)
        ns = self.kernel_ns + (0 if self.steady else self.rng.randrange(300)) if ns is None else ns
        start = max(begin + 3000, self.free.get(stream, 0))
        self.free[stream] = start + ns
        number = len(self.calls)
        launch = {"name": "cudaLaunchKernel", "api": "runtime", "process": 9, "thread": thread, "start_ns": begin}
        self.calls.append(launch | {"dur_ns": min(3000, self.launch_ns), "correlation": number})
        event = {"kind": kind, "name": name, "device": "0", "stream": stream, "start_ns": start, "dur_ns": ns}
        self.gpu.append(event | {"correlation": number})
        return start

    def wait(self, thread: int = 1) -> None:
        begin = self.host
        self.host = max(self.host, *self.free.values()) + 5000
        call = {"name": "cudaStreamSynchronize", "api": "runtime", "process": 9, "thread": thread}
        times = {"start_ns": begin, "dur_ns": self.host - begin, "correlation": 10**6 + len(self.calls)}
        self.calls.append(call | times)

    def join(self, stream: int, other: int) -> None:
        """What `stream` runs next waits for all that `other` has been given (an event)."""
        self.free[stream] = max(self.free.get(stream, 0), self.free.get(other, 0))

    def span(self) -> int:
        return max(event["start_ns"] + event["dur_ns"] for event in self.gpu) - self.gpu[0]["start_ns"]

    def trace(self, **more: Any) -> Trace:
        return Trace(
            format="kineto",
            source="machine",
            gpu=pl.DataFrame(self.gpu, schema=GPU_EVENTS),
            calls=pl.DataFrame(self.calls, schema=HOST_CALLS),
            ranges=more.pop("ranges", empty(RANGES)),
            ops=empty(CPU_OPS),
            overheads=empty(OVERHEADS),
            events=len(self.gpu) + len(self.calls),
            **more,
        )
