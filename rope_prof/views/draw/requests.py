"""Whole requests as drawings: request time and profiled step as stacked parts, prediction beside outcome.

Draws what the analysis found. Both parts of a request are shades of ink: a hue says what the device does, and of a
whole request nobody saw it. In a profiled step the rope's own parts are strong, all others pale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rope_prof.analysis.requests.requests import BASELINE, Prediction, RequestRow, StepParts
from rope_prof.analysis.stats import Figure
from rope_prof.model.end_to_end import STOCK
from rope_prof.units import MS, duration, milliseconds, significant
from rope_prof.views.draw.charts import Bar, BarChart, BarMark
from rope_prof.views.words.labels import side
from rope_prof.views.words.requests import Steps, saving, share, step_ms, verdict

#: (path, phase) -> the unprofiled eager step.
Times = Mapping[tuple[str, str], Figure]

REQUEST_LEGEND = (("path0", "prompt (first token)"), ("path3", "decoded tokens"))
STEP_LEGEND = (
    ("kernel", "rope kernels"),
    ("bubble", "rope bubbles, stretched by the profiler"),
    ("kernel_fill", "other kernels"),
    ("bubble_fill", "other bubbles, stretched by the profiler"),
)
PREDICTION_LEGEND = (("rule", "unfused step"), ("bubble", "predicted saving, from the unfused profile alone"))


def request_chart(rows: Sequence[RequestRow], tokens: int) -> BarChart | None:
    """Request time of each path and mode as its two parts, `tokens` of them decoded; None where none was timed."""
    stock = any(row.request_over_stock is not None for row in rows)
    drawn = tuple(bar for row in rows if (bar := _request(row, tokens, stock)) is not None)
    if not drawn:
        return None
    return BarChart(rows=drawn, unit="ms a request", title="Request time as its parts", legend=REQUEST_LEGEND)


def _request(row: RequestRow, tokens: int, stock: bool) -> Bar | None:
    """`stock`: whether paths are held against the library's own, else against the chain."""
    if row.prefill_ns is None or row.token_ns is None or row.request_ns is None or row.status != "measured":
        return None
    prompt, decode = row.prefill_ns.median / MS, tokens * row.token_ns.median / MS
    saved = row.request_over_stock if stock else row.request_gain
    gain = "" if saved is None else f", {saving(saved)} {STOCK if stock else BASELINE}"
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


def prediction_chart(found: Sequence[Prediction]) -> BarChart | None:
    """Of each unprofiled step the part that fusing was predicted to save, with what was saved; None without any."""
    if not found:
        return None
    return BarChart(
        rows=tuple(map(_predicted, found)),
        unit="ms of one unprofiled step, eager",
        title="What fusing the rope saves of a step, predicted and measured",
        legend=PREDICTION_LEGEND,
        marked="measured saving, with its interval",
    )


def _predicted(one: Prediction) -> Bar:
    """The step with the predicted part of it; the outcome's interval may reach outside where the outcome does not."""
    lo, hi, step = (ns / MS for ns in (one.bound.lo_ns, one.bound.hi_ns, one.bound.step_ns))
    note = (
        f"predicted {milliseconds(one.bound.lo_ns)} to {milliseconds(one.bound.hi_ns)} ms, saved "
        f"{duration(one.saved_ns)} ({share(one.saved, bounds=True)}): {verdict(one)}"
    )
    saved_lo, saved_hi = (None if end is None else end * step for end in (one.saved.lo, one.saved.hi))
    return Bar(
        label=side(one.path, one.phase),
        parts=(("rule", lo, "unfused step"), ("bubble", hi - lo, note), ("rule", step - hi, "unfused step")),
        note=note,
        start=min(lo, 0.0),
        mark=BarMark(value=one.saved_ns / MS, lo=saved_lo, hi=saved_hi, bad=not one.held),
    )
