"""`analyze` of folders, globs, URLs or several traces: progress on standard error, the report on standard output."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rope_prof.commands.documents import emit
from rope_prof.commands.words import UNUSABLE_EXIT
from rope_prof.errors import TraceError, UsageError
from rope_prof.io.trace.dataset import DEFAULT_DATASET, Dataset
from rope_prof.io.trace.same import one_content
from rope_prof.io.trace.same import said as said_of
from rope_prof.io.trace.storage import found
from rope_prof.model.frozen import Frozen
from rope_prof.ranks.pool import Pool, cores, free_bytes
from rope_prof.ranks.run import Tally, ToldError, analyze_many
from rope_prof.ranks.task import Task, TraceDone
from rope_prof.views.terminal.writer import printed

if TYPE_CHECKING:
    from rope_prof.ranks.cluster import Cluster
    from rope_prof.views.blocks.model import Block

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """The words of the command that concern many traces alone."""

    workers: int | None = None
    memory: str | None = None
    dask: str | None = None
    scheduler_file: Path | None = None

    def given(self) -> list[str]:
        """The options that were used."""
        used = {
            "--workers": self.workers,
            "--memory": self.memory,
            "--dask": self.dask,
            "--scheduler-file": self.scheduler_file,
        }
        return [option for option, value in used.items() if value is not None]


class RanksTold(Frozen, kw_only=True):
    """The report on many traces: how many have each verdict, its document, and what is printed of it."""

    verdicts: dict[str, int]
    document: dict[str, Any]
    blocks: tuple[Block, ...]


def analyze_all(
    places: Sequence[str], many: Many, *, range_: str | None, device: str | None, json_: bool, out: Path | None
) -> None:
    """Analyze all that is found, keep it in a dataset, and print the ranks side by side.

    Exits 3 if no trace is usable. Errors: RopeProfError in the end where traces failed for no fault of their own.
    """
    path = out if out is not None else Path(DEFAULT_DATASET)
    report, tally = ranked(places, many, range_=range_, device=device, out=path)
    if json_:
        emit(report.document | {"dataset": str(path)})
    else:
        print_ranks(report, tally, path)
    _finish(tally, report.verdicts)


def ranked(
    places: Sequence[str], many: Many, *, range_: str | None, device: str | None, out: Path
) -> tuple[RanksTold, Tally]:
    """The ranks of all that is found, kept in the dataset `out`, and what was done for it."""
    with _engine(many) as engine:
        sources = found(places)
        dataset = Dataset(out)
        tasks = [Task(source=source, range_pattern=range_, device=device) for source in sources]
        with Said(sys.stderr.isatty()) as said:
            tally = analyze_many(tasks, dataset, engine, said.told)
        report = engine.made(_report, dataset, [source.shown for source in sources])
    if report is None:
        raise TraceError(f"the analysis in {str(dataset.path)!r} has gone while it was made; run it again")
    for names in one_content(sources):
        typer.echo(said_of(names), err=True)
    return report, tally


def _report(dataset: Dataset, shown: Sequence[str]) -> RanksTold | None:
    """Of the traces called `shown`; None where the dataset is gone."""
    from rope_prof.analysis.ranks.ranks import ranks_report
    from rope_prof.views.blocks.ranks import ranks_blocks

    rows = dataset.rows()
    if rows is None:
        return None
    report = ranks_report(rows.filter(rows["source"].is_in(list(shown))))
    return RanksTold(verdicts=report.verdicts, document=report.as_json(), blocks=tuple(ranks_blocks(report)))


def print_ranks(report: RanksTold, tally: Tally, out: Path) -> None:
    """The ranks side by side on standard output."""
    printed(Console(), report.blocks)
    typer.echo(f"\nin {out}: {_kept(tally)}; the dashboard's page Ranks draws it")


def _kept(tally: Tally) -> str:
    fresh = tally.traces - tally.kept
    return f"{fresh:,} analyzed now, {tally.kept:,} kept from before"


def _finish(tally: Tally, verdicts: dict[str, int]) -> None:
    if tally.failed:
        source, why = tally.failed[0]
        raise TraceError(
            f"{len(tally.failed)} of {tally.traces} traces failed, the first {source!r} ({why}); the others are "
            "written: run the same command again to try them alone"
        )
    if not any(verdicts.get(verdict) for verdict in ("sound", "suspect")):
        raise typer.Exit(UNUSABLE_EXIT)


def _engine(many: Many) -> Pool | Cluster:
    if many.dask is not None or many.scheduler_file is not None:
        here = [option for option in many.given() if option in ("--workers", "--memory")]
        if here or (many.dask is not None and many.scheduler_file is not None):
            raise UsageError(f"{' and '.join(many.given())} exclude each other; a cluster has its own workers")
        from rope_prof.ranks.cluster import Cluster

        return Cluster(
            address=many.dask, scheduler_file=None if many.scheduler_file is None else str(many.scheduler_file)
        )
    if many.workers is not None and not 1 <= many.workers <= 1024:
        raise UsageError(f"--workers {many.workers}; expected 1 to 1024")
    memory = free_bytes() if many.memory is None else parsed_size(many.memory)
    return Pool(workers=many.workers or cores(), memory_bytes=memory)


def parsed_size(text: str) -> int:
    """`8G` -> bytes. Errors: UsageError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"--memory {text!r}; expected a size, as in 8G")
    return int(float(match[1]) * _UNITS[match[2].upper()])


class Said:
    """A bar on a terminal, and a line for every trace that failed; silence in a pipe but for those.

    It is drawn anew with each trace: a thread that draws it would keep the pool from forking.
    """

    def __init__(self, terminal: bool) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=Console(stderr=True), transient=True, disable=not terminal, auto_refresh=False
        )
        self._task = self._bar.add_task("analyzing", total=None)

    def __enter__(self) -> Said:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    @property
    def told(self) -> ToldError:
        """What `analyze_many` calls."""

        def told(there: int, total: int, done: TraceDone | None) -> None:
            self._bar.update(self._task, completed=there, total=total, refresh=True)
            if done is not None and done.status == "failed":
                self._bar.console.print(f"failed: {done.task.source.shown}: {done.reason}", markup=False)

        return told
