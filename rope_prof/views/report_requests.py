"""Section 7 of a report: whole requests, the share of the step, prediction and outcome, noise, agreement."""

from __future__ import annotations

from collections.abc import Iterator

from rope_prof.analysis.end_to_end import BASELINE, RequestRow
from rope_prof.model.end_to_end import STOCK
from rope_prof.units import MISSING, significant
from rope_prof.views.end_to_end_tables import end_to_end_notes, headline, milliseconds, prediction_lines, share
from rope_prof.views.report_data import WholeRequests
from rope_prof.views.report_model import Block, Bullets, Cell, Figure, Table, Tone, Words, cells
from rope_prof.views.svg_charts import Bar, bars


def requests(found: WholeRequests | None) -> tuple[Block, ...]:
    """Nothing where the run measured no whole requests."""
    if found is None:
        return ()
    lines = (*prediction_lines(found.predicted), *_share_lines(found), *_noise_lines(found))
    notes = (*found.doubts, *end_to_end_notes(found.facts))
    return (
        Words(text=headline(found.facts) + "."),
        *_picture(found),
        _times(found),
        *((Bullets(items=lines),) if lines else ()),
        *_steps(found),
        *_agreement(found),
        *((Bullets(items=notes),) if notes else ()),
    )


def _times(found: WholeRequests) -> Table:
    rows = []
    for row in found.rows:
        if row.token_ns is None and (row.prefill_ns is None or row.mode != "eager"):
            continue
        tone: Tone = "bad" if row.status == "wrong" else ""
        rows.append(
            cells(
                Cell(text=row.path if row.status != "wrong" else f"{row.path} (wrong)", tone=tone),
                row.mode,
                milliseconds(row.prefill_ns),
                share(row.prefill_gain),
                milliseconds(row.token_ns),
                share(row.token_gain),
                milliseconds(row.request_ns),
                share(row.request_gain, bounds=True),
            )
        )
    head = ("path", "decode", "first token ms", "saves", "ms per token", "saves", "request ms", "saves [95 %]")
    title = f"Median [95 % interval]; savings against the {BASELINE} chain in the same mode, paired round by round"
    return Table(title=title, head=head, rows=tuple(rows), right=frozenset({2, 3, 4, 5, 6, 7}))


def _picture(found: WholeRequests) -> Iterator[Block]:
    rows = []
    for row in found.rows:
        bar = _bar(row, found.facts.request.decode_tokens)
        if bar is not None:
            rows.append(bar)
    if rows:
        legend = (("path0", "prompt (first token)"), ("path3", "decoded tokens"))
        drawing = bars(rows, "ms a request", "Request time as its parts", legend)
        words = "Medians of both parts; the decode of all tokens is the measured time of one times their number."
        yield Figure(name="requests", drawing=drawing, title="Request time", caption=words, where="page")


def _bar(row: RequestRow, tokens: int) -> Bar | None:
    if row.prefill_ns is None or row.token_ns is None or row.request_ns is None or row.status != "measured":
        return None
    prompt, decode = row.prefill_ns.median / 1e6, tokens * row.token_ns.median / 1e6
    gain = "" if row.request_gain is None else f", saves {share(row.request_gain)}"
    return Bar(
        label=f"{row.path} · {row.mode}",
        parts=(
            ("path0", prompt, f"prompt: {significant(prompt)} ms"),
            ("path3", decode, f"{tokens} tokens: {significant(decode)} ms"),
        ),
        note=f"{significant(row.request_ns.median / 1e6)} ms{gain}",
    )


def _share_lines(found: WholeRequests) -> Iterator[str]:
    for (path, phase), one in found.steps.items():
        if path == BASELINE and one.span_ns:
            kernels, gaps = one.rope_busy_ns / one.span_ns, one.rope_bubble_ns / one.span_ns
            yield (
                f"share of the step, {phase}, {path}: rope kernels {kernels:.1%}, rope bubbles {gaps:.1%} of the "
                f"profiled step's device time ({significant(one.span_ns / one.steps / 1e6)} ms, stretched by the "
                "profiler)"
            )


def _noise_lines(found: WholeRequests) -> Iterator[str]:
    for key, ratio in found.noise.items():
        path, phase, mode = key.rsplit(".", 2)
        if path == BASELINE and ratio.lo is not None and ratio.hi is not None:
            yield (
                f"A/A noise, {phase} {mode}: {path} against itself, even rounds / odd rounds: "
                f"{significant(ratio.median)} [{significant(ratio.lo)}, {significant(ratio.hi)}], n = {ratio.n}; "
                "a gain inside it is none"
            )


def _steps(found: WholeRequests) -> Iterator[Block]:
    rows = tuple(
        cells(
            path,
            phase,
            *(
                significant(ns / one.steps / 1e6)
                for ns in (one.span_ns, one.rope_busy_ns, one.rope_bubble_ns, one.other_busy_ns, one.other_bubble_ns)
            ),
            f"{one.rope_kernels / one.steps:g} + {one.other_kernels / one.steps:g}",
        )
        for (path, phase), one in found.steps.items()
    )
    if rows:
        head = ("path", "phase", "step", "rope kernels", "rope bubbles", "other kernels", "other bubbles", "kernels")
        title = "One profiled step, ms of device time (bubbles stretched by the profiler)"
        yield Table(title=title, head=head, rows=rows, right=frozenset(range(2, 8)), folded=True)


def _agreement(found: WholeRequests) -> Iterator[Block]:
    rows = tuple(
        cells(
            one.path,
            Cell(text=significant(one.rms), tone="" if one.rms <= one.allowed else "bad"),
            significant(one.allowed),
            _same(one.same_tokens, one.tokens, one.margin),
            MISSING if one.graph_rms is None else significant(one.graph_rms),
            _same(one.graph_same_tokens, one.tokens, one.graph_margin),
        )
        for one in found.agreed
    )
    if rows:
        title = f"Do the outputs agree? Logits against the oracle's rope, greedy tokens against {STOCK}'s"
        head = ("path", "logits off", "by rounding", "tokens as stock's", "graph off eager", "tokens as eager's")
        yield Table(title=title, head=head, rows=rows, right=frozenset(range(1, 6)), folded=True)


def _same(same: int | None, tokens: int, margin: float | None) -> str:
    if same is None:
        return MISSING
    return f"{same} of {tokens}" + ("" if margin is None else f" (then a margin of {significant(margin, 2)})")
