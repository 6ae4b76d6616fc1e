"""Sections 8 to 12 of a report: method, machine, commands, traces, and what cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.run.cases import main_case
from rope_prof.model.run import KeyFacts, Run
from rope_prof.units import significant, size
from rope_prof.views.blocks.model import Block, Bullets, Cell, Code, Table, Words, cells
from rope_prof.views.blocks.overview import overview
from rope_prof.views.blocks.run import machine_table
from rope_prof.views.draw.waterfall import SPLIT
from rope_prof.views.report.data import ReportData
from rope_prof.views.words.labels import swept
from rope_prof.views.words.machine import condition_words
from rope_prof.views.words.notes import notes
from rope_prof.views.words.sampled import interval_line, planned
from rope_prof.views.words.stopped import CUT, stopped_words
from rope_prof.views.words.trust import DENIED

#: A command longer than this is cut in the middle on the page.
COMMAND_LENGTH = 2000
_MODES = {
    "eager": "eager: the path is called as it is",
    "compile": "compile: the path under torch.compile",
    "graph": "graph: calls over a ring of buffers captured in one CUDA graph, replay time / calls",
}


def method(data: ReportData) -> tuple[Block, ...]:
    """How the figures came about, from the run's own settings."""
    run = data.run
    if not run.keys:
        return ()
    calls = run.settings.get("calls")
    items = [
        "wall: the host's clock around an unsynchronised loop of calls with one synchronisation at its end; device: "
        "the device's own clock around calls enqueued while it was held busy. Neither under a profiler, and neither is "
        "subtracted from the other.",
        f"Rounds: {planned(run)}; in each every key of a case is measured "
        f"once, in an order shuffled by seed {run.seed}. {_stopped(run)}",
        f"Capture: {calls if calls is not None else 'some'} calls of each key under torch.profiler, after all timed "
        "rounds.",
        f"{interval_line(data.rows)}. So the machine's drift, which meets both sides of a round, is in no ratio.",
        *(_MODES[mode] for mode in dict.fromkeys(f.key.mode for f in run.keys)),
        *_l2_lines(run),
        _clock_line(data),
        *_byte_lines(run),
        "Bubble: raw = period under the profiler − busy; corrected = unprofiled wall − busy; inflation = profiled / "
        "unprofiled period.",
        f"Busy, and with it how `show` splits the saved time, rests on the profiler's timestamps. {SPLIT}",
    ]
    return (Bullets(items=tuple(items)),)


def _stopped(run: Run) -> str:
    reasons = [stopped_words(f.stopped) for f in run.keys if f.stopped]
    if not run.settings.get("precision"):
        return "Stops when they are done."
    return f"Stops at a precision of {run.settings['precision']}; {reasons[0]}." if reasons else ""


def _l2_lines(run: Run) -> Iterator[str]:
    states = dict.fromkeys(f.key.l2 for f in run.keys)
    for state in states:
        ring = next((f for f in run.keys if f.key.l2 == state and f.ring_bytes and f.key.case == main_case(run)), None)
        if state == "hot":
            yield "L2 hot: every call finds the buffers of the one before."
        elif ring is not None and ring.ring_bytes is not None:
            l2 = f", the L2 has {size(run.machine.l2_bytes)}" if run.machine.l2_bytes else ""
            yield f"L2 cold: a ring of {ring.ring_buffers} buffers, {size(ring.ring_bytes)} in all{l2}."
        else:
            yield "L2 cold: a ring of buffers larger than the cache."


def _clock_line(data: ReportData) -> str:
    known = [row for row in data.rows if row.throttled is not None]
    if not known:
        return "Clocks: this run does not say whether power or heat held the clock down."
    held, every = sum(row.throttled or 0 for row in known), sum(row.samples for row in known)
    return f"Clocks: {held} of {every} samples were taken while power or heat held the clock down; they are marked."


def _byte_lines(run: Run) -> Iterator[str]:
    case = main_case(run)
    mine = [f for f in run.keys if f.key.case == case and f.bytes_moved and f.key.mode != "compile"]
    by_path: dict[str, KeyFacts] = {}
    for facts in mine:
        by_path.setdefault(facts.key.path, facts)
    if not by_path or case is None:
        yield "Bytes: not recorded."
        return
    each = ", ".join(f"{path} {facts.bytes_moved:,} B" for path, facts in by_path.items())
    yield (
        "Bytes: the sum over a path's kernels of what each reads and writes when every operand moves once"
        f"{'; ' if run.operation.formula else ''}{run.operation.formula}. At {swept(case).phrase}: {each}."
    )


def machine(data: ReportData) -> tuple[Block, ...]:
    """What it was recorded on."""
    requests, under = data.requests, condition_words(data.samples)
    more = [] if under is None else [("while timed", under)]
    if requests is not None and requests.facts.created != data.run.created:
        more.append(("whole requests", f"{requests.facts.created}, {requests.facts.machine.device_name}"))
    return (machine_table(data.run, *more),)


def commands(data: ReportData) -> tuple[Block, ...]:
    """What was typed, and what prints the same figures again."""
    lines = [clipped(data.run.command)]
    if data.requests is not None and data.requests.facts.command != data.run.command:
        lines.append(clipped(data.requests.facts.command))
    return (
        Code(lines=tuple(lines)),
        Words(text="The same figures from the files alone:"),
        Code(lines=(f"python -m rope_prof show {data.source}", f"python -m rope_prof open {data.source}")),
    )


def clipped(command: str, most: int = COMMAND_LENGTH) -> str:
    """`command`, its middle left out where it is longer than `most`, with how much."""
    if len(command) <= most:
        return command
    keep = most // 2
    return f"{command[:keep]} … ({len(command) - 2 * keep:,} characters left out) … {command[-keep:]}"


def traces(data: ReportData) -> tuple[Block, ...]:
    """Each trace with its SHA-256, so that what is shown can be held against the file."""
    if not data.files:
        return ()
    rows = tuple(
        cells(Cell(text=one.name, name=True), one.what, size(one.size), Cell(text=one.sha256, name=True))
        for one in data.files
    )
    title = f"{len(rows)} traces with SHA-256"
    return (Table(title=title, head=("file", "what", "size", "SHA-256"), rows=rows, right=frozenset({2}), folded=True),)


def doubts(data: ReportData) -> tuple[Block, ...]:
    """All sentences on what the reader must not believe, each once."""
    said: dict[str, None] = {}
    for case in dict.fromkeys(f.key.case for f in data.run.keys if f.key.rank == 0):
        for text in overview(data.rows, case.name, data.run.machine.device).doubts:
            if text.startswith(DENIED):  # the notes below name each
                continue
            said.setdefault(f"{swept(case).phrase}: {text}" if " · " in text else text, None)
    for line in notes(data.run, data.rows):
        if not line.startswith(("?", "recorded on a CPU")):
            said.setdefault(line[0].upper() + line[1:], None)
    if data.lost:
        lost = f"{len(data.lost)} traces are gone from the folder ({data.lost[0]})"
        said[f"{lost}; their kernels and bubbles are not shown."] = None
    if not data.run.complete:
        said[f"The recording {CUT}: {data.run.going_on()}."] = None
    ranks = {f.key.rank for f in data.run.keys}
    if len(ranks) > 1:
        said[f"{len(ranks)} ranks were recorded; this report shows the first alone."] = None
    noise = _noise_line(data)
    if noise:
        said[noise] = None
    if not said:
        return (Words(text="Nothing that the analysis found."),)
    return (Bullets(items=tuple(said)),)


def _noise_line(data: ReportData) -> str | None:
    """How wide the worst interval is: what a reader may not split."""
    wide = [
        ((row.speedup_interval.hi - row.speedup_interval.lo) / row.speedup_interval.median, row)
        for row in data.rows
        if row.speedup_interval and row.speedup_interval.lo is not None and row.speedup_interval.hi is not None
    ]
    if not wide:
        return None
    width, row = max(wide, key=lambda pair: pair[0])
    return (
        f"The widest interval of a speedup is {significant(100 * width, 2)} % of it ({row.path} · {row.mode}, "
        f"{swept(row.case).phrase}): differences finer than that are not known there."
    )
