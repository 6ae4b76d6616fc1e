"""The lines under the table of a run: keys without figures and why, distrust, the words' meaning. No arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.analysis.run.endings import endings
from rope_prof.analysis.run.rows import AGREE_WITHIN, INFLATION_LIMIT, Row
from rope_prof.model.run import Run, Why
from rope_prof.units import microseconds
from rope_prof.views.words.labels import key_labels
from rope_prof.views.words.stopped import stopped_words

#: Keys of one reason that are named one by one; of more only their number is told.
FEW = 4
BELOW_FLOOR = "less time than one pass over the bytes takes; look whether all work is done"
BUSY_OVER_WALL = (
    f"busy over {AGREE_WITHIN:.0%} longer in the capture than an unprofiled call takes: the capture is not to be "
    "trusted"
)
_WHY: dict[Why, str] = {
    "precision": "by the precision",
    "budget": "by the budget",
    "rounds": "as all were done",
}


def notes(run: Run, rows: Sequence[Row]) -> list[str]:
    """What a reader must know of this table: keys without figures and why, distrust, the words' meaning."""
    labels = key_labels(rows)
    said: dict[str, list[str]] = {}
    for row, label in zip(rows, labels, strict=True):
        if row.reason:
            said.setdefault(row.reason, []).append(label)
    lines = [f"{', '.join(dict.fromkeys(keys))}: {why}" for why, keys in said.items()]
    lines += ending_notes(rows, precise=bool(run.settings.get("precision")))
    throttled = sum(row.throttled or 0 for row in rows)
    if throttled:
        count = sum(row.samples for row in rows)
        lines.append(f"{throttled} of {count} samples were taken while power or heat held the clock down")
    other = sum(row.other_clock or 0 for row in rows)
    if other:
        lines.append(f"{other} of {sum(row.samples for row in rows)} samples were taken under another clock of the GPU")
    lines += [f"{', '.join(named)}: {why}" for why, named in doubts_of(rows, labels).items()]
    idle = [label for row, label in zip(rows, labels, strict=True) if row.kernels_per_call == 0 and row.mode == "eager"]
    if idle:
        lines.append(
            f"{', '.join(idle)}: its capture holds no kernel: it launches nothing, and its time is an empty call's, "
            "or works in a thread of its own, which no capture sees"
        )
    pending = sum(row.status == "pending" for row in rows)
    if pending:
        lines.append(f"{pending} {'key is' if pending == 1 else 'keys are'} pending: {run.going_on()}")
    if any(row.inflation is not None and not row.raw_trusted for row in rows):
        lines.append(
            f"? raw bubble of a capture whose calls take over {INFLATION_LIMIT}x their unprofiled time, or under "
            f"1/{INFLATION_LIMIT}: trust the corrected one"
        )
    lines += light_notes(rows)
    lines += check_notes(rows)
    if why := run.settings.get("profiler_reason"):
        lines.append(f"captured by Kineto, not by the profiler that was asked for: {why}")
    lines += [f"recorded with an untested version: {one}" for one in run.machine.untested]
    if run.machine.device == "cpu":
        lines.append("recorded on a CPU: a kernel is a leaf operator; nothing here is a GPU figure")
    return lines


def doubts_of(rows: Sequence[Row], labels: Sequence[str]) -> dict[str, list[str]]:
    """Why a time cannot be all of a call's, or a capture not be of it -> the labels of the rows of which that is so."""
    found = {
        BELOW_FLOOR: [label for row, label in zip(rows, labels, strict=True) if row.below_floor],
        BUSY_OVER_WALL: [label for row, label in zip(rows, labels, strict=True) if row.busy_over_wall],
    }
    return {why: named for why, named in found.items() if named}


def ending_notes(rows: Sequence[Row], *, precise: bool) -> list[str]:
    """Why the rounds ended, a line per reason; the words of each key only where a reason has few.

    Nothing where every key did all its rounds and nothing else was asked for. `precise`: a precision was asked for, so
    that keys which did all their rounds have missed it.
    """
    found = endings(row.stopped for row in rows)
    if all(one.why == "rounds" for one in found) and not precise:
        return []
    labels, lines = key_labels(rows), []
    for one in found:
        keys = f"{len(one.keys)} of {len(rows)} {'key' if len(rows) == 1 else 'keys'}"
        rounds = _counts(one.rounds)
        lines.append(f"rounds ended {_WHY[one.why]} for {keys}, after {rounds}")
        if len(one.keys) <= FEW and (one.why != "rounds" or precise):
            lines += [f"{labels[i]}: {stopped_words(stopped)}" for i in one.keys if (stopped := rows[i].stopped)]
    return lines


def _counts(rounds: Sequence[int]) -> str:
    """`6 to 12 rounds`."""
    least, most = min(rounds), max(rounds)
    return f"{least if least == most else f'{least} to {most}'} {'round' if most == 1 else 'rounds'}"


def light_notes(rows: Sequence[Row]) -> list[str]:
    """What the column says, and how many keys contradict what one expects of it."""
    if all(row.light_inflation is None for row in rows):
        return []
    line = "light: inflation of a second capture, without the host's operators"
    above = [row.light_above_full for row in rows if row.light_above_full is not None]
    if any(above):
        line += (
            f"; for {sum(above)} of {len(above)} keys it is the larger one, though it records less: the captures are "
            "apart in time and the host drifts between them, so that there the difference is no cost of recording"
        )
    return [line]


def check_notes(rows: Sequence[Row]) -> list[str]:
    """How many corrected bubbles their cross-check by graph replay confirms, and each that it does not."""
    checked = [row for row in rows if row.bubbles_agree is not None]
    if not checked:
        return []
    agree = sum(row.bubbles_agree is True for row in checked)
    lines = [
        f"corrected bubbles against unprofiled graph replays: {agree} of {len(checked)} agree "
        f"within {AGREE_WITHIN:.0%} of the call's wall" + ("; ≠ those that do not:" if agree < len(checked) else "")
    ]
    labels = dict(zip((row.key for row in rows), key_labels(rows), strict=True))
    lines += [
        f"≠ {labels[row.key]}: corrected {microseconds(row.bubble_corrected_ns)}, "
        f"by replay {microseconds(row.bubble_by_replay_ns)} of {microseconds(row.wall_ns.median)} µs"
        for row in checked
        if not row.bubbles_agree and row.wall_ns is not None
    ]
    return lines
