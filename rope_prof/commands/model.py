"""`model`: whole requests to the real model class, with each path in every decoder layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rope_prof.commands import words

if TYPE_CHECKING:
    from rope_prof.analysis.requests.requests import Prediction, StepParts
    from rope_prof.io.run.requests import EndToEndFolder
    from rope_prof.model.run import Run
    from rope_prof.model.trace import Trace
    from rope_prof.record.device.devices import RecordDevice

Words = list[str]


def model(
    preset: Annotated[str, typer.Option(help="28b-a3b, or tiny for a CPU.")] = "28b-a3b",
    layers: Annotated[int | None, typer.Option(help="Fewer layers than the preset has.")] = None,
    path: Annotated[
        Words, typer.Option(help="Paths beside stock: unfused, per-token, fused or your own package.module:function.")
    ] = [],  # noqa: B006
    tokens: Annotated[int, typer.Option(help="Prompt tokens, most of them one image.")] = 973,
    decode: Annotated[int, typer.Option(help="Tokens to decode.")] = 146,
    rounds: Annotated[int, typer.Option(help="Rounds of interleaved samples.")] = 40,
    sample: Annotated[int, typer.Option(help="Decoded tokens in a sample.")] = 16,
    no_graphs: Annotated[bool, typer.Option("--no-graphs", help="Leave CUDA graphs out.")] = False,
    no_profiles: Annotated[bool, typer.Option("--no-profiles", help="Leave the profiles out.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", parser=words.path, help="Run folder, new or an existing run's; default as record's."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fills the weights and the prompt, and shuffles the rounds.")] = 0,
) -> None:
    """Does the model get faster? Ernie4.5-VL's text model of transformers, random weights, path by path."""
    from rope_prof.io.run.folder import is_run, write_run
    from rope_prof.io.run.writer import writing
    from rope_prof.kernels.mrope.paths import NAMES
    from rope_prof.record.device.devices import find_device
    from rope_prof.record.requests.measure import ModelOptions, check_start, record_model
    from rope_prof.record.requests.model import memory_line

    options = ModelOptions(
        preset=preset,
        layers=layers,
        paths=tuple(dict.fromkeys(path)) or NAMES,
        prompt_tokens=tokens,
        decode_tokens=decode,
        rounds=rounds,
        sample_tokens=sample,
        graphs=not no_graphs,
        profiles=not no_profiles,
        seed=seed,
    )
    found = find_device(device)
    memory = check_start(options, found)
    _say(f"{preset}: {memory_line(memory)}")
    folder, run = _folder(found, preset, out, seed)
    with writing(folder):
        if run is not None and not is_run(folder):
            write_run(folder, run)
        record_model(options, found, folder, memory, _say)
    print_end_to_end(folder)
    typer.echo(f"\nrecorded in {folder}")


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _folder(device: RecordDevice, preset: str, out: Path | None, seed: int) -> tuple[Path, Run | None]:
    """The folder to write into and, where it holds no run, one without keys for `show` and the dashboard to know."""
    import datetime
    import sys

    from rope_prof import __version__
    from rope_prof.commands.record import default_folder
    from rope_prof.io.run.folder import is_run
    from rope_prof.model.run import SCHEMA_VERSION, Run
    from rope_prof.record.device.machine import machine
    from rope_prof.record.session import typed

    if out is not None and is_run(out):
        return out, None
    run = Run(
        schema_version=SCHEMA_VERSION,
        name=f"model-{preset}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rope_prof=__version__,
        command=typed(sys.argv),
        seed=seed,
        machine=machine(device),
        keys=(),
        complete=True,
    )
    return out if out is not None else default_folder(run), run


def print_end_to_end(folder: Path) -> None:
    """Print the end-to-end tables of the run in `folder`; nothing where it has none."""
    from rope_prof.analysis.requests.requests import agreements, request_rows
    from rope_prof.commands.show import wide_console
    from rope_prof.io.run.requests import read_end_to_end
    from rope_prof.views.blocks.requests import request_blocks
    from rope_prof.views.terminal.writer import printed

    found = read_end_to_end(folder)
    if found is None:
        return
    facts = found.facts
    blocks = request_blocks(facts, request_rows(facts, found.samples), agreements(facts), *profiled(found))
    printed(wide_console(), blocks)


def end_to_end_document(folder: Path) -> dict[str, Any] | None:
    """What `show --json` says of whole requests; None where the run in `folder` has none."""
    from rope_prof.analysis.requests.requests import agreements, request_rows
    from rope_prof.io.run.requests import read_end_to_end
    from rope_prof.views.words.run_json import end_to_end_json

    found = read_end_to_end(folder)
    if found is None:
        return None
    steps, predicted, _ = profiled(found)
    return end_to_end_json(
        found.facts, request_rows(found.facts, found.samples), agreements(found.facts), steps, predicted
    )


def profiled(
    found: EndToEndFolder, read: Callable[[Path], Trace] | None = None
) -> tuple[dict[tuple[str, str], StepParts], list[Prediction], list[str]]:
    """(the parts of each profiled step, the predictions, why one is missing), from the traces of a run folder.

    `read` opens a trace; who keeps them gives its own.
    """
    from rope_prof.analysis.requests.requests import BASELINE, prediction, step_parts
    from rope_prof.errors import TraceError
    from rope_prof.io.trace.read import read_trace

    steps, predicted, doubts = {}, [], []
    for one in found.facts.paths:
        for phase in one.traces or {}:
            path = found.trace_path(one.path, phase)
            if path is None:
                doubts.append(f"the profile of {phase} of {one.path} is gone from the folder")
                continue
            trace = (read or read_trace)(path)
            parts = step_parts(trace, one.path, phase)
            if parts is not None:
                steps[one.path, phase] = parts
            if one.path == BASELINE and found.facts.machine.device == "cuda":
                try:
                    outcome = prediction(found.samples, trace, phase, "fused")
                except TraceError as error:
                    doubts.append(str(error))
                else:
                    predicted += [outcome] if outcome else []
    return steps, predicted, doubts
