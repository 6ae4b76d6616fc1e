"""Starting and resuming a recording: options or a folder -> a run with its plan, and the recorder at work on it."""

from __future__ import annotations

import datetime
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rope_prof import __version__
from rope_prof.errors import OperationError, RunError
from rope_prof.io.run.folder import discard_run, is_run, read_run
from rope_prof.kernels.operation import Operation
from rope_prof.model.kind import Kind
from rope_prof.model.run import SCHEMA_VERSION, KeyFacts, OperationFacts, Run
from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.capture.profiler import lacks
from rope_prof.record.device.devices import AnyDevice, NamedDevice, find_device, named_device
from rope_prof.record.device.machine import machine
from rope_prof.record.loop.plan import Options, budget_s, calls, facts_of, operation_of, plan, rounds
from rope_prof.record.loop.protocols import Bench, Others, Progress
from rope_prof.record.loop.recorder import Recorder
from rope_prof.record.loop.stopping import Limits
from rope_prof.record.worker.interpreter import Interpreter
from rope_prof.record.worker.workers import ISOLATED, Workers
from rope_prof.units import SECOND


def fresh_run(
    options: Options,
    device: AnyDevice,
    name: str | None,
    workers: Workers | None = None,
    isolation: str = "as asked",
    *,
    repeats: int = 1,
    against: str | None = None,
    operation: Operation | None = None,
) -> Run:
    """A run with all its keys planned and nothing measured. Errors: UsageError, UnavailableError.

    `workers`: where the code of a user's own paths is looked up; without them in this process, for the reason
    `isolation`. `operation`: one that was made in a script, in the place of the named one.
    """
    facts = machine(device)
    profiler = _profiler(options, device)
    if workers is not None:  # before any of them begins
        workers.calls = calls(options, device.kind)
        workers.profiler = profiler.get("profiler", "kineto")
        workers.crew.begin(name for name in options.paths if ":" in name)
    find = workers.find if workers else None
    measured = operation_of(options) if operation is None else operation
    said = facts_of(measured, options.operation if operation is None else None)
    keys = plan(options, device.kind, triton=facts.triton is not None, find=find, operation=operation)
    keys = workers.planned(keys) if workers else keys
    quick = "-sweep" if options.sweep else "-quick" if options.quick else ""
    return Run(
        schema_version=SCHEMA_VERSION,
        name=name or default_name(said, keys) + quick,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rope_prof=__version__,
        command=typed(sys.argv),
        seed=options.seed,
        machine=facts,
        operation=said,
        keys=keys,
        settings={
            **_settings(options, device.kind),
            "repeats": repeats,
            "against": against,
            "isolation": ISOLATED if workers else f"one process: {isolation}",
            **profiler,
        },
    )


def _settings(options: Options, kind: Kind) -> dict[str, str | int | float | bool | None]:
    """What was asked for that a reader is told."""
    return {
        "calls": calls(options, kind),
        "rounds": rounds(options, kind),
        "quick": options.quick,
        "precision": options.precision,
        "budget_s": budget_s(options),
        "sweep": options.sweep,
    }


def _profiler(options: Options, device: AnyDevice) -> dict[str, str]:
    """Which profiler captures, where another than Kineto was asked for; why it is Kineto after all."""
    if options.profiler == "kineto":
        return {}
    why = lacks(options.profiler, device.kind)
    return {"profiler": options.profiler} if why is None else {"profiler": "kineto", "profiler_reason": why}


def default_name(operation: OperationFacts, keys: Sequence[KeyFacts]) -> str:
    """The models of the multimodal rotary embedding, as `28b-424b`; of any other operation its name."""
    if operation.name != "mrope":
        return re.sub(r"[^a-z0-9]+", "-", operation.name.lower()).strip("-") or "operation"
    return "-".join(dict.fromkeys(str(facts.key.case["model"]) for facts in keys))


def last_process(folder: Path) -> int:
    """The highest number of a process that has taken samples of the run in `folder`; -1 where none has one."""
    if not is_run(folder):
        return -1
    found = read_run(folder).samples["process"].max()
    return found if isinstance(found, int) else -1


def typed(argv: list[str]) -> str:
    """The command as it can be typed again; the program's own path is left out."""
    return shlex.join(["python", "-m", "rope_prof", *argv[1:]])


def resumed_run(folder: Path, device_name: str) -> tuple[Run, NamedDevice]:
    """The run in `folder` and a device like the one it was begun on, not opened. Errors: RunError where it differs,
    or was recorded on several ranks.
    """
    run = read_run(folder).run
    if run.ranks > 1:
        raise RunError(f"run {str(folder)!r} was recorded on {run.ranks} ranks at once; {run.going_on()}")
    wanted = run.machine.device if device_name == "auto" else device_name
    device = named_device(wanted)
    here = machine(device)
    if (here.device_name, here.torch) != (run.machine.device_name, run.machine.torch):
        raise RunError(
            f"run {str(folder)!r} was begun on {run.machine.device_name!r} with torch {run.machine.torch}; this is "
            f"{here.device_name!r} with torch {here.torch}: record anew, and compare the two"
        )
    return run, device


def record_run(
    run: Run,
    device: AnyDevice,
    folder: Path,
    progress: Progress,
    *,
    resume: bool = False,
    workers: Workers | None = None,
    operation: Operation | None = None,
    others: Others | None = None,
) -> Run:
    """Record what is pending in `run` into `folder`, of which the caller is the one writer (`io.run.writer`).

    `resume`: `folder` holds the run; it is read once more, since another process may have gone on with it until now.
    `workers`: each path in a process of its own; without them all run on `device`. `operation`: one made in a script.
    `others`: the ranks that record the same plan at once.
    Errors: RunError where the folder holds another run; OperationError for an operation that lies at once, of which no
    run is left; what `Recorder.record` raises.
    """
    if resume:
        run = read_run(folder).run
    elif is_run(folder):
        raise RunError(
            f"{str(folder)!r} already holds a run; go on with it by --resume, or choose another folder with -o"
        )
    bench: Bench
    if workers is None:
        bench = TorchBench(
            find_device(str(device.torch_device)) if isinstance(device, NamedDevice) else device,
            seed=run.seed,
            calls=int(run.settings["calls"] or 2),
            operation=operation,
            interpreter=Interpreter,
            profiler=str(run.settings.get("profiler") or "kineto"),
        )
    else:
        bench = workers.bench(run, last_process(folder))
        run = replace(run, settings={**run.settings, **workers.met(run)})
    capture = not run.settings.get("sweep")
    try:
        return Recorder(folder, run, bench, progress, limits_of(run), capture=capture, others=others).record()
    except OperationError:
        if not resume:
            discard_run(folder)
        raise


def limits_of(run: Run) -> Limits:
    """When the rounds of `run` end, by its settings (a run of before has rounds alone)."""
    precision, budget = run.settings.get("precision"), run.settings.get("budget_s")
    return Limits(
        rounds=int(run.settings["rounds"] or 1),
        precision=float(precision) if precision else None,
        budget_ns=round(float(budget) * SECOND) if budget else None,
        repeats=int(run.settings.get("repeats") or 1),
    )
