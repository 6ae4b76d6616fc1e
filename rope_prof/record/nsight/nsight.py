"""A run under NVIDIA's own tools: the same calls under `nsys` (against the Kineto captures) and `ncu` (counters).

Comes after all timed passes and captures of the run, in a child process; torch.profiler is off in it, since both want
CUPTI. Leaves the tools' reports in the run folder, and `nsight.json` with what they say.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from rope_prof.analysis.run.capture import call_pattern
from rope_prof.analysis.trace.calls import call_events, call_frame
from rope_prof.io.atomic import write_atomic
from rope_prof.io.layout import COMPUTE_SUFFIX, SYSTEMS_SUFFIX
from rope_prof.io.run.clean_sqlite import clean_sqlite
from rope_prof.io.run.folder import RunFolder, read_run
from rope_prof.io.run.nsight import read_nsight, write_nsight
from rope_prof.io.run.redact import PrivateWords, kinds_in, private_words
from rope_prof.io.trace.ncu import WANTED, read_ncu
from rope_prof.io.trace.read import read_trace
from rope_prof.model.frozen import decodable
from rope_prof.model.nsight import AGREEMENT, Agreement, Compute, LeastBytes, Nsight, Systems, ToolRecording
from rope_prof.model.run import Key
from rope_prof.model.trace import Trace
from rope_prof.record.bench.operations import Operations
from rope_prof.record.capture.ranges import DOMAIN
from rope_prof.record.nsight.launch import HIDDEN_FILE
from rope_prof.record.nsight.tools import ALLOWED, NsightError, Tool, last_line, no_report, run
from rope_prof.record.nsight.workload import DONE_FILE, PLAN_FILE, Plan, Ranged

SYSTEMS_OPTIONS = (
    "profile",
    "--trace=cuda,nvtx",
    "--cuda-graph-trace=node",
    "--sample=none",
    "--cpuctxsw=none",
    "--capture-range=cudaProfilerApi",
    "--capture-range-end=stop",
    "--force-overwrite=true",
)
COMPUTE_OPTIONS = (
    "--profile-from-start=off",
    "--nvtx",
    "--clock-control=none",
    "--force-overwrite",
    "--section=SpeedOfLight",
    "--section=MemoryWorkloadAnalysis",
    "--section=Occupancy",
    "--section=LaunchStats",
    "--section=WarpStateStats",
)
SYSTEMS_STEM = "systems"
COMPUTE_STEM = "compute"


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one key in one trace: how many, and the medians of their kernels and of their kernel time."""

    calls: int
    kernels: float | None
    kernel_ns: float | None


def record_nsight(folder: Path, tool: Tool, device: str) -> Nsight:
    """Run the keys of the run in `folder` under `tool` and add what it says to `nsight.json`.

    Errors: NsightError where the tool fails, which is written there too; RunError.
    """
    found = read_run(folder)
    before = read_nsight(folder) or Nsight()
    try:
        with tempfile.TemporaryDirectory(prefix="rope_prof-") as scratch:
            asked = (found, tool, device, Path(scratch))
            if tool.which == "systems":
                after = replace(before, systems=record_systems(*asked))
            else:
                after = replace(before, compute=record_compute(*asked))
    except NsightError as error:
        _note_failure(folder, before, tool, str(error))
        raise
    write_nsight(folder, after)
    return after


def _note_failure(folder: Path, before: Nsight, tool: Tool, reason: str) -> None:
    """Write why the tool left nothing; what an earlier recording left stays, with its files."""
    failed = ToolRecording(version=tool.version, options=(), reason=reason)
    if tool.which == "systems" and not (before.systems and before.systems.keys):
        write_nsight(folder, replace(before, systems=Systems(recording=failed)))
    if tool.which == "compute" and not (before.compute and before.compute.kernels):
        write_nsight(folder, replace(before, compute=Compute(recording=failed)))


def record_systems(found: RunFolder, tool: Tool, device: str, scratch: Path) -> Systems:
    """The captured keys under `nsys`: report and export into the run folder, kernel counts and times against Kineto."""
    keys = tuple(facts.key for facts in found.run.keys if facts.trace is not None)
    if not keys:
        raise NsightError(
            "--nsight systems compares with the captures of the run, and it has none; record on an NVIDIA GPU"
        )
    calls = int(found.run.settings.get("calls") or 2)
    write_plan(scratch, Plan(device=device, seed=found.run.seed, calls=calls, one_call=False, keys=keys))
    text = run(tool, (*SYSTEMS_OPTIONS, f"--output={scratch / SYSTEMS_STEM}"), scratch)
    report = scratch / f"{SYSTEMS_STEM}{SYSTEMS_SUFFIX}"
    if not report.is_file():
        raise no_report(tool, scratch, text)
    ranged = read_done(scratch, text)
    words = unseen_words()
    export = exported(tool, report, scratch, words)
    recording = _kept((report,), found, tool, SYSTEMS_OPTIONS, words)
    _keep(export, found.path)
    return Systems(
        recording=recording,
        sqlite=export.name,
        keys=agreements(read_trace(export), ranged, kineto_calls(found, keys)),
    )


def unseen_words() -> PrivateWords:
    """What is private here, less the values of the variables that the tool may see."""
    return private_words({name: value for name, value in os.environ.items() if name not in ALLOWED})


def write_plan(scratch: Path, plan: Plan) -> None:
    """Where the child looks for it."""
    (scratch / PLAN_FILE).write_bytes(msgspec.json.encode(plan))


def read_done(scratch: Path, text: str) -> tuple[Ranged, ...]:
    """What the child did. NsightError where it did not come to its end."""
    path = scratch / DONE_FILE
    if not path.is_file():
        raise NsightError(f"the workload failed under the tool: {last_line(text)}")
    done = msgspec.json.decode(path.read_bytes(), type=decodable(tuple[Ranged, ...]))
    if done and all(one.reason for one in done):
        raise NsightError(f"the workload failed under the tool: {done[0].reason}")
    return done


def exported(tool: Tool, report: Path, scratch: Path, words: PrivateWords) -> Path:
    """The SQLite export of `report`, with what it tells of the machine taken out."""
    target = report.with_suffix(".sqlite")
    command = [str(tool.path), "export", "--type=sqlite", "--force-overwrite=true", f"--output={target}", str(report)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode or not target.is_file():
        raise NsightError(
            f"nsys {tool.version} could not export its own report to SQLite (exit code {done.returncode}): "
            f"{last_line(done.stdout + done.stderr)}"
        )
    target.write_bytes(clean_sqlite(target.read_bytes(), words))
    return target


def _kept(
    reports: Sequence[Path], found: RunFolder, tool: Tool, options: Sequence[str], words: PrivateWords
) -> ToolRecording:
    """Move the reports into the run folder; what is still private in them."""
    private: set[str] = set()
    for report in reports:
        private.update(kinds_in(report.read_bytes(), words))
        if tool.which == "systems" and not (report.parent / HIDDEN_FILE).exists():
            private.add("processes")
        _keep(report, found.path)
    return ToolRecording(
        version=tool.version,
        options=tuple(options),
        reports=tuple(report.name for report in reports),
        notes=(tool.note,) if tool.note else (),
        private=tuple(sorted(private)),
    )


def _keep(path: Path, folder: Path) -> None:
    write_atomic(folder / path.name, lambda part: shutil.copyfile(path, part))


def kineto_calls(found: RunFolder, keys: Sequence[Key]) -> dict[str, Calls]:
    """The calls of the captures of `keys`, from their traces."""
    paths = {key.name: found.trace_path(key.name) for key in keys}
    calls: dict[str, Calls] = {}
    for name, path in paths.items():
        if path is not None:
            trace = read_trace(path)
            step = int((trace.own or {}).get("calls_per_range", 1))
            calls[name] = seen_calls(trace, name, "record_function", step)
    return calls


def seen_calls(trace: Trace, key_name: str, kind: str, step: int) -> Calls:
    """Kernels of each call of a key. A range of `step` calls (a graph) is cut into them by the order of its kernels."""
    counts: list[float] = []
    times: list[int] = []
    for row in call_frame(trace, call_pattern(key_name), kind=kind).iter_rows(named=True):
        events = call_events(trace, row) if row["kernels"] else None
        durations = [] if events is None else events.filter(events["kind"] == "kernel")["dur_ns"].to_list()
        each, rest = divmod(len(durations), step)
        counts += [len(durations) / step] * step
        if each and not rest:
            times += [sum(durations[k : k + each]) for k in range(0, len(durations), each)]
    return Calls(
        calls=len(counts),
        kernels=statistics.median(counts) if counts else None,
        kernel_ns=statistics.median(times) if times else None,
    )


def agreements(trace: Trace, ranged: Sequence[Ranged], kineto: Mapping[str, Calls]) -> tuple[Agreement, ...]:
    """One entry per key that the child ran: Nsight's figures of its calls against Kineto's."""
    return tuple(_agreement(trace, one, kineto.get(one.key)) for one in ranged)


def _agreement(trace: Trace, one: Ranged, kineto: Calls | None) -> Agreement:
    if one.reason:
        return Agreement(key=one.key, reason=f"not run under nsys: {one.reason}")
    mine = seen_calls(trace, one.key, "nvtx", one.step)
    entry = Agreement(
        key=one.key,
        calls=mine.calls,
        kernels_per_call=mine.kernels,
        kineto_kernels_per_call=kineto.kernels if kineto else None,
        kernel_ns=mine.kernel_ns,
        kineto_kernel_ns=kineto.kernel_ns if kineto else None,
    )
    reason = _missing(entry, one)
    if reason is not None:
        return replace(entry, reason=reason)
    assert entry.kernel_ns is not None and entry.kineto_kernel_ns
    difference = entry.kernel_ns / entry.kineto_kernel_ns - 1
    same_count = entry.kernels_per_call == entry.kineto_kernels_per_call
    return replace(entry, difference=difference, agrees=same_count and abs(difference) <= AGREEMENT)


def _missing(entry: Agreement, one: Ranged) -> str | None:
    """Why the two sides of `entry` cannot be held against each other; None where they can."""
    if not entry.kernels_per_call or entry.kernel_ns is None:
        return f"nsys saw no kernel in its {one.ranges} ranges"
    if entry.calls != one.ranges * one.step:
        return f"nsys holds {entry.calls} of {one.ranges * one.step} calls"
    if not entry.kineto_kernels_per_call or not entry.kineto_kernel_ns:
        return "the run has no Kineto capture of it"
    return None


def record_compute(found: RunFolder, tool: Tool, device: str, scratch: Path) -> Compute:
    """One call of each path in mode eager under `ncu`, a report each, for the case of a middling token count.

    A report holds the machine code of every library that one of its kernels lies in: 18 MB for torch's, so the small
    reports of the other paths stay apart from it.
    """
    keys = counted_keys(found)
    if not keys:
        raise NsightError("--nsight compute counts one eager call of each path, and the run captured none on a GPU")
    options = (*COMPUTE_OPTIONS, f"--metrics={','.join(WANTED)}")
    reports = [_counted(key, found, tool, device, options, scratch) for key in keys]
    return Compute(
        recording=_kept(reports, found, tool, options, unseen_words()),
        kernels=tuple(kernel for report in reports for kernel in read_ncu(report, tool.path, domain=DOMAIN)),
        least=tuple(_least(found, key) for key in keys),
    )


def _counted(key: Key, found: RunFolder, tool: Tool, device: str, options: Sequence[str], scratch: Path) -> Path:
    """The report of one call of `key`."""
    (scratch / DONE_FILE).unlink(missing_ok=True)
    write_plan(scratch, Plan(device=device, seed=found.run.seed, calls=1, one_call=True, keys=(key,)))
    stem = scratch / f"{COMPUTE_STEM}.{key.path.replace(':', '@')}"
    text = run(tool, (*options, f"--export={stem}{COMPUTE_SUFFIX}"), scratch)
    report = stem.with_name(f"{stem.name}{COMPUTE_SUFFIX}")
    if not report.is_file():
        raise no_report(tool, scratch, text)
    read_done(scratch, text)
    return report


def counted_keys(found: RunFolder) -> tuple[Key, ...]:
    """Mode eager of every path of one case: the one with the middle token count among those that were captured."""
    keys = [facts.key for facts in found.run.keys if facts.trace is not None and facts.key.mode == "eager"]
    cases = sorted({key.case for key in keys}, key=lambda case: (case.swept, case.name))
    if not cases:
        return ()
    middle = cases[len(cases) // 2]
    return tuple(key for key in keys if key.case == middle and key.l2 == keys[0].l2)


def _least(found: RunFolder, key: Key) -> LeastBytes:
    facts = found.run.facts(key.name)
    floor = Operations().of(key.case.operation).moved_bytes(dict(key.case.values), None) or 0
    kineto = kineto_calls(found, (key,)).get(key.name)
    return LeastBytes(
        key=key.name,
        least_bytes=floor,
        bytes_moved=facts.bytes_moved,
        kineto_kernels_per_call=kineto.kernels if kineto else None,
    )
