"""Whole requests as blocks: times, the share of the step, prediction and outcome, noise, agreement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from rope_prof.analysis.requests.requests import BASELINE, MODES, LogitsAgreement, Prediction, RequestRow
from rope_prof.analysis.stats import Figure as Interval
from rope_prof.model.end_to_end import STOCK, EndToEnd
from rope_prof.units import MISSING, MS, milliseconds, significant
from rope_prof.views.blocks.model import Block, Bullets, Cell, Headline, Picture, Table, Tone, Words, cells, charted
from rope_prof.views.draw.requests import Times, prediction_chart, request_chart, steps_chart
from rope_prof.views.words.requests import (
    Steps,
    end_to_end_notes,
    headline,
    median_ms,
    prediction_lines,
    rounds_words,
    same_tokens,
    share,
    step_kernels,
    step_ms,
)


def times_table(found: Sequence[RequestRow]) -> Table:
    """Every path and mode that was timed, graphs first: medians, intervals, savings of stock and of unfused."""
    rows = []
    for row in found:
        if row.token_ns is None and (row.prefill_ns is None or row.mode != "eager"):
            continue
        tone: Tone = "bad" if row.status == "wrong" else ""
        rows.append(
            cells(
                Cell(text=row.path if row.status != "wrong" else f"{row.path} (wrong)", tone=tone),
                row.mode,
                median_ms(row.prefill_ns),
                share(row.prefill_over_stock),
                median_ms(row.token_ns),
                share(row.token_over_stock, bounds=True),
                share(row.token_gain),
                milliseconds(row.request_ns.median) if row.request_ns else MISSING,
                share(row.request_over_stock),
                share(row.request_gain),
            )
        )
    mine, served = f"saves of\n{STOCK}", f"of\n{BASELINE}"
    head = (
        *("path", "decode", "first token ms", mine, "ms per token", f"{mine} [95 %]", served),
        *("request\nms", mine, served),
    )
    title = (
        f"Median [95 % interval]; savings against the library's own rope ({STOCK}), then the chain as served "
        f"({BASELINE}), mode by mode, paired"
    )
    return Table(title=title, head=head, rows=tuple(rows), right=frozenset(range(2, len(head))), apart=2)


def request_picture(rows: Sequence[RequestRow], tokens: int) -> Iterator[Picture]:
    """Request time as prompt and decoded tokens; nothing where none was timed."""
    chart = request_chart(rows, tokens)
    if chart is not None:
        words = (
            "Medians of both parts; the decode of all tokens is the measured time of one times their number. What is "
            f"saved is held against {STOCK} in the same mode, the {BASELINE} chain where that was not measured, with "
            "its 95 % interval."
        )
        yield charted(chart, "requests", title="Request time", caption=words)


def step_picture(steps: Steps, times: Times) -> Iterator[Picture]:
    """Each profiled step as its four parts; nothing without a profile."""
    chart = steps_chart(steps, times)
    if chart is not None:
        words = (
            "As profiled, a mean step. A gap belongs to the rope where the event that ends it does. "
            "Bubbles are stretched by the profiler, which slows the host down: the unprofiled time of a step stands "
            "behind each bar."
        )
        yield charted(chart, "step-parts", title="Where a step's time goes", caption=words)


def prediction_picture(predicted: Sequence[Prediction]) -> Iterator[Picture]:
    """What was predicted from the unfused profile, with what was measured; nothing without a prediction."""
    chart = prediction_chart(predicted)
    if chart is not None:
        words = (
            f"The prediction is made of the {BASELINE} profile and the unprofiled {BASELINE} step alone: from one "
            "launch of each rope call left to none. What was saved is measured without a profiler."
        )
        yield charted(chart, "prediction", title="Predicted and measured", caption=words)


def share_lines(steps: Steps) -> Iterator[str]:
    """The rope's share of the unfused chain's profiled step."""
    for (path, phase), one in steps.items():
        if path == BASELINE and one.span_ns:
            kernels, gaps = one.rope_busy_ns / one.span_ns, one.rope_bubble_ns / one.span_ns
            yield (
                f"share of the step, {phase}, {path}: rope kernels {kernels:.1%}, rope bubbles {gaps:.1%} of the "
                f"profiled step's device time ({milliseconds(one.span_ns / one.steps)} ms, stretched by the "
                "profiler)"
            )


def noise_lines(noise: Mapping[str, Interval]) -> Iterator[str]:
    """The unfused chain against itself: what no change looks like."""
    for key, ratio in noise.items():
        path, phase, mode = key.rsplit(".", 2)
        if path == BASELINE and ratio.lo is not None and ratio.hi is not None:
            yield (
                f"A/A noise, {phase} {mode}: {path} against itself, even rounds / odd rounds: "
                f"{significant(ratio.median)} [{significant(ratio.lo)}, {significant(ratio.hi)}], n = {ratio.n}; "
                "a gain inside it is none"
            )


def steps_table(steps: Steps) -> Iterator[Table]:
    """The parts of each profiled step in figures."""
    rows = tuple(
        cells(path, phase, *map(significant, step_ms(one)), step_kernels(one)) for (path, phase), one in steps.items()
    )
    if rows:
        head = ("path", "phase", "step", "rope kernels", "rope bubbles", "other kernels", "other bubbles", "kernels")
        title = "One profiled step, ms of device time (bubbles stretched by the profiler)"
        yield Table(title=title, head=head, rows=rows, right=frozenset(range(2, 8)), folded=True, apart=2)


def agreement_table(found: Sequence[LogitsAgreement]) -> Iterator[Table]:
    """Logits and greedy tokens of each path; nothing where none were compared."""
    rows = tuple(
        cells(
            one.path,
            Cell(text=significant(one.rms), tone="" if one.rms <= one.allowed else "bad"),
            significant(one.allowed),
            same_tokens(one.same_tokens, one.tokens, one.margin),
            MISSING if one.graph_rms is None else significant(one.graph_rms),
            same_tokens(one.graph_same_tokens, one.tokens, one.graph_margin),
        )
        for one in found
    )
    if rows:
        title = f"Do the outputs agree? Logits against the oracle's rope, greedy tokens against {STOCK}'s"
        head = ("path", "logits off", "by rounding", "tokens as stock's", "graph off eager", "tokens as eager's")
        yield Table(title=title, head=head, rows=rows, right=frozenset(range(1, 6)), folded=True, apart=2)


def request_blocks(
    facts: EndToEnd,
    rows: Sequence[RequestRow],
    agreed: Sequence[LogitsAgreement],
    steps: Steps,
    predicted: Sequence[Prediction],
    doubts: Sequence[str],
) -> Iterator[Block]:
    """All of them for a terminal, in the order of `show`; `doubts`: what must be said of the profiles."""
    yield Words(text=headline(facts, rows))
    yield times_table(rows)
    yield from agreement_table(agreed)
    yield from steps_table(steps)
    yield from (Words(text=line) for line in prediction_lines(predicted))
    yield Bullets(items=(*doubts, *end_to_end_notes(facts)))


def request_headline(facts: EndToEnd, rows: Sequence[RequestRow]) -> Headline:
    """The share of a request's time that the best fused path saves of what the library does by itself, decode as it is
    served (CUDA graphs) where that was measured; then the other mode, the chain as served, and rounds cut off.
    """
    fused = [row for row in rows if row.path not in (STOCK, BASELINE)]
    stock = any(row.request_over_stock for row in fused)
    saved = {(row.path, row.mode): row.request_over_stock if stock else row.request_gain for row in fused}
    known = {key: gain for key, gain in saved.items() if gain is not None}
    mode = next((mode for mode in MODES if any(m == mode for _, m in known)), None)
    if mode is None:
        return Headline(
            factor="",
            words="No fused path was measured in the model",
            detail="What was measured stands below; paths that were not say why.",
        )
    path = max((p for p, m in known if m == mode), key=lambda name: known[name, mode].median)
    word, tone = _verdict(known[path, mode])
    said = [f"Against {STOCK if stock else f'the {BASELINE} chain'}: {share(known[path, mode], bounds=True)}"]
    other = known.get((path, _OTHER[mode]))
    said += [f"{_DECODE[_OTHER[mode]]} {share(other, bounds=True)}"] if other is not None else []
    served = [(row.mode, row.request_gain) for row in fused if row.path == path and row.request_gain and stock]
    words = f"{', '.join(said)}; paired round by round, with the 95 % interval."
    if served:
        words += f" Against the {BASELINE} chain, as served: "
        words += ", ".join(f"{_DECODE[m]} {share(gain, bounds=True)}" for m, gain in served) + "."
    if mode == "eager":
        words += " CUDA graphs were not measured."
    if not facts.complete:
        words += f" {rounds_words(facts, rows)}."
    return Headline(
        factor=share(known[path, mode]),
        words=f"{word} with {path} in every layer, {_DECODE[mode]}",
        detail=words,
        tone=tone,
    )


_DECODE = {"graph": "under CUDA graphs", "eager": "decode eager"}
_OTHER = {"graph": "eager", "eager": "graph"}


def _verdict(gain: Interval) -> tuple[str, Tone]:
    if gain.lo is None or gain.hi is None:
        return "of a request’s time saved, with too few rounds for an interval", ""
    if gain.lo > 0:
        return "of a request’s time saved", ""
    return ("of a request’s time saved: slower", "bad") if gain.hi < 0 else ("saved: no detectable difference", "")


def request_frame(rows: Sequence[RequestRow]) -> pl.DataFrame:
    """One row a path and mode: medians and intervals in ms, savings as shares; null where it was not measured."""
    columns: dict[str, list[object]] = {
        "path": [row.path for row in rows],
        "decode": [row.mode for row in rows],
        "status": [row.status for row in rows],
        "reason": [row.reason for row in rows],
    }
    kinds: dict[str, type[pl.DataType]] = dict.fromkeys(columns, pl.String)
    for part in ("prefill", "token", "request"):
        for end, scale, word in (("ns", MS, "ms"), ("gain", 1.0, "saved")):
            found: list[Interval | None] = [getattr(row, f"{part}_{end}") for row in rows]
            for bound, tail in (("median", ""), ("lo", "_lo"), ("hi", "_hi")):
                name = f"{part}_{word}{tail}"
                values = [None if one is None else getattr(one, bound) for one in found]
                columns[name] = [None if value is None else value / scale for value in values]
                kinds[name] = pl.Float64
        columns[f"{part}_rounds"] = [None if one is None else one.n for one in (getattr(r, f"{part}_ns") for r in rows)]
        kinds[f"{part}_rounds"] = pl.Int64
    return pl.DataFrame(columns, schema=kinds)
