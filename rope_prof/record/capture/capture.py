"""Capture passes: torch.profiler around ranged calls, after all timed passes -> one Kineto trace per key.

The trace carries a top-level object `rope_prof` with its key and figures, so that the file alone tells them, and no
host name. Once a profiler has run, CUPTI stays attached to the process: nothing is timed after the first capture.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch

from rope_prof.analysis.run.capture import figures
from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.kineto.reader import KinetoReader
from rope_prof.io.layout import TRACE_SUFFIX
from rope_prof.model.run import SCHEMA_VERSION, Key
from rope_prof.record.capture.file import CaptureFile, capture_file
from rope_prof.record.capture.profiler import profiler
from rope_prof.record.capture.ranges import CallRange, ranges_alone
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.quiet import quiet_profiler
from rope_prof.record.loop.describe import one_line
from rope_prof.record.loop.timing import Subject, no_collection

#: Calls ahead of the recorded ones, while the profiler already listens and throws away.
WARM_CALLS = 3
#: Ranges of a capture at least; a graph's hold many calls each, and its first replays are slower by up to a fifth.
LEAST_RANGES = 2
LEAST_REPLAYS = 8
#: In the file name of a light capture.
LIGHT = ".light"


def capture(
    subject: Subject,
    key: Key,
    calls: int,
    device: RecordDevice,
    folder: Path,
    *,
    light: bool = False,
    by: str = "kineto",
) -> tuple[str, int]:
    """Record `calls` calls of `subject` into `folder`: (the trace's file name, the calls that it holds).

    `light`: without the host's operators, at the lowest overhead that still links kernels to ranges. `by`: a name of
    `plan.PROFILERS`; Kineto stands in for one that fails, and the trace says why.
    """
    ranges = ranges_of(subject, calls)
    name = key.name + (LIGHT if light else "") + TRACE_SUFFIX
    with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
        raw = Path(scratch) / "trace.json"
        with quiet_profiler():
            used, why = by, None
            try:
                profiled(subject, key.name, ranges, device, raw, light=light, by=by)
            except Exception as error:
                if by == "kineto":
                    raise
                used, why = "kineto", f"{by} failed: {one_line(error)}"
                profiled(subject, key.name, ranges, device, raw, light=light)
        made = _written(raw, key)
    own: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "device": device.kind,
        "capture": "light" if light else "full",
        "profiler": {"name": used, "instead": why},
        "calls_per_range": subject.step,
        "key": {"name": key.name} | asdict(key),
    }
    found = figures(KinetoReader(name).read(iter([made.written(own, name)])), key)
    data = made.written(own | {"figures": asdict(found)}, name)
    write_atomic(folder / name, lambda part: part.write_bytes(gzip.compress(data, 6, mtime=0)))
    return name, ranges * subject.step


def attach_profiler(device: RecordDevice, by: str) -> None:
    """Let the profiler listen once to next to nothing: what it does once in a process is then behind."""
    with listened(device, by):
        torch.ones(8, device=device.torch_device).mul_(2)


@contextmanager
def listened(device: RecordDevice, by: str = "kineto") -> Iterator[None]:
    """The profiler listens as it does to a capture, and nothing is written."""
    with quiet_profiler():
        recording = profiler(by, activities(device))
        recording.prepare_trace()
        recording.start_trace()
        try:
            yield
        finally:
            device.synchronize()
            recording.stop_trace()


def activities(device: RecordDevice) -> list[torch.profiler.ProfilerActivity]:
    """What the profiler is to see of a device."""
    kinds = torch.profiler.ProfilerActivity
    return [kinds.CPU, kinds.CUDA] if device.kind == "cuda" else [kinds.CPU]


def ranges_of(subject: Subject, calls: int) -> int:
    """How many ranges a capture of `calls` calls takes."""
    return max(LEAST_REPLAYS if subject.step > 1 else LEAST_RANGES, calls // subject.step)


def _written(raw: Path, key: Key) -> CaptureFile:
    """What the profiler wrote, which only logs where it cannot. Errors: RunError."""
    try:
        return capture_file(raw.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        raise RunError(
            f"the profiler left no whole trace of {key.name!r} in {str(raw.parent)!r} ({error}); "
            "is there space in the temporary folder? set TMPDIR to another, then record --resume"
        ) from error


def profiled(
    subject: Subject,
    name: str,
    ranges: int,
    device: RecordDevice,
    out: Path,
    *,
    light: bool = False,
    by: str = "kineto",
) -> None:
    """Write Kineto JSON of `ranges` ranges `<name>#<n>`, each one step of `subject`, to `out`."""
    recording = profiler(by, activities(device))
    marks = [CallRange(name, call) for call in range(ranges)]
    works = [subject.work(subject.step) for _ in range(ranges)]
    recording.prepare_trace()
    run_ranged(
        [CallRange(f"warm-up of {name}", call) for call in range(WARM_CALLS)],
        [subject.work(subject.step) for _ in range(WARM_CALLS)],
        subject,
        device,
    )
    with ranges_alone(device) if light else nullcontext():
        recording.start_trace()
    try:
        run_ranged(marks, works, subject, device)
    finally:
        recording.stop_trace()
    recording.export_chrome_trace(str(out))


def run_ranged(marks: list[CallRange], works: list[Callable[[], None]], subject: Subject, device: RecordDevice) -> None:
    """Each work inside its range, one after the other without a wait between them, one wait at the end.

    Where the subject has something to do ahead of each sample (a flush), it is done and waited for between calls.
    """
    device.synchronize()
    with no_collection():
        for mark, work in zip(marks, works, strict=True):
            if subject.before:
                subject.before()
                device.synchronize()
            with mark:
                work()
        device.synchronize()
