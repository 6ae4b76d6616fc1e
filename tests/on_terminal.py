"""Blocks as a terminal of some width shows them."""

from __future__ import annotations

import io
from collections.abc import Iterable

from rich.console import Console

from rope_prof.views.blocks.model import Block
from rope_prof.views.terminal.writer import printed


def on_terminal(blocks: Iterable[Block | None], width: int = 160) -> str:
    """What the command line prints of those blocks; what is None was left out."""
    out = io.StringIO()
    printed(
        Console(file=out, width=width, force_terminal=True, color_system=None),
        (block for block in blocks if block is not None),
    )
    return out.getvalue()
