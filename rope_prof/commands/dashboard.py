"""`dashboard [RUN]`: the pages on loopback, in a Streamlit of their own."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time
import tomllib
import webbrowser
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.dashboard import FOLDER, early
from rope_prof.errors import UnavailableError, UsageError
from rope_prof.serve.hosts import hosts

HOST = "127.0.0.1"
FIRST_PORT = 8501
PATIENCE_S = 60


def dashboard(
    run: Annotated[
        Path | None, typer.Argument(parser=words.path, help="A run folder; the shipped run where none is named.")
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            parser=words.path, help="A folder that the pages 'Any trace' and 'Ranks' may open; repeat it for more."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1; the first free one from 8501.")] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name by which a browser may reach it, as through a proxy of yours; may repeat."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    as_json: words.Json = False,
) -> None:
    """Look at a run in the browser: overview, timeline, kernels."""
    if find_spec("streamlit") is None:
        raise ModuleNotFoundError("no Streamlit", name="streamlit")
    for one in folder or []:
        if not one.is_dir():
            raise UsageError(f"--folder '{one}' is no folder; name one that exists")
    names = allow_host or []
    hosts(names)
    chosen = free_port(port)
    address = f"http://{HOST}:{chosen}"
    signal.signal(signal.SIGTERM, _interrupt)  # so that the child does not outlive us
    child = early.process(early.SERVER, command(chosen, run, folder or [], names))
    ahead = early.process(early.AHEAD, [] if run is None else [str(run)])
    threading.Thread(target=ahead.wait, name="rope_prof-ahead", daemon=True).start()  # ended, it leaves no zombie
    try:
        if run is not None:
            from rope_prof.io.run.folder import read_run  # polars, which the children load for themselves meanwhile

            read_run(run)
        await_answer(child, chosen)
        typer.echo(f"dashboard on {address} (Ctrl-C ends it)")
        if as_json:
            emit({"schema_version": VERSION, "address": address, "traces": []}, at_once=True)
        if browser:
            webbrowser.open(address)
        child.wait()
    except KeyboardInterrupt:
        typer.echo("dashboard ended")
    finally:
        child.terminate()
        ahead.kill()
        child.wait()
        ahead.wait()
    if child.returncode not in (0, -15, -2, 130):
        raise UnavailableError(f"the dashboard ended with code {child.returncode}; its own message is above")


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def command(port: int, run: Path | None, folders: Sequence[Path] = (), names: Sequence[str] = ()) -> list[str]:
    """What the server is told: every setting of `.streamlit/config.toml` as a flag, then run, folders, names."""
    settings = tomllib.loads((FOLDER / "pages/.streamlit/config.toml").read_text(encoding="utf-8"))
    flags = [f"--{name}={value}" for name, value in _flat(settings)]
    own = [f"--server.port={port}", "--server.headless=true", "--logger.level=warning"]
    words = ["run", str(FOLDER / "pages/app.py"), *flags, *own]
    asked = [] if run is None else ["--run", str(run.resolve())]
    asked += [word for folder in folders for word in ("--folder", str(folder.resolve()))]
    asked += [word for name in names for word in ("--allow-host", name)]
    return [*words, "--", *asked] if asked else words


def _flat(settings: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", str(value).lower() if isinstance(value, bool) else str(value)


def free_port(asked: int | None) -> int:
    """The port that was asked for, or the first free one; UsageError where it is taken."""
    if asked is not None:
        if not 1 <= asked <= 65535:
            raise UsageError(f"port {asked}; expected 1 to 65535")
        if not _free(asked):
            raise UsageError(f"port {asked} is taken; name another with --port, or leave it out")
        return asked
    free = next(filter(_free, range(FIRST_PORT, FIRST_PORT + 100)), None)
    if free is None:
        raise UnavailableError(f"no free port from {FIRST_PORT} to {FIRST_PORT + 99}; name one with --port")
    return free


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def await_answer(child: subprocess.Popen[bytes], port: int) -> None:
    """Return once the server answers. Errors: UnavailableError where it ends or stays silent."""
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        if child.poll() is not None:
            raise UnavailableError("the dashboard did not start; its own message is above")
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise UnavailableError(f"the dashboard did not answer on port {port} within {PATIENCE_S} s; try again")
