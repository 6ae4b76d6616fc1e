"""`mcp`: the commands as tools for an agent, over standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rope_prof.agents.permitted import permitted
from rope_prof.agents.server import server
from rope_prof.commands import words


def mcp(
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            parser=words.path,
            help="A folder whose files an agent may name, and where it may record; repeat it for more. Default: here.",
        ),
    ] = None,
) -> None:
    """Serve agents: record, compare, analyze, diff, explain a gap (Model Context Protocol, extra mcp)."""
    server(permitted(tuple(folder or [Path()]))).run("stdio")
