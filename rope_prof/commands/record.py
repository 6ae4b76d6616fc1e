"""`record`: the main job. Options -> plan -> recorder -> table; what runs and what is left goes to standard error.

What starts threads as it is loaded (polars) is loaded once the process is made that workers are forked from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rope_prof.commands import words
from rope_prof.commands.foreign_options import foreign_word
from rope_prof.commands.nsight_options import asked_tools, run_tools
from rope_prof.commands.progress import RichProgress
from rope_prof.commands.recorded import default_folder, next_commands
from rope_prof.commands.words import many, option
from rope_prof.errors import PartialError, UnavailableError, UsageError
from rope_prof.io.run.writer import writing
from rope_prof.record.loop.plan import Options, parse_values
from rope_prof.record.worker.forks import Zygotes
from rope_prof.record.worker.process import Start
from rope_prof.record.worker.sides import other_side
from rope_prof.record.worker.workers import ISOLATED, Workers, preload, why_together

if TYPE_CHECKING:
    from rope_prof.model.run import Run
    from rope_prof.record.device.devices import NamedDevice
    from rope_prof.record.nsight.tools import Tool
    from rope_prof.record.ranks import Place

Words = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordWords:
    """The words of the command: what to measure, how, and where it goes."""

    model: Words = many("28b (default), 424b, qwen2-vl-7b or qwen3-vl-8b; may repeat.")
    tp: list[int] = many("Tensor-parallel ranks that share the heads, default 1; may repeat.")
    tokens: Words = many("Token counts, as in 1,64,973; may repeat.")
    dtype: Words = many("bf16 (default), fp16 or fp32; may repeat.")
    operation: str = option(
        "mrope", "What to measure: mrope, another that ships, or your own module:object or FILE.py[:object]."
    )
    set_: Words = many("Values of an axis of the operation, as in tokens=1,64; may repeat.", "--set")
    definition: str | None = option(None, "A flashinfer-trace definition to measure: FILE.json. Its code runs here.")
    task: str | None = option(None, "A KernelBench task to measure: FILE.py. Its code runs here.")
    solution: Words = many(
        "A path of --definition (S.json, FILE.py::run or KERNEL_FOLDER::run) or --task (FILE.py). May repeat."
    )
    workload: str | None = option(None, "The cases and inputs of --definition: FILE.jsonl; else --set names them.")
    path: Words = many(
        "unfused, per-token or fused; or your own package.module:function, which joins them. May repeat."
    )
    mode: Words = many("eager, compile or graph; may repeat.")
    l2: Words = many("cold or hot, as in cold,hot; default cold on a GPU.", "--l2")
    prompt: str | None = option(None, "image (default), text or random positions.")
    calls: int | None = option(None, "Calls in a capture, and on a GPU in a sample at least.")
    rounds: int | None = option(None, "Rounds of interleaved samples.")
    precision: str | None = option(
        None, "Stop a case when every path's ratio to the baseline has an interval narrower than this: 1%."
    )
    budget: float | None = option(None, "Seconds for the timed rounds of all cases together.")
    sweep: bool = option(False, "Time 1 to 65536 tokens, both models, all ranks; no captures.", "--sweep")
    profiler: str = option(
        "kineto", "Of the captures: kineto, or monitor (torch 2.13 and later; kineto where there is none)."
    )
    device: words.Device = "auto"
    name: str | None = option(None, "Name of the run; part of its default folder.")
    out: Path | None = option(
        None, "Run folder; default ./traces/<date>-<device>-<name>.", "-o", "--out", parser=words.path
    )
    resume: bool = option(False, "Go on with the run in -o; a key that failed stays so.", "--resume")
    quick: bool = option(False, "Fewer token counts and rounds.", "--quick")
    seed: int = option(0, "Fills the inputs and shuffles the rounds.")
    isolate: bool | None = option(
        None,
        "Each path in a process of its own (default, but for a sweep), or all in this one.",
        "--isolate/--no-isolate",
    )
    patience: float = option(300.0, "Seconds that a path's process may take over one step before it is ended.")
    against: str | None = option(None, "A git revision, measured beside this tree: path fused as fused@1a2b3c4.")
    python: str | None = option(None, "Another environment's Python, measured beside this one: fused@ENVIRONMENT.")
    repeats: int = option(1, "Fresh processes of each path, one after another in turn; rounds are of each.")
    nsight: Words = many("systems or compute: run the same calls under nsys or ncu too. With --resume: add to a run.")
    nsys: Path | None = option(None, "The nsys program, where it is not found by itself.", parser=words.path)
    ncu: Path | None = option(None, "The ncu program, where it is not found by itself.", parser=words.path)
    as_json: words.Json = False

    def options(self) -> Options:
        """What of them is the plan. Errors: UsageError for words that do not go together."""
        prompt = [] if self.prompt is None else [self.prompt]
        axes = {"model": self.model, "tp": map(str, self.tp), "tokens": self.tokens, "dtype": self.dtype}
        values = parse_values(self.set_, **axes, prompt=prompt)
        foreign = foreign_word(self.definition, self.task, self.solution, self.workload, values)
        if foreign is not None and self.operation != Options().operation:
            other = "--definition" if self.definition else "--task"
            raise UsageError(f"--operation {self.operation!r} and {other} are two operations")
        return Options(
            operation=foreign or self.operation,
            values=values,
            paths=tuple(self.path),
            modes=tuple(self.mode),
            l2=tuple(part.strip() for word in self.l2 for part in word.split(",")),
            calls=self.calls,
            rounds=self.rounds,
            seed=self.seed,
            quick=self.quick,
            precision=None if self.precision is None else _share(self.precision),
            budget=self.budget,
            sweep=self.sweep,
            profiler=self.profiler,
        )


@words.command
def record(asked: RecordWords) -> None:
    """Measure every path on this machine and write a run folder."""
    options, here = asked.options(), _rank()
    if here is not None:
        from rope_prof.commands.record_ranks import record_on_ranks

        _only_fresh(asked.resume, asked.nsight)
        record_on_ranks(options, here, device=asked.device, name=asked.name, out=asked.out, as_json=asked.as_json)
        return
    if asked.resume:
        _only_resume(options, asked.out)
    if not 0 < asked.patience < float("inf"):
        raise UsageError(f"patience {asked.patience:g}; expected seconds above 0, as in --patience 300")
    _record_here(options, asked)


def _record_here(options: Options, wanted: RecordWords) -> None:
    """Record in this process and its workers. What those need is loaded for them while this process loads its own."""
    together = _why_together(options, wanted)
    _require_workers(options, wanted, together)
    start = Start(preload=preload(options.modes))
    with other_side(_revision(wanted), wanted.python, start.preload) as side, Zygotes(here=True) as zygotes:
        for each in [start, *([side.start] if side else [])] if together is None else []:
            zygotes.begin(each)
        from rope_prof.record.device.devices import named_device
        from rope_prof.record.session import fresh_run, resumed_run

        if wanted.resume:
            assert wanted.out is not None
            run, found = resumed_run(wanted.out, wanted.device)
        else:
            run, found = None, named_device(wanted.device)
        tools = asked_tools(wanted.nsight, wanted.nsys, wanted.ncu, found.kind)
        workers = None
        if together is None:
            workers = Workers(
                device=str(found.torch_device),
                seed=options.seed,
                operation=options.operation,
                kind=found.kind,
                patience_s=wanted.patience,
                start=start,
                zygotes=zygotes,
                side=side,
            )
        try:
            if run is None:
                run = fresh_run(
                    options,
                    found,
                    wanted.name,
                    workers,
                    together or "",
                    repeats=wanted.repeats,
                    against=side.revision if side else None,
                )
            folder = wanted.out if wanted.out is not None else default_folder(run)
            _record(run, found, folder, tools, resume=wanted.resume, workers=workers, as_json=wanted.as_json)
        finally:
            if workers is not None:
                workers.close()


def _require_workers(options: Options, wanted: RecordWords, together: str | None) -> None:
    """UsageError for words that need processes of their own, or that do not go together."""
    if wanted.repeats < 1:
        raise UsageError(f"repeats {wanted.repeats}; expected at least 1")
    if wanted.against is not None and _is_baseline(wanted.against):
        raise UsageError(
            f"--against {wanted.against!r}: record measures a git revision beside this tree, a baseline is there: "
            f"`gate {wanted.against}`, or `compare {wanted.against} RUN`"
        )
    if wanted.resume and (wanted.repeats > 1 or wanted.against):
        raise UsageError("--resume goes on with the plan of the run; leave out --repeats and --against")
    if wanted.repeats > 1 and options.precision is not None:
        raise UsageError("--precision looks at the rounds of one process; with --repeats say --rounds instead")
    asked = wanted.against or wanted.python or wanted.repeats > 1
    if asked and together is not None:
        raise UsageError(f"--against, --python and --repeats need a process per path, but {together}")


def _share(precision: str) -> float:
    from rope_prof.record.loop.stopping import parse_precision

    return parse_precision(precision)


def _rank() -> Place | None:
    """Which of torchrun's ranks this is, if it started any."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    from rope_prof.record.ranks import place

    return place()


def _is_baseline(name: str) -> bool:
    from rope_prof.opened.baselines import is_baseline

    return is_baseline(name)


def _settings(folder: Path) -> Mapping[str, object]:
    """Those of the run in `folder`."""
    from rope_prof.io.run.folder import read_run

    return read_run(folder).run.settings


def _revision(wanted: RecordWords) -> str | None:
    """The revision of the other side: as asked, or the one that the run was begun with."""
    if not wanted.resume or wanted.out is None:
        return wanted.against
    revision = _settings(wanted.out).get("against")
    return str(revision) if revision else None


def _why_together(options: Options, wanted: RecordWords) -> str | None:
    """Why the paths share this process; a run goes on as it was begun, unless asked otherwise."""
    isolate, sweep = wanted.isolate, options.sweep
    if wanted.resume and isolate is None:
        assert wanted.out is not None
        isolate = _settings(wanted.out).get("isolation") == ISOLATED
    return why_together(isolate, sweep=sweep, ranks=False)


def _only_fresh(resume: bool, nsight: Words) -> None:
    """Under torchrun a run is made anew, and Nsight's tools, which start processes of their own, are left out."""
    if resume or nsight:
        raise UsageError(f"{'--resume' if resume else '--nsight'} does not go with torchrun; leave one of them out")


def _only_resume(options: Options, out: Path | None) -> None:
    """A resumed run keeps its plan: words that would change it are an error."""
    if out is None:
        raise UsageError("--resume needs the run to go on with; name its folder: record --resume -o RUN")
    plain = Options()
    typed = {"paths": "path", "modes": "mode"}
    named = [f.name for f in fields(plain) if f.name != "values"]
    changed = [typed.get(name, name) for name in named if getattr(options, name) != getattr(plain, name)]
    changed += [axis for axis, _ in options.values]
    if changed:
        raise UsageError(
            f"--resume goes on with the plan of the run; leave out {', '.join(f'--{name}' for name in changed)}"
        )


def _record(
    run: Run,
    device: NamedDevice,
    folder: Path,
    tools: tuple[Tool, ...],
    *,
    resume: bool = False,
    workers: Workers | None = None,
    as_json: bool = False,
) -> None:
    from rope_prof.analysis.comparison.history import kept
    from rope_prof.commands.printing import emit_recorded, print_run
    from rope_prof.io.run.history import keep
    from rope_prof.opened.run import open_run
    from rope_prof.record.session import record_run

    with writing(folder):
        with RichProgress() as progress:
            done = record_run(run, device, folder, progress, resume=resume, workers=workers)
        failed = run_tools(folder, tools, str(device.torch_device))
    opened = open_run(folder)
    print_run(opened)
    if (made := kept(opened.run, opened.samples)) is not None:
        keep(opened.run.machine, made)
    typer.echo(f"\nrecorded in {folder}\n\nnext:")
    for line in next_commands(folder):
        typer.echo(f"  {line}")
    if as_json:
        emit_recorded(folder)
    if failed is not None:
        raise UnavailableError(failed)
    if not any(facts.status in {"measured", "checked", "wrong"} for facts in done.keys):
        why = next((facts.reason for facts in done.keys if facts.reason), "no key was planned")
        raise UnavailableError(f"nothing could be measured: {why}")
    failed_keys = [facts for facts in done.keys if facts.status == "failed"]
    if failed_keys:
        first = failed_keys[0]
        raise PartialError(
            f"{len(failed_keys)} of {len(done.keys)} keys failed and the others are recorded; "
            f"the first, {first.key.side}: {first.reason}"
            f"{'; what has failed stays so, since its rounds would not be those of the others: record anew' * resume}"
        )
