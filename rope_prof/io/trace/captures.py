"""What says how a graph's nodes were launched: traces of captures, and the stacks that torch 2.15 writes.

`torch.cuda.graph_annotations.dump_kernel_py_stacks` writes gzip with one JSON object: the number of a node -> lines
`file:line:function`, the innermost first. Everything else is a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from rope_prof.errors import TraceError
from rope_prof.io.bombs import whole
from rope_prof.io.trace.formats import FileStart
from rope_prof.io.trace.read import read_trace
from rope_prof.io.trace.storage import fetched, found
from rope_prof.model.trace import NODE_SITES, Trace

#: As the file begins: a number of a node and its stack, or no node at all.
_STACKS: Final = re.compile(rb'\s*\{\s*(?:"\d+"\s*:\s*"|\}\s*$)')
_FRAME: Final = re.compile(r"^(.+):(\d+):(.+)$")
MOST_BYTES: Final = 256 << 20


def read_captures(places: Iterable[str]) -> tuple[list[Trace], list[pl.DataFrame]]:
    """(traces of captures, nodes by their number: schema NODE_SITES) of files, folders, globs and URLs.

    Errors: TraceError for a place without a trace, and for what is neither.
    """
    traces, nodes = [], []
    for source in found(places):
        with fetched(source) as path:
            told = _stacks(path)
            if told is None:
                traces.append(read_trace(path))
            else:
                nodes.append(told)
    return traces, nodes


def _stacks(path: Path) -> pl.DataFrame | None:
    """The nodes of a file of stacks; None for any other file."""
    try:
        start = FileStart(path)
        if not _STACKS.match(start.head):
            return None
        text = whole(start.chunks(), MOST_BYTES, f"{str(path)!r} holds stacks")
        held = msgspec.json.decode(text, type=dict[int, str])
    except (OSError, msgspec.MsgspecError) as error:
        raise TraceError(
            f"{str(path)!r} is no whole list of nodes with their stacks ({error}); write it again"
        ) from error
    rows = [{"node": node, "line": _line(stack)} for node, stack in held.items()]
    return pl.DataFrame([dict.fromkeys(NODE_SITES) | row for row in rows], schema=NODE_SITES)


def _line(stack: str) -> str | None:
    """`model.py(34): forward` of the innermost frame, as Kineto writes a line."""
    frame = _FRAME.match(stack.split("\n", 1)[0])
    return None if frame is None else f"{frame[1]}({frame[2]}): {frame[3]}"
