"""`open RUN|TRACE`: the offline Perfetto UI on loopback, with the trace in it."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.errors import UsageError
from rope_prof.io.layout import NATIVE_SUFFIX
from rope_prof.io.run.folder import RunFolder
from rope_prof.io.trace.formats import needs_drawing
from rope_prof.io.trace.perfetto import check_opens, names_kernels_by_stage
from rope_prof.opened.pictures import case_traces, made_trace, no_trace
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.serve.builds import downloaded, major, ui_version
from rope_prof.serve.server import Server, Site, open_path, site
from rope_prof.views.report.html import report_html
from rope_prof.views.report.index import trace_index

#: The last version of Perfetto that is known to take a kernel's name from its render stage alone.
_WITHOUT_KERNELS = 52


def open_(
    target: Annotated[
        Path,
        typer.Argument(parser=words.path, metavar="RUN|TRACE", help="A run folder, or a trace that Perfetto reads."),
    ],
    key: Annotated[
        str | None, typer.Option(help="The key of the run to open at once: its name, or a part that names only it.")
    ] = None,
    port: Annotated[int, typer.Option(help="The port on 127.0.0.1; 0 takes a free one.")] = 0,
    online: Annotated[
        bool, typer.Option("--online", help="Hand the trace to ui.perfetto.dev inside the browser instead.")
    ] = False,
    perfetto: Annotated[
        Path | None,
        typer.Option(parser=words.path, metavar="DIR|ZIP", help="Serve this downloaded build of the UI instead."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, start no browser.")] = False,
    as_json: words.Json = False,
) -> None:
    """Open a run or a trace in the offline Perfetto UI, served on 127.0.0.1 until Ctrl-C."""
    with ExitStack() as held:
        site = replace(site_of(target, key), online=online)
        if perfetto is not None:
            site = replace(site, ui=held.enter_context(downloaded(perfetto)))
        _serve(site, target, port, no_browser, as_json)


def _serve(site: Site, target: Path, port: int, no_browser: bool, as_json: bool) -> None:
    with Server(site, port) as server:
        address = f"{server.address}/"
        count = len(site.traces) or 1
        typer.echo(f"{count} trace{'s' if count > 1 else ''} of '{target}' at {address}  (Ctrl-C ends)")
        for line in version_lines(site):
            typer.echo(line)
        if as_json:
            emit({"schema_version": VERSION, "address": address, "traces": sorted(site.traces)}, at_once=True)
        _hint(server.server_address[1])
        if not no_browser:
            threading.Thread(target=_start_browser, args=(address,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo()


def version_lines(site: Site) -> Iterator[str]:
    """Which Perfetto draws it, and what that one cannot."""
    if site.online:
        yield "drawn by the newest Perfetto, https://ui.perfetto.dev, in your browser"
        return
    version = ui_version(site.ui)
    yield f"drawn by Perfetto {version}, offline; --online: the newest; --perfetto DIR|ZIP: one that you downloaded"
    number = major(version)
    for name, path in site.traces.items():
        if number is not None and number <= _WITHOUT_KERNELS and names_kernels_by_stage(path):
            yield (
                f"{name}: Perfetto {version} calls every kernel of it `Kernel`, draws no arrow and counts import "
                "errors that it does not show; --online shows all of it, as does `rope_prof export FILE --to perfetto`"
            )


def site_of(target: Path, key: str | None) -> Site:
    """What to serve: one file; of a run the trace of `key`, or all of them behind an index page."""
    if not target.is_dir():
        if key is not None:
            raise UsageError(
                f"--key {key!r} with the single trace '{target}'; --key chooses in a run folder: leave it out"
            )
        if needs_drawing(target):
            return site([], made={f"{target.name}{NATIVE_SUFFIX}": partial(made_trace, target)})
        check_opens(target)
        return site([target])
    opened = open_run(target)
    folder = opened.folder
    traces = _traces(folder)
    if key is not None or len(traces) == 1:
        chosen = traces[_chosen(list(traces), key, folder)]
        check_opens(chosen)
        return site([chosen])
    made = case_traces(opened)
    page = _index(opened, traces, tuple(made))
    return site(list(traces.values()), index=lambda: page, made=made)


def _traces(folder: RunFolder) -> dict[str, Path]:
    """key name -> its trace file, of every key that has one. Errors: RunError for a run without any."""
    found = ((facts.key.name, folder.trace_path(facts.key.name)) for facts in folder.run.keys)
    traces = {name: path for name, path in found if path is not None}
    if not traces:
        raise no_trace(folder)
    return traces


def _chosen(names: list[str], key: str | None, folder: RunFolder) -> str:
    """The one name that `key` is, or is part of. Errors: UsageError that lists what there is."""
    if key is None or key in names:
        return names[0] if key is None else key
    matches = [name for name in names if key in name]
    if len(matches) == 1:
        return matches[0]
    what = f"names {len(matches)} traces" if matches else "names no trace"
    raise UsageError(f"--key {key!r} {what} of run '{folder.path}'; expected one of: {', '.join(matches or names)}")


def _index(opened: OpenedRun, traces: dict[str, Path], drawn: tuple[str, ...]) -> str:
    links = {name: open_path(path.name) for name, path in traces.items()}
    sizes = {name: path.stat().st_size for name, path in traces.items()}
    together = {name.removesuffix(NATIVE_SUFFIX): open_path(name) for name in drawn}
    return report_html(trace_index(opened.run, opened.rows, links, sizes, together), served=True)


def _hint(port: int) -> None:
    """How to look at it from elsewhere, for someone who came by ssh."""
    if "SSH_CONNECTION" in os.environ:
        typer.echo(f"from your own machine: ssh -N -L {port}:127.0.0.1:{port} THIS-HOST, then open that address there")


def _start_browser(address: str) -> None:
    screen = sys.platform != "linux" or any(os.environ.get(v) for v in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    # Without a screen `webbrowser` would fall back to a text browser, which takes over the terminal.
    if not (screen and webbrowser.open(address)):
        typer.echo("no browser could be started here; open the address yourself, or give --no-browser")
