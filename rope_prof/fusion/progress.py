"""How far a measurement of a script is: rich's bar on a terminal, a line that is redrawn in a notebook, or nothing."""

from __future__ import annotations

import sys
from html import escape
from typing import Any

from rope_prof.commands.progress import NoProgress, RichProgress


class NotebookProgress:
    """One output of a cell that is redrawn as the work goes on, and empty when it is done."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._steps, self._done, self._said = 0, 0, ""

    def __enter__(self) -> NotebookProgress:
        self._handle = self._display(_Bar("preparing", 0, 0), display_id=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.update(_Bar("", 0, 0))

    def total(self, steps: int) -> None:
        """How many steps there are in all."""
        self._steps = steps

    def step(self, what: str, done: int = 0) -> None:
        """`what` runs now; `done` more steps are behind."""
        self._done += done
        if done or what != self._said:
            self._said = what
            self._handle.update(_Bar(what, self._done, self._steps))


class _Bar:
    """What a notebook shows: HTML, and the same as text."""

    def __init__(self, what: str, done: int, steps: int) -> None:
        self._what, self._done, self._steps = what, done, steps

    def __repr__(self) -> str:
        return f"{self._what} ({self._done} of {self._steps})" if self._what else ""

    def _repr_html_(self) -> str:
        if not self._what:
            return ""
        return f'<progress value="{self._done}" max="{max(1, self._steps)}"></progress> {escape(self._what)}'


def shown(wanted: bool | None) -> RichProgress | NotebookProgress | NoProgress:
    """The progress for where this runs. `wanted` None: a terminal or a notebook has one, a log and a test have none."""
    if wanted is False:
        return NoProgress()
    display = notebook_display()
    if display is not None:
        return NotebookProgress(display)
    return RichProgress() if wanted or sys.stderr.isatty() else NoProgress()


def notebook_display() -> Any:
    """IPython's `display` in a notebook; None anywhere else."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return None
    from IPython.display import display

    return display
