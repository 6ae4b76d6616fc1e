"""Whole requests in words: times, savings, steps, prediction and outcome, and why a path is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rope_prof.analysis.requests.per_layer import PerLayer
from rope_prof.analysis.requests.requests import (
    BASELINE,
    LogitsAgreement,
    Prediction,
    RequestRow,
    StepParts,
    timed_rounds,
)
from rope_prof.analysis.stats import Figure
from rope_prof.model.end_to_end import EndToEnd
from rope_prof.units import GIGA, MISSING, MS, ends, microseconds, milliseconds, significant, size
from rope_prof.views.words.stopped import CUT

Steps = Mapping[tuple[str, str], StepParts]


def headline(facts: EndToEnd, rows: Sequence[RequestRow]) -> str:
    """One line: the model, the request and the rounds."""
    model, request = facts.model, facts.request
    return (
        f"Ernie4.5-VL text model {model.preset} · {model.layers} layers · {model.parameters / GIGA:.3g} B random "
        f"{model.dtype} weights ({size(model.weights_bytes)}) · transformers {model.transformers}, experts "
        f"{model.experts}, attention {model.attention} · {request.prompt_tokens} prompt tokens "
        f"({request.image_tokens} of an image), {request.decode_tokens} decoded · {rounds_words(facts, rows)}"
    )


def rounds_words(facts: EndToEnd, rows: Sequence[RequestRow]) -> str:
    """`40 rounds`; `9 of 12 rounds, stopped before its end`."""
    timed, planned = timed_rounds(rows), facts.rounds
    rounds = f"{planned} rounds" if timed == planned else f"{timed} of {planned} rounds"
    return rounds if facts.complete else f"{rounds}, {CUT}"


def same_tokens(same: int | None, tokens: int, margin: float | None) -> str:
    """`7 of 24 (then a margin of 0.031)`."""
    if same is None:
        return MISSING
    return f"{same} of {tokens}" + ("" if margin is None else f" (then a margin of {significant(margin, 2)})")


def step_ms(one: StepParts) -> tuple[float, float, float, float, float]:
    """A step in ms: all of it, rope kernels, rope bubbles, other kernels, other bubbles."""
    times = (one.span_ns, one.rope_busy_ns, one.rope_bubble_ns, one.other_busy_ns, one.other_bubble_ns)
    whole, *parts = (ns / one.steps / MS for ns in times)
    return whole, parts[0], parts[1], parts[2], parts[3]


def step_kernels(one: StepParts) -> str:
    """Kernels of a step, `700 + 1960`: the rope's and all others."""
    return f"{one.rope_kernels / one.steps:g} + {one.other_kernels / one.steps:g}"


def prediction_lines(found: Sequence[Prediction]) -> list[str]:
    """Each prediction beside its outcome, in a sentence."""
    return [
        f"{one.phase}: from the {BASELINE} profile, fusing rope saves {milliseconds(one.bound.lo_ns)} to at most "
        f"{milliseconds(one.bound.hi_ns)} ms of {milliseconds(one.bound.step_ns)} ms (an interval of "
        f"{one.bound.width:.1%} of the step{_left_out(one)}); {one.path} saved {milliseconds(one.saved_ns)} ms "
        f"({share(one.saved, bounds=True)}): {verdict(one)}"
        for one in found
    ]


def layer_lines(found: Sequence[PerLayer]) -> list[str]:
    """What a call saves in one mode, times the layers, beside what a step saved."""
    return [
        f"{one.path}, {_STEPS[one.phase]}: {one.layers} layers x ({microseconds(one.before_ns)} − "
        f"{microseconds(one.after_ns)}) µs a call = {milliseconds(one.predicted_ns)} ms a "
        f"{'token' if one.phase == 'decode' else 'prompt'}, by the calls; "
        f"measured {milliseconds(one.measured_ns)} ms of {milliseconds(one.token_ns)}{_of_stock(one)}"
        for one in found
    ]


_STEPS = {"decode": "CUDA graphs", "prefill": "first token, eager"}


def _of_stock(one: PerLayer) -> str:
    """`; of stock's 9.70 ms 9.5% by the calls, 9.5% by the medians`."""
    foreseen, came = one.of_stock(one.predicted_ns), one.of_stock(one.measured_ns)
    if one.stock_ns is None or foreseen is None or came is None:
        return ""
    return f"; of stock's {milliseconds(one.stock_ns)} ms {foreseen:.1%} by the calls, {came:.1%} by the medians"


def verdict(one: Prediction) -> str:
    """Whether a prediction held, by the median of the outcome; the outcome's own interval may still reach it."""
    if one.held:
        return "as predicted"
    return "outside the prediction, which its interval reaches" if one.reached else "outside the prediction"


def _left_out(one: Prediction) -> str:
    if not one.bound.left_out:
        return ""
    return f", from {one.bound.steps} of {one.bound.steps + one.bound.left_out} profiled steps: the rest were disturbed"


def end_to_end_notes(facts: EndToEnd) -> list[str]:
    """Why a path or a mode is missing, once each."""
    said: dict[str, list[str]] = {}
    for one in facts.paths:
        if one.reason:
            said.setdefault(one.reason, []).append(f"{one.path} ({one.status})")
        if one.graph_reason:
            said.setdefault(one.graph_reason, []).append(f"{one.path} under CUDA graphs")
    lines = [f"{', '.join(paths)}: {why}" for why, paths in said.items()]
    if not facts.complete:
        lines.append(f"the measurement {CUT}: run `model` again into a new folder")
    if facts.machine.device == "cpu":
        lines.append("measured on a CPU: nothing here is a GPU figure")
    return lines


def median_ms(figure: Figure | None) -> str:
    """`49.0 [48.8, 49.3]`."""
    return MISSING if figure is None else f"{milliseconds(figure.median)} {ends(figure.lo, figure.hi, MS)}".rstrip()


def share(figure: Figure | None, *, bounds: bool = False) -> str:
    """`17.8%`, with its interval where asked."""
    if figure is None:
        return MISSING
    text = f"{figure.median:.1%}"
    if not bounds or figure.lo is None or figure.hi is None:
        return text
    return f"{text} [{figure.lo:.1%}, {figure.hi:.1%}]"


def saving(figure: Figure) -> str:
    """`saves 9.3% [8.8%, 9.4%] of`, or `takes 2.8% [2.5%, 3.0%] more than`: what is held against is named behind it."""
    if figure.median >= 0:
        return f"saves {share(figure, bounds=True)} of"
    lo, hi = (None if end is None else -end for end in (figure.hi, figure.lo))
    return f"takes {share(replace(figure, median=-figure.median, lo=lo, hi=hi), bounds=True)} more than"


def agree(found: Sequence[LogitsAgreement]) -> str:
    """Whether the outputs agree, in a sentence."""
    if not found:
        return "Outputs were not compared."
    far = [one.path for one in found if one.rms > one.allowed]
    if far:
        return f"Outputs differ by more than rounding explains: {', '.join(far)}."
    apart: dict[str, list[str]] = {}
    for one in found:
        if one.margin is not None and one.same_tokens < one.tokens:
            apart.setdefault(_first_apart(one, one.margin), []).append(one.path)
    rested = (f"{' and '.join(f'{path}’s' for path in paths)} greedy {said}" for said, paths in apart.items())
    return f"{'; '.join(('Outputs agree: every path’s logits lie within what rounding the rope explains', *rested))}."


def _first_apart(one: LogitsAgreement, margin: float) -> str:
    """`tokens are stock's for 7 of 24, and the margin of 0.031 there lies under the 0.14 that rounding explains`."""
    under = "lies under" if margin <= one.allowed else "lies over"
    return (
        f"tokens are stock’s for {one.same_tokens} of {one.tokens}, and the margin of {significant(margin, 2)} there "
        f"{under} the {significant(one.allowed, 2)} that rounding explains"
    )
