"""What a pull request needs in one look: five ratios, a picture, accuracy, whole requests, losses, command."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.run.headline import BestAgainstBest, ModeStep
from rope_prof.units import duration, ratio
from rope_prof.views.blocks.model import Block, Bullets, Cell, Picture, Table, cells
from rope_prof.views.blocks.overview import Overview, lost_words
from rope_prof.views.blocks.requests import request_headline
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.figures import between, error
from rope_prof.views.words.names import clipped
from rope_prof.views.words.requests import agree

_COMMAND = 160


def brief(data: ReportData, view: Overview | None, timeline: tuple[Block, ...]) -> tuple[Block, ...]:
    """Nothing where there is no candidate. `timeline`: the section that holds the picture of before and after."""
    if view is None or view.candidate is None:
        return ()
    table = () if view.best is None else (_table(view.best),)
    picture = next((one for one in timeline if isinstance(one, Picture) and one.where != "page"), None)
    lines = Bullets(items=tuple(_lines(data, view, picture)), typed=clipped(data.run.command, _COMMAND))
    return (*table, *(() if picture is None else (picture,)), lines)


def _table(found: BestAgainstBest) -> Table:
    """Best against best, then each mode on both sides, then the device's own clock."""
    steps = [("best of each, wall", found.best), *((f"{one.base_mode}, wall", one) for one in found.same)]
    steps += [("eager, device's clock", found.device)] if found.device is not None else []
    head = ("a call", found.baseline, found.path, "speedup", "95 % interval")
    return Table(head=head, rows=tuple(_row(*step) for step in steps), right=frozenset({1, 2, 3, 4}))


def _row(what: str, one: ModeStep) -> tuple[Cell, ...]:
    best = what.startswith("best")
    sides = ((one.before_ns, one.base_mode), (one.after_ns, one.cand_mode))
    times = (f"{duration(ns)}{f' ({mode})' if best else ''}" for ns, mode in sides)
    return cells(what, *times, ratio(one.ratio.median), between(one.ratio))


def _lines(data: ReportData, view: Overview, picture: Picture | None) -> Iterator[str]:
    if picture is not None and picture.caption:
        yield f"Picture: {picture.caption}"
    keys = [row for row in data.rows if row.rank == 0 and row.accuracy is not None]
    side = view.candidate.row if view.candidate is not None else None
    if side is not None and side.accuracy is not None:
        wrong = sum(row.accuracy is not None and row.accuracy.wrong for row in keys)
        yield (
            f"Accuracy: largest error {error(side.max_error)} against float64 on the timed input, "
            f"{error(side.accuracy.limit)} allowed; {wrong} of {len(keys)} measured keys wrong."
        )
    if data.requests is not None:
        found = request_headline(data.requests.facts, data.requests.rows)
        yield f"Whole requests: {found.factor} {found.words}. {found.detail}".replace(":  ", ": ")
        yield agree(data.requests.agreed)
    yield lost_words(view)
