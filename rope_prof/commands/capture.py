"""`capture`: a running server's own trace, from its start to its account, by phase and batch size."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from rope_prof.commands import words
from rope_prof.commands.account import account_of
from rope_prof.commands.analyze_many import Many, print_ranks, ranked
from rope_prof.commands.documents import VERSION, emit
from rope_prof.commands.words import UNUSABLE_EXIT, needed, option
from rope_prof.engines.capture import ServedTraces
from rope_prof.engines.capture import capture as captured
from rope_prof.engines.engine import ENGINES, Wish, vllm_folder
from rope_prof.engines.http import RunningServer, ServerError, server
from rope_prof.errors import UsageError
from rope_prof.units import counted, size

#: Without --seconds: a window; with --steps, how long they may take.
_SECONDS = 3.0
_STEPS_SECONDS = 120.0
_WAIT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureWords:
    """The words of the command: which server, what of it, and where its files go."""

    url: str = needed("Where the server answers, as http://127.0.0.1:30000.", "--server", metavar="URL")
    engine: str = needed("What serves there.", "--engine", metavar="|".join(ENGINES))
    seconds: float | None = option(
        None, "How long its profiler runs; default 3. With --steps the longest that they may take, 120."
    )
    steps: int | None = option(None, "End after so many steps of the engine.")
    by_stage: bool = option(False, "SGLang, with --steps: prefill and decode in a file each.", "--by-stage")
    stacks: bool = option(False, "Record Python stacks too: larger files, and a slower host.", "--stacks")
    folder: str | None = option(
        None,
        "Where the server writes, as it sees it: of SGLang a folder that it may write to (default: a new one "
        "in /tmp), of vLLM the torch_profiler_dir that it was started with.",
        "--dir",
        parser=words.place,
        metavar="FOLDER",
    )
    key_env: str | None = option(
        None, "The environment variable that holds the server's API key.", "--key-env", metavar="NAME"
    )
    wait: float = option(_WAIT_S, "How many seconds it may take to write its files.")
    out: Path | None = option(None, "Several ranks: the folder of their dataset.", "-o", "--out", parser=words.path)
    as_json: words.Json = False


@words.command
def capture(asked: CaptureWords) -> None:
    """Record a running SGLang or vLLM server by its own profiler, find the files, account for them by phase."""
    if asked.engine not in ENGINES:
        raise UsageError(f"unknown --engine {asked.engine!r}; expected {' or '.join(map(repr, ENGINES))}")
    _check(asked)
    there, engine = server(asked.url, _key(asked.key_env)), ENGINES[asked.engine]
    seconds = asked.seconds
    if seconds is None:
        seconds = _SECONDS if asked.steps is None else _STEPS_SECONDS
    place, prefix = _folder(there, asked.engine, asked.folder), f"rope_prof-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    wish = Wish(
        seconds=seconds,
        folder=place,
        prefix=prefix,
        steps=asked.steps,
        by_stage=asked.by_stage,
        stacks=asked.stacks,
    )
    try:
        found = captured(there, engine, wish, wait_s=asked.wait, told=lambda line: typer.echo(line, err=True))
    finally:
        if asked.folder is None:
            with suppress(OSError):  # not empty, or not here
                Path(place).rmdir()
    facts = {"schema_version": VERSION, "engine": asked.engine, "server": there.url, **_facts(found)}
    if not asked.as_json:
        for line in _lines(found):
            typer.echo(line)
    ranks = asked.out or Path(f"{prefix}-ranks")
    if not _account(found, ranks, facts, engine.stages, asked.as_json):
        raise typer.Exit(UNUSABLE_EXIT)


def _check(asked: CaptureWords) -> None:
    if asked.seconds is not None and not 0 < asked.seconds <= 3600:
        raise UsageError(f"--seconds {asked.seconds:g}; expected more than 0, at most 3600")
    if asked.steps is not None and not 1 <= asked.steps <= 100_000:
        raise UsageError(f"--steps {asked.steps}; expected 1 to 100000")
    if not 0 < asked.wait <= 86_400:
        raise UsageError(f"--wait {asked.wait:g}; expected more than 0 s, at most a day")
    if asked.by_stage and asked.engine != "sglang":
        raise UsageError(
            f"--by-stage goes with --engine sglang, not with {asked.engine!r}: its steps name their phase anyway"
        )
    if asked.by_stage and asked.steps is None:
        raise UsageError(
            "--by-stage without --steps N: SGLang's scheduler ends where a recording by stage has no steps"
        )


def _key(name: str | None) -> str | None:
    if name is None:
        return None
    key = os.environ.get(name, "")
    if not key:
        raise UsageError(f"--key-env {name}: no such environment variable is set; name the one that holds the key")
    if not (key.isascii() and key.isprintable()):
        raise UsageError(f"--key-env {name}: its value breaks the line or is not ASCII; expected the bare key")
    return key


def _folder(there: RunningServer, engine: str, folder: str | None) -> str:
    """Where the server is to write, or writes, as it sees it."""
    if folder is not None:
        if not folder.startswith("/") and not there.is_here:
            raise UsageError(f"--dir {folder!r} of a server on {there.host}; expected a path from the root there")
        return folder if folder.startswith("/") else str(Path(folder).absolute())
    if engine == "sglang":
        made = Path("/tmp") / f"rope_prof-sglang-{secrets.token_hex(8)}"
        if there.is_here:
            made.mkdir()
            made.chmod(0o1777)  # the server may be of another user: what it cannot write ends its scheduler
        return str(made)
    told = vllm_folder(there.ask("GET", "/server_info?config_format=json", timeout_s=10))
    if told is None:
        raise UsageError(
            "vLLM does not say where it writes (only with VLLM_SERVER_DEV_MODE=1); give --dir FOLDER, the "
            "torch_profiler_dir that it was started with"
        )
    return told


def _facts(found: ServedTraces) -> dict[str, Any]:
    named = {name: [str(path) for path in getattr(found, name)] for name in ("files", "front_end", "unfinished")}
    return {"folder": str(found.folder), "seconds": round(found.seconds, 3), **named}


def _lines(found: ServedTraces) -> list[str]:
    total = size(sum(path.stat().st_size for path in found.files))
    lines = [f"{counted(len(found.files), 'trace')}, {total}, {found.seconds:.1f} s, in {found.folder}"]
    lines += [f"  {path.name}" for path in found.files]
    lines += [f"  {path.name}: the front end's, left out: it holds no GPU work" for path in found.front_end]
    return [*lines, *(f"  {path.name}: not whole yet, left out; --wait waits longer" for path in found.unfinished)]


def _account(found: ServedTraces, out: Path, facts: dict[str, Any], stages: tuple[str, ...], as_json: bool) -> bool:
    """Print the account of the files, or their document; whether any of the first rank's holds GPU work."""
    accounts = [account_of(path) for path in _first_rank(found.files, stages)]
    ranks, tally = None, None
    if len(found.files) > 1:
        ranks, tally = ranked([str(path) for path in found.files], Many(), range_=None, device=None, out=out)
    if as_json:
        traces = [{"file": str(one.source), "account": one.document()} for one in accounts]
        emit(facts | {"traces": traces, "ranks": None if ranks is None else ranks.document | {"dataset": str(out)}})
    else:
        for one in accounts:
            one.printed_on(Console())
        if ranks is not None and tally is not None:
            print_ranks(ranks, tally, out)
    if not accounts:
        raise ServerError(
            f"{counted(len(found.unfinished), 'trace')} in {str(found.folder)!r}, none of them whole yet; `rope_prof "
            "analyze` it once it is, or give --wait more seconds"
        )
    usable = any(one.answer.integrity.verdict != "unusable" for one in accounts)
    if not usable:
        typer.echo("no GPU work in it: send the server requests while it records", err=True)
    return usable


def _first_rank(files: tuple[Path, ...], stages: tuple[str, ...]) -> list[Path]:
    """The first file by name, and by stage those of the same rank."""

    def rank(path: Path) -> str:
        return next((path.name.replace(stage, "") for stage in stages if stage in path.name), path.name)

    return [path for path in files if rank(path) == rank(files[0])] if files else []
