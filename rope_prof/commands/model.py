"""`model`: whole requests to the real model class, with each path in every decoder layer."""

from __future__ import annotations

import datetime
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rope_prof import __version__
from rope_prof.commands import words
from rope_prof.commands.printing import emit_recorded, print_requests
from rope_prof.commands.recorded import default_folder
from rope_prof.commands.words import many, option
from rope_prof.errors import UsageError
from rope_prof.io.run.folder import is_run, read_run, write_run
from rope_prof.io.run.writer import writing
from rope_prof.model.run import SCHEMA_VERSION, Run
from rope_prof.opened.run import open_run

if TYPE_CHECKING:
    from rope_prof.record.device.devices import RecordDevice
    from rope_prof.record.requests.measure import ModelOptions

Words = list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelWords:
    """The words of the command: which model and requests, with which paths, and where it goes."""

    preset: str = option("28b-a3b", "28b-a3b, or tiny for a CPU.")
    layers: int | None = option(None, "Fewer layers than the preset has.")
    operation: str | None = option(None, "mrope or mrope-kv; default that of the run in --out, else mrope.")
    path: Words = many(
        "Paths of the operation beside stock; default all of its own. Or your own package.module:function."
    )
    tokens: int = option(973, "Prompt tokens, most of them one image.")
    decode: int = option(146, "Tokens to decode.")
    rounds: int = option(40, "Rounds of interleaved samples.")
    sample: int = option(16, "Decoded tokens in a sample.")
    no_graphs: bool = option(False, "Leave CUDA graphs out.", "--no-graphs")
    no_profiles: bool = option(False, "Leave the profiles out.", "--no-profiles")
    device: words.Device = "auto"
    out: Path | None = option(
        None, "Run folder, new or an existing run's; default as record's.", "-o", "--out", parser=words.path
    )
    seed: int = option(0, "Fills the weights and the prompt, and shuffles the rounds.")
    as_json: words.Json = False

    def options(self) -> ModelOptions:
        """What of them is measured."""
        from rope_prof.record.requests.measure import ModelOptions

        return ModelOptions(
            preset=self.preset,
            layers=self.layers,
            operation=_operation(self.operation, self.out),
            paths=tuple(dict.fromkeys(self.path)),
            prompt_tokens=self.tokens,
            decode_tokens=self.decode,
            rounds=self.rounds,
            sample_tokens=self.sample,
            graphs=not self.no_graphs,
            profiles=not self.no_profiles,
            seed=self.seed,
        )


@words.command
def model(asked: ModelWords) -> None:
    """Does the model get faster? Ernie4.5-VL's text model of transformers, random weights, path by path."""
    from rope_prof.record.device.devices import find_device
    from rope_prof.record.requests.measure import check_start, record_model
    from rope_prof.record.requests.model import memory_line

    options, found = asked.options(), find_device(asked.device)
    memory = check_start(options, found)
    _say(f"{asked.preset}: {memory_line(memory)}")
    folder, run = _folder(found, options, asked.out)
    with writing(folder):
        if run is not None and not is_run(folder):
            write_run(folder, run)
        record_model(options, found, folder, memory, _say)
    print_requests(open_run(folder))
    typer.echo(f"\nrecorded in {folder}")
    if asked.as_json:
        emit_recorded(folder)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _operation(asked: str | None, out: Path | None) -> str:
    """What is put into the layers: that of the run in `out`, which it is held against. Errors: UsageError."""
    if out is None or not is_run(out):
        return asked or "mrope"
    recorded = read_run(out).run.operation.name
    if asked not in (None, recorded):
        raise UsageError(
            f"operation {asked!r}, and '{out}' is a run of {recorded!r}; leave --operation out, or name another folder"
        )
    return recorded


def _folder(device: RecordDevice, options: ModelOptions, out: Path | None) -> tuple[Path, Run | None]:
    """The folder to write into and, where it holds no run, one without keys for `show` and the dashboard to know."""
    from rope_prof.kernels.lookup import operation
    from rope_prof.record.device.machine import machine
    from rope_prof.record.loop.plan import facts_of
    from rope_prof.record.session import typed

    if out is not None and is_run(out):
        return out, None
    run = Run(
        schema_version=SCHEMA_VERSION,
        name=f"model-{options.preset}",
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        rope_prof=__version__,
        command=typed(sys.argv),
        seed=options.seed,
        machine=machine(device),
        operation=facts_of(operation(options.operation), options.operation),
        keys=(),
        complete=True,
    )
    return out if out is not None else default_folder(run), run
