"""A name's history as blocks: what changed, a line a key over its recordings, the recordings. Computes no figure."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.comparison.changes import ChangePoint, HistoryLine, NamedHistory
from rope_prof.model.baseline import NamedRun
from rope_prof.units import MISSING, US, duration, ends, in_us, significant
from rope_prof.views.blocks.baselines import figure_words, kept_table
from rope_prof.views.blocks.model import (
    Block,
    Bullets,
    Cell,
    Headline,
    Report,
    Section,
    Table,
    Words,
    cells,
    charted,
    name,
)
from rope_prof.views.draw.lines import Axes, LineChart, Point, Series
from rope_prof.views.words.difference import difference

#: So many lines are drawn, those that changed first; the table has them all.
DRAWN = 12
_HEIGHT = 260.0


def history_report(found: Sequence[NamedHistory]) -> Report:
    """One page: a section an operation and device. Errors: IndexError for none."""
    sections = tuple(
        Section(key=f"history-{n}", number=n, title=f"{one.operation} on {one.device}", blocks=history_blocks(one))
        for n, one in enumerate(found, start=1)
    )
    many = sum(len(one.recordings) for one in found)
    return Report(
        source=found[0].name,
        title=f"{found[0].name}: history",
        kicker=f"{many} recordings of {len(found)} operations and devices",
        headline=_headline(found),
        cards=(),
        sections=sections,
    )


def history_answer(found: NamedHistory) -> str:
    """The newest change in a sentence, or that there is none."""
    said = _headline([found])
    words = f"{said.words[0].upper()}{said.words[1:]}"
    return f"{words}: {said.factor}." if any(line.changes for line in found.lines) else f"{words}: {said.detail}."


def _headline(found: Sequence[NamedHistory]) -> Headline:
    """The newest change of all; the largest of one recording."""
    changes = [
        (one.recordings[line.places[change.at]].created, abs(1 - change.ratio), one, line, change)
        for one in found
        for line in one.lines
        for change in line.changes
    ]
    if not changes:
        unknown = next((one.unknown for one in found if one.unknown), None)
        return Headline(
            factor=MISSING if unknown else "0",
            words="no change was looked for" if unknown else "no change of level",
            detail=unknown or "of any key by any clock; a level is of two recordings at least",
            tone="doubt" if unknown else "",
        )
    _, _, one, line, change = max(changes, key=lambda each: each[:2])
    return Headline(
        factor=difference(change.after_ns, change.before_ns),
        words=f"{line.key.label} by {line.clock}, from {_where(one, line, change)} on",
        detail=_sentence(one, line, change),
        tone="bad" if change.word == "SLOWER" else "good",
    )


def history_blocks(found: NamedHistory) -> tuple[Block, ...]:
    """What changed, then charts, then the newest figures of every key, then the recordings by number."""
    said = tuple(_sentence(found, line, change) for line in found.lines for change in line.changes)
    if found.unknown is not None:
        first: Block = Words(text=found.unknown, tone="doubt")
    elif said:
        first = Bullets(title="Changes of level", items=said)
    else:
        first = Words(text=f"No key changed its level over {len(found.recordings)} recordings.")
    drawn = sorted(found.lines, key=lambda line: not line.changes)[:DRAWN]
    charts = [
        charted(_chart(found, line), f"history-{n}", title=f"{line.key.label} by {line.clock}")
        for n, line in enumerate(drawn)
    ]
    rest = len(found.lines) - len(drawn)
    note = (
        (Words(text=f"{rest} lines without a change are not drawn; the table has them.", tone="muted"),) if rest else ()
    )
    return (first, *charts, *note, _newest(found), kept_table(found.recordings, title="Recordings"))


def _where(found: NamedHistory, line: HistoryLine, change: ChangePoint) -> str:
    place = line.places[change.at]
    one = found.recordings[place]
    return f"recording {place + 1} ({one.code}, {one.created[:10]})"


def _sentence(found: NamedHistory, line: HistoryLine, change: ChangePoint) -> str:
    """`fused graph cold, n64 by device: 2.37 µs to 2.71 µs, +14 % from recording 7 (1a2b3c4, 2026-11-30) on; ...`."""
    now, last = (found.recordings[line.places[at]] for at in (change.at, change.at - 1))
    told = [f"the last of before is {last.code}", *_unlike(last, now)]
    told += [f"noted: {now.note}"] if now.note else []
    return (
        f"{line.key.label} by {line.clock}: {duration(change.before_ns)} to {duration(change.after_ns)}, "
        f"{difference(change.after_ns, change.before_ns)}, before / after {significant(change.ratio)} "
        f"{ends(change.lo, change.hi, 1)}, from {_where(found, line, change)} on; {'; '.join(told)}."
    )


def _unlike(before: NamedRun, after: NamedRun) -> list[str]:
    """What of the kinds of machine is not the same."""
    if before.machine == after.machine:
        return []
    ours, theirs = (set(one.machine.split(" / ")) for one in (before, after))
    return [f"the machines differ: {', '.join(sorted(ours - theirs))} then {', '.join(sorted(theirs - ours))}"]


def _chart(found: NamedHistory, line: HistoryLine) -> LineChart:
    changed = {one.at: one for one in line.changes}
    points = tuple(
        Point(
            x=place + 1,
            y=figure.median / US,
            lo=in_us(figure.lo),
            hi=in_us(figure.hi),
            bad=at in changed and changed[at].word == "SLOWER",
            said=difference(changed[at].after_ns, changed[at].before_ns) if at in changed else "",
            title=_facts(found.recordings[place], place, figure_words(figure)),
        )
        for at, (place, figure) in enumerate(zip(line.places, line.figures_ns, strict=True))
    )
    steps = tuple(
        Point(x=line.places[at] + 1, y=level / US) for i, j, level in line.levels for at in dict.fromkeys((i, j - 1))
    )
    return LineChart(
        series=(
            Series(label="median and 95 % interval", points=points),
            Series(label="level between changes", points=steps, bound=True, dash=True),
        ),
        axes=Axes(x="recording, the oldest first", y="µs a call", log=False, height=_HEIGHT),
        title=f"{found.name}: {line.key.label} by {line.clock}",
    )


def _facts(one: NamedRun, place: int, time: str) -> str:
    return "\n".join(filter(None, (f"{place + 1}: {one.code}", one.created[:16].replace("T", " "), time, one.note)))


def _newest(found: NamedHistory) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for line in found.lines:
        (first, *_), (*_, last) = line.levels, line.levels
        changes = str(len(line.changes)) if found.unknown is None else MISSING
        rows.append(
            (
                name(line.key.label),
                *cells(line.clock, str(len(line.places)), duration(first[2]), figure_words(line.figures_ns[-1])),
                *cells(difference(last[2], first[2]) if line.changes else "", changes),
            )
        )
    head = ("key", "clock", "recordings", "first level", "newest", "level since the first", "changes")
    return Table(title="Every key", head=head, rows=tuple(rows), right=frozenset({2, 3, 4, 5, 6}))
