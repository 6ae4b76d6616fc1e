"""How far a recording is, on standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class NoProgress:
    """Nothing is shown: nobody asked, or the first rank's is that of all."""

    def __enter__(self) -> NoProgress:
        return self

    def __exit__(self, *_: object) -> None: ...

    def total(self, steps: int) -> None:
        """Not shown."""

    def step(self, what: str, done: int = 0) -> None:
        """Not shown."""


class RichProgress:
    """The recorder's progress as one rich bar on standard error, which keeps its own copy of that stream."""

    def __init__(self) -> None:
        self._own = True
        try:
            stream = os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        except (OSError, ValueError):
            stream, self._own = sys.stderr, False  # type: ignore[assignment]
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
        if self._own:
            self._stream.close()

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
