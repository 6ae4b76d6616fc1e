"""What `measure` returns: a recorded run with its verdicts, as text, in a notebook, and as a folder of files."""

from __future__ import annotations

import os
import shutil
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console

from rope_prof.analysis.run.cases import main_case
from rope_prof.analysis.run.numbers import Numbers
from rope_prof.analysis.run.rows import Row
from rope_prof.errors import RunError, UsageError
from rope_prof.fusion.notebook import fragment
from rope_prof.fusion.verdicts import FusionVerdict, verdicts
from rope_prof.io.layout import RUN_FILE
from rope_prof.model.run import MODES, Run
from rope_prof.opened.report import gathered
from rope_prof.opened.run import open_run
from rope_prof.views.blocks.model import Block, Bullets, Picture, Words
from rope_prof.views.blocks.overview import overview
from rope_prof.views.blocks.run import run_tables
from rope_prof.views.report.timeline import timelines
from rope_prof.views.terminal.writer import printed
from rope_prof.views.words.machine import machine_line
from rope_prof.views.words.notes import notes

_WIDTH = 140


class MeasuredFusion:
    """One measurement. Its files lie in a folder that goes with the process, until `save` puts them where you want.

    `str()` is the table; a notebook shows the table and the picture of one call before and after.
    """

    def __init__(self, folder: Path, judge: str) -> None:
        self._opened = open_run(folder)
        self.judge = judge
        self.verdicts: tuple[FusionVerdict, ...] = verdicts(self._opened.numbers)

    @property
    def run(self) -> Run:
        """What was recorded: machine, keys, accuracy."""
        return self._opened.run

    @property
    def folder(self) -> Path:
        """Where the files lie now."""
        return self._opened.path

    @property
    def numbers(self) -> Numbers:
        """Everything that is computed of the run."""
        return self._opened.numbers

    @property
    def rows(self) -> tuple[Row, ...]:
        """One a path, mode and case: medians with intervals in ns, kernels, bubbles, accuracy."""
        return self._opened.rows

    @property
    def verdict(self) -> FusionVerdict | None:
        """That of the last candidate in the last case: the only one where there is one of each. None without any."""
        return self.verdicts[-1] if self.verdicts else None

    def in_mode(self, mode: str) -> tuple[FusionVerdict, ...]:
        """As `verdicts`, both sides in `mode`. Errors: UsageError for one that no path was asked for."""
        asked = tuple(word for word in MODES if any(facts.key.mode == word for facts in self.run.keys))
        found = next((word for word in asked if word == mode), None)
        if found is None:
            raise UsageError(
                f"mode {mode!r} was not measured; expected {', '.join(map(repr, asked))}: name it in modes="
            )
        return verdicts(self.numbers, found)

    @property
    def headline(self) -> str:
        """The verdicts in sentences."""
        if not self.verdicts:
            return f"{self.run.operation.baseline} alone was measured; give a second path for a verdict"
        return ". ".join(verdict.sentence for verdict in self.verdicts)

    @property
    def table(self) -> str:
        """Machine, verdicts, a table a case and its notes, as text."""
        out = StringIO()
        console = Console(file=out, width=_WIDTH, force_terminal=False, color_system=None)
        lines = [machine_line(self.run.machine), *(verdict.sentence for verdict in self.verdicts)]
        printed(console, [*(Words(text=line) for line in lines), *self._tables()])
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines()).strip() + "\n"

    def __str__(self) -> str:
        return self.table

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.headline}>"

    def _tables(self) -> list[Block]:
        said = (f"outputs are held against {self.judge}", *notes(self.run, self.rows))
        return [*run_tables(self.rows), Bullets(items=said)]

    @property
    def picture(self) -> Picture | None:
        """One call of baseline and candidate on one scale, of the main case; None where neither was captured."""
        case = main_case(self.run)
        if case is None:
            return None
        view = overview(self.rows, case.name, self.run.machine.device)
        drawn = timelines(gathered(self._opened), view)
        return next((block for block in drawn if isinstance(block, Picture) and block.where != "page"), None)

    def _repr_html_(self) -> str:
        picture = self.picture
        words = [Words(text=machine_line(self.run.machine), tone="muted")]
        return fragment(self.headline, [*words, *self._tables(), *([picture] if picture else [])])

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Copy the run into `folder`, whole or not at all: `show`, `compare`, `export` and `dashboard` read it.

        Errors: RunError where `folder` is there and holds something, or cannot be written.
        """
        target = Path(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise RunError(f"{str(target)!r} is there already; save the run into a new folder")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as part:
                whole = Path(part) / "run"
                whole.mkdir()
                for file in self.folder.iterdir():
                    if file.is_file() and not file.name.startswith("."):
                        shutil.copyfile(file, whole / file.name)
                assert (whole / RUN_FILE).is_file(), "a run has its facts"
                whole.rename(target)
        except OSError as error:
            raise RunError(f"cannot save the run into {str(target)!r} ({error.strerror or error})") from error
        return target
