"""Whole requests as drawings: request time and profiled step as stacked parts, prediction beside outcome.

Draws what the analysis found. Both parts of a request are shades of ink: a hue says what the device does, and of a
whole request nobody saw it. In a profiled step the rope's own parts are strong, all others pale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rope_prof.analysis.requests.requests import Prediction, RequestRow, StepParts
from rope_prof.analysis.stats import Figure
from rope_prof.units import MS, duration, milliseconds, significant
from rope_prof.views.draw.charts import WIDTH, Bar, BarChart
from rope_prof.views.draw.scale import Scale, linear_scale, round_values
from rope_prof.views.draw.svg import Drawing, Line, Marker, Rect, Shape, Text, text_width
from rope_prof.views.words.labels import side
from rope_prof.views.words.requests import Steps, share, step_ms, verdict

#: (path, phase) -> the unprofiled eager step.
Times = Mapping[tuple[str, str], Figure]

REQUEST_LEGEND = (("path0", "prompt (first token)"), ("path3", "decoded tokens"))
STEP_LEGEND = (
    ("kernel", "rope kernels"),
    ("bubble", "rope bubbles, stretched by the profiler"),
    ("kernel_fill", "other kernels"),
    ("bubble_fill", "other bubbles, stretched by the profiler"),
)
_ROW = 34.0


def step_times(rows: Sequence[RequestRow]) -> dict[tuple[str, str], Figure]:
    """What an unprofiled eager step of each path takes; a path that was not timed is left out."""
    found = {}
    for row in rows:
        for phase, time in (("prefill", row.prefill_ns), ("decode", row.token_ns)):
            if row.mode == "eager" and time is not None:
                found[row.path, phase] = time
    return found


def request_chart(rows: Sequence[RequestRow], tokens: int) -> BarChart | None:
    """Request time of each path and mode as its two parts, `tokens` of them decoded; None where none was timed."""
    drawn = tuple(bar for row in rows if (bar := _request(row, tokens)) is not None)
    if not drawn:
        return None
    return BarChart(rows=drawn, unit="ms a request", title="Request time as its parts", legend=REQUEST_LEGEND)


def _request(row: RequestRow, tokens: int) -> Bar | None:
    if row.prefill_ns is None or row.token_ns is None or row.request_ns is None or row.status != "measured":
        return None
    prompt, decode = row.prefill_ns.median / MS, tokens * row.token_ns.median / MS
    saved = row.request_over_stock or row.request_gain
    gain = "" if saved is None else f", saves {share(saved, bounds=True)}"
    return Bar(
        label=f"{row.path} · {row.mode}",
        parts=(
            ("path0", prompt, f"prompt: {significant(prompt)} ms"),
            ("path3", decode, f"{tokens} tokens: {significant(decode)} ms"),
        ),
        note=f"{milliseconds(row.request_ns.median)} ms{gain}",
    )


def steps_chart(steps: Steps, times: Times) -> BarChart | None:
    """Each profiled step as rope kernels, rope bubbles, other kernels, other bubbles; None where there is no profile.

    The unprofiled time stands behind each bar, since the profiler stretches it.
    """
    drawn = tuple(_step(side(*key), one, times.get(key)) for key, one in _by_phase(steps))
    title = "One profiled step as its parts, ms of device time"
    return BarChart(rows=drawn, unit="ms a step, as profiled", title=title, legend=STEP_LEGEND) if drawn else None


def _by_phase(steps: Steps) -> list[tuple[tuple[str, str], StepParts]]:
    phases = list(dict.fromkeys(phase for _, phase in steps))
    return sorted(steps.items(), key=lambda item: phases.index(item[0][1]))


def _step(label: str, one: StepParts, unprofiled: Figure | None) -> Bar:
    span, *parts = step_ms(one)
    named = zip(STEP_LEGEND, parts, strict=True)
    note = f"{significant(span)} ms profiled (mean of {one.steps})"
    if unprofiled is not None:
        note += f", {milliseconds(unprofiled.median)} ms unprofiled"
    return Bar(
        label=label,
        parts=tuple((role, ms, f"{words}: {significant(ms)} ms") for (role, words), ms in named),
        note=note,
    )


def prediction_drawing(found: Sequence[Prediction]) -> Drawing | None:
    """Of each unprofiled step the part that fusing was predicted to save, with what was saved; None without any."""
    if not found:
        return None
    notes = [_words(one) for one in found]
    left = max(text_width(_label(one), 13) for one in found) + 16
    right = max(map(text_width, notes)) + 16
    most = max(max(one.bound.step_ns, one.bound.hi_ns, one.saved_ns) for one in found) / MS
    least = min(min(0.0, one.bound.lo_ns, one.saved_ns) for one in found) / MS
    at = linear_scale(least, most, left, WIDTH - right)
    top, bottom = 26.0, 26.0 + _ROW * len(found)
    shapes: list[Shape] = list(_legend(left))
    for value in round_values(most):
        shapes.append(Line(points=((at(value), top), (at(value), bottom)), role="rule"))
        shapes.append(Text(x=at(value), y=bottom + 16, text=f"{value:,.10g}", role="muted", anchor="middle"))
    for index, (one, note) in enumerate(zip(found, notes, strict=True)):
        y = top + _ROW * index
        lo, hi, step, saved = (
            at(ns / MS) for ns in (one.bound.lo_ns, one.bound.hi_ns, one.bound.step_ns, one.saved_ns)
        )
        shapes += [
            Text(x=left - 10, y=y + 21, text=_label(one), size=13, anchor="end"),
            Rect(x=at(0), y=y + 6, width=max(step - at(0), 0), height=22, role="rule"),
            Rect(x=lo, y=y + 6, width=max(hi - lo, 0.8), height=22, role="bubble", title=note),
            *_whisker(one, at, y + 17),
            Marker(x=saved, y=y + 17, role="ink" if one.held else "warn", shape="diamond", size=6, title=note),
            Text(x=WIDTH - right + 12, y=y + 21, text=note, role="muted" if one.held else "warn"),
        ]
    words = "ms of one unprofiled step, eager"
    shapes.append(Text(x=(left + WIDTH - right) / 2, y=bottom + 34, text=words, role="muted", anchor="middle"))
    title = "What fusing the rope saves of a step, predicted and measured"
    return Drawing(width=WIDTH, height=bottom + 42, title=title, shapes=tuple(shapes))


def _whisker(one: Prediction, at: Scale, y: float) -> Iterator[Shape]:
    """The interval of what was saved, which may reach outside the prediction where the outcome does not."""
    if one.saved.lo is not None and one.saved.hi is not None:
        ends = tuple((at(share * one.bound.step_ns / MS), y) for share in (one.saved.lo, one.saved.hi))
        yield Line(points=ends, role="ink" if one.held else "warn", width=1.6)


def _label(one: Prediction) -> str:
    return f"{one.path} · {one.phase}"


def _words(one: Prediction) -> str:
    lo, hi = milliseconds(one.bound.lo_ns), milliseconds(one.bound.hi_ns)
    saved = f"{duration(one.saved_ns)} ({share(one.saved, bounds=True)})"
    return f"predicted {lo} to {hi} ms, saved {saved}: {verdict(one)}"


def _legend(x: float) -> Iterator[Shape]:
    for role, words in (("rule", "unfused step"), ("bubble", "predicted saving, from the unfused profile alone")):
        yield Rect(x=x, y=5, width=12, height=12, role=role, radius=2)
        yield Text(x=x + 18, y=15.5, text=words, role="muted")
        x += text_width(words) + 42
    yield Marker(x=x + 6, y=11, role="ink", shape="diamond", size=5)
    yield Text(x=x + 18, y=15.5, text="measured saving, with its interval", role="muted")
