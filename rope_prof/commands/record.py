"""`record`: the main job. Options -> plan -> recorder -> table; what runs and what is left goes to standard error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rope_prof.commands import words

if TYPE_CHECKING:
    from rope_prof.model.run import Run
    from rope_prof.record.device.devices import RecordDevice
    from rope_prof.record.loop.plan import Options
    from rope_prof.record.nsight.tools import Tool
    from rope_prof.record.worker.workers import Workers

Words = list[str]


def record(
    model: Annotated[Words, typer.Option(help="28b (default) or 424b; repeat for both.")] = [],  # noqa: B006
    tp: Annotated[
        list[int], typer.Option(help="Tensor-parallel ranks that share the heads, default 1; may repeat.")
    ] = [],  # noqa: B006
    tokens: Annotated[Words, typer.Option(help="Token counts, as in 1,64,973; may repeat.")] = [],  # noqa: B006
    dtype: Annotated[Words, typer.Option(help="bf16, fp16 or fp32; may repeat.")] = ["bf16"],  # noqa: B006
    path: Annotated[
        Words,
        typer.Option(
            help="unfused, per-token or fused; or your own package.module:function, which joins them. May repeat."
        ),
    ] = [],  # noqa: B006
    mode: Annotated[Words, typer.Option(help="eager, compile or graph; may repeat.")] = [],  # noqa: B006
    l2: Annotated[Words, typer.Option("--l2", help="cold or hot, as in cold,hot; default cold on a GPU.")] = [],  # noqa: B006
    prompt: Annotated[str, typer.Option(help="image, text or random positions.")] = "image",
    calls: Annotated[int | None, typer.Option(help="Calls in a capture, and in a sample at least.")] = None,
    rounds: Annotated[int | None, typer.Option(help="Rounds of interleaved samples.")] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Stop a case when every path's ratio to the baseline has an interval narrower than this: 1%."
        ),
    ] = None,
    budget: Annotated[float | None, typer.Option(help="Seconds for the timed rounds of all cases together.")] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Time 1 to 65536 tokens, both models, all ranks; no captures.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the run; part of its default folder.")] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", parser=words.path, help="Run folder; default ./traces/<date>-<device>-<name>."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in -o.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer token counts and rounds.")] = False,
    seed: Annotated[int, typer.Option(help="Fills the inputs and shuffles the rounds.")] = 0,
    isolate: Annotated[
        bool | None,
        typer.Option(
            "--isolate/--no-isolate",
            help="Each path in a process of its own (default, but for a sweep), or all in this one.",
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(help="Seconds that a path's process may take over one step before it is ended.")
    ] = 300.0,
    nsight: Annotated[
        Words,
        typer.Option(help="systems or compute: run the same calls under nsys or ncu too. With --resume: add to a run."),
    ] = [],  # noqa: B006
    nsys: Annotated[
        Path | None, typer.Option(parser=words.path, help="The nsys program, where it is not found by itself.")
    ] = None,
    ncu: Annotated[
        Path | None, typer.Option(parser=words.path, help="The ncu program, where it is not found by itself.")
    ] = None,
) -> None:
    """Measure every path on this machine and write a run folder."""
    from rope_prof.record.loop.plan import Options, parse_tokens
    from rope_prof.record.loop.stopping import parse_precision

    options = Options(
        models=tuple(dict.fromkeys(model)),
        tp=tuple(dict.fromkeys(tp)),
        tokens=parse_tokens(tokens),
        dtypes=tuple(dict.fromkeys(dtype)),
        paths=tuple(path),
        modes=tuple(mode),
        l2=tuple(part.strip() for word in l2 for part in word.split(",")),
        prompt=prompt,
        calls=calls,
        rounds=rounds,
        seed=seed,
        quick=quick,
        precision=None if precision is None else parse_precision(precision),
        budget=budget,
        sweep=sweep,
    )
    from rope_prof.record.ranks import place

    here = place()
    if here is not None:
        from rope_prof.commands.record_ranks import record_on_ranks

        _only_fresh(resume, nsight)
        record_on_ranks(options, here, device=device, name=name, out=out)
        return
    if resume:
        _only_resume(options, out)
    _record_here(
        options,
        Wanted(device=device, name=name, out=out, resume=resume, isolate=isolate, patience_s=_patience(patience)),
        (nsight, nsys, ncu),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a run is recorded, beside what: words of the command line that are no part of the plan."""

    device: str
    name: str | None
    out: Path | None
    resume: bool
    isolate: bool | None
    patience_s: float


def _patience(seconds: float) -> float:
    from rope_prof.errors import UsageError

    if not 0 < seconds < float("inf"):
        raise UsageError(f"patience {seconds:g}; expected seconds above 0, as in --patience 300")
    return seconds


def _record_here(options: Options, wanted: Wanted, nsight: tuple[Words, Path | None, Path | None]) -> None:
    """Record in this process and its workers. The first worker loads torch while this process does."""
    from rope_prof.record.worker.workers import Workers, spare_worker

    together = _why_together(options, wanted)
    with spare_worker(wanted.patience_s, wanted=together is None) as spare:
        from rope_prof.commands.nsight_options import asked_tools
        from rope_prof.record.device.devices import find_device
        from rope_prof.record.session import fresh_run, resumed_run

        if wanted.resume:
            assert wanted.out is not None
            run, found = resumed_run(wanted.out, wanted.device)
        else:
            run, found = None, find_device(wanted.device)
        tools = asked_tools(*nsight, found.kind)
        workers = None
        if together is None:
            workers = Workers(
                device=str(found.torch_device),
                seed=options.seed,
                kind=found.kind,
                patience_s=wanted.patience_s,
                spare=spare,
            )
        try:
            if run is None:
                run = fresh_run(options, found, wanted.name, workers, together or "")
            folder = wanted.out if wanted.out is not None else default_folder(run)
            _record(run, found, folder, tools, resume=wanted.resume, workers=workers)
        finally:
            if workers is not None:
                workers.close()


def _why_together(options: Options, wanted: Wanted) -> str | None:
    """Why the paths share this process; a run goes on as it was begun, unless asked otherwise."""
    from rope_prof.io.run.folder import read_run
    from rope_prof.record.worker.workers import ISOLATED, why_together

    isolate, sweep = wanted.isolate, options.sweep
    if wanted.resume and isolate is None:
        assert wanted.out is not None
        isolate = read_run(wanted.out).run.settings.get("isolation") == ISOLATED
    return why_together(isolate, sweep=sweep, ranks=False)


def _only_fresh(resume: bool, nsight: Words) -> None:
    """Under torchrun a run is made anew, and Nsight's tools, which start processes of their own, are left out."""
    from rope_prof.errors import UsageError

    if resume or nsight:
        raise UsageError(f"{'--resume' if resume else '--nsight'} does not go with torchrun; leave one of them out")


def _only_resume(options: Options, out: Path | None) -> None:
    """A resumed run keeps its plan: words that would change it are an error."""
    from dataclasses import fields

    from rope_prof.errors import UsageError
    from rope_prof.record.loop.plan import Options as Plain

    if out is None:
        raise UsageError("--resume needs the run to go on with; name its folder: record --resume -o RUN")
    plain = Plain()
    changed = [f.name for f in fields(plain) if getattr(options, f.name) != getattr(plain, f.name)]
    if changed:
        raise UsageError(
            f"--resume goes on with the plan of the run; leave out {', '.join(f'--{name}' for name in changed)}"
        )


def default_folder(run: Run) -> Path:
    """`./traces/<date>-<device>-<name>`."""
    return Path("traces") / f"{run.created[:10]}-{slug(run.machine.device_name)}-{run.name}"


def slug(text: str) -> str:
    """Lower case letters and digits, joined by single dashes, at most 24 characters."""
    import re

    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:24].strip("-") or "device"


def _record(
    run: Run,
    device: RecordDevice,
    folder: Path,
    tools: tuple[Tool, ...],
    *,
    resume: bool = False,
    workers: Workers | None = None,
) -> None:
    from rope_prof.commands.nsight_options import run_tools
    from rope_prof.commands.show import print_run
    from rope_prof.errors import PartialError, UnavailableError
    from rope_prof.io.run.folder import read_run
    from rope_prof.io.run.writer import writing
    from rope_prof.record.session import record_run

    with writing(folder):
        with RichProgress() as progress:
            done = record_run(run, device, folder, progress, resume=resume, workers=workers)
        failed = run_tools(folder, tools, str(device.torch_device))
    print_run(read_run(folder))
    typer.echo(f"\nrecorded in {folder}\n\nnext:")
    for line in next_commands(folder):
        typer.echo(f"  {line}")
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
            f"the first, {first.key.path} {first.key.mode}: {first.reason}"
        )


def next_commands(folder: Path) -> tuple[str, str, str]:
    """The three commands that a person wants after a recording."""
    return (
        f"python -m rope_prof dashboard {folder}    # look at it",
        f"python -m rope_prof open {folder}    # the traces in Perfetto, offline",
        f"python -m rope_prof show {folder} --json    # the table for a script",
    )


class RichProgress:
    """The recorder's progress as one rich bar on standard error, which keeps its own copy of that stream."""

    def __init__(self) -> None:
        import os
        import sys

        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        try:
            stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        except (OSError, ValueError):
            stream = sys.stderr  # type: ignore[assignment]
        self._stream = stream
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("preparing", total=None)
        self._plain = not self._bar.console.is_terminal
        self._said = ""

    def __enter__(self) -> RichProgress:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__(None, None, None)

    def total(self, steps: int) -> None:
        """How many steps there are in all."""
        self._bar.update(self._task, total=steps)

    def step(self, what: str, done: int = 0) -> None:
        """`what` runs now; `done` more steps are behind. Without a terminal: a line where the work changes."""
        self._bar.update(self._task, description=what, advance=done)
        kind = what.partition(", round")[0]
        if (self._plain and not done and kind != self._said) or (
            self._plain and kind.startswith("timing") and kind != self._said
        ):
            self._said = kind
            self._stream.write(f"{kind}\n")
            self._stream.flush()
