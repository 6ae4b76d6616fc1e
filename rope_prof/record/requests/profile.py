"""Capture passes of whole steps: torch.profiler around prefill and decode, ranges per step, layer and rope call.

Ranges are named `<path>.<phase>.step#<n>`, `<path>.<phase>.layer#<n>` (n counts on over the steps, so layer n % layers)
and `<path>.<phase>.rope#<n>`, in NVTX and as record_function. They exist here alone, never in a timed pass.
On a GPU the profiler records kernels, launches and these ranges but no operators: those of a whole model would stretch
the host's time to more than twice itself. On a CPU the operators are the kernels, and are recorded.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rope_prof.io.atomic import write_atomic
from rope_prof.io.layout import TRACE_SUFFIX
from rope_prof.model.end_to_end import SCHEMA_VERSION, Phase
from rope_prof.record.capture.capture import activities
from rope_prof.record.capture.file import capture_file
from rope_prof.record.capture.ranges import CallRange, ranges_alone
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.quiet import quiet_profiler
from rope_prof.record.loop.timing import no_collection
from rope_prof.record.requests.patch import Rope, RopePatch
from rope_prof.record.requests.steps import StepEngine

#: Steps in a profile: a period needs the next one's start.
STEPS: dict[Phase, int] = {"prefill": 2, "decode": 4}
WARM_STEPS = 2


def in_ranges(name: str) -> Callable[[Rope], Rope]:
    """A wrapper that puts each call of a function in a range `<name>#<n>`; all that it wraps share one count."""
    count = 0

    def wrap(call: Rope) -> Rope:
        def ranged(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            mark = CallRange(name, count)
            count += 1
            with mark:
                return call(*arguments, **named)

        return ranged

    return wrap


@contextmanager
def layer_ranges(layers: Any, name: str) -> Iterator[None]:
    """Each decoder layer's forward in a range, all on one count; the layers are as before at the end."""
    wrap = in_ranges(name)
    try:
        for layer in layers:
            layer.forward = wrap(layer.forward)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def profile(engine: StepEngine, patch: RopePatch, path: str, phase: Phase, device: RecordDevice, folder: Path) -> str:
    """Record `STEPS` steps of `phase` with `path` in use: the name of the trace in `folder`. Stock rope afterwards."""
    name = f"{path.replace(':', '@')}.{phase}"
    file = f"end_to_end.{name}{TRACE_SUFFIX}"
    patch.use(path)
    logits, cache = engine.prefill()

    def step() -> None:
        if phase == "prefill":
            engine.prefill()[0].argmax(-1)
        else:
            engine.decode(logits, cache, 1)

    for _ in range(WARM_STEPS):
        step()
    profiler = torch.profiler.profile(activities=activities(device), acc_events=True)
    try:
        patch.use(path, wrap=in_ranges(f"{name}.rope"))
        with quiet_profiler(), layer_ranges(engine.built.model.layers, f"{name}.layer"):
            profiler.prepare_trace()
            step()
            device.synchronize()
            patch.use(path, wrap=in_ranges(f"{name}.rope"))
            with ranges_alone(device):
                profiler.start_trace()
            try:
                _steps(step, name, STEPS[phase], device)
            finally:
                profiler.stop_trace()
    finally:
        patch.restore()
    own = {"schema_version": SCHEMA_VERSION, "device": device.kind, "end_to_end": {"path": path, "phase": phase}}
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        raw = Path(scratch) / "trace.json"
        profiler.export_chrome_trace(str(raw))
        data = capture_file(raw.read_bytes()).written(own, file)
    write_atomic(folder / file, lambda part: part.write_bytes(gzip.compress(data, 6, mtime=0)))
    return file


def _steps(step: Callable[[], None], name: str, count: int, device: RecordDevice) -> None:
    marks = [CallRange(f"{name}.step", n) for n in range(count)]
    device.synchronize()
    with no_collection():
        for mark in marks:
            with mark:
                step()
        device.synchronize()
