"""docs/chains.md tells what the shipped profiles of a whole model give, to the nanosecond."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.chains.chains import Chain, chains
from rope_prof.analysis.trace.calls import call_frame
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/chains.md"


def _shipped(phase: str) -> Trace:
    return read_trace(ROOT / f"traces/h100-ernie28b/end_to_end.unfused.{phase}.trace.json.gz")


def _nameless(trace: Trace) -> list[Chain]:
    """All chains of the trace without the names of its ranges; the rope's is the one of 25 kernels."""
    return list(chains(replace(trace, ranges=trace.ranges.with_columns(name=pl.lit("")))).chains)


def _rope(trace: Trace) -> Chain:
    (found,) = (chain for chain in _nameless(trace) if chain.kernels == 25)
    return found


@pytest.mark.parametrize(("phase", "calls", "rank"), [("decode", 112, 2), ("prefill", 56, 1)])
def test_the_rope_chain_is_found_where_the_ranges_say_it_stands(phase: str, calls: int, rank: int) -> None:
    trace = _shipped(phase)
    ranges = call_frame(trace, rf"unfused\.{phase}\.rope#\d+", kind="record_function")
    chain = _rope(trace)
    assert (chain.rank, chain.kernels, chain.events, chain.calls) == (rank, 25, 25, calls)
    assert ranges.height == calls
    assert chain.kernel_ns == ranges["kernel_ns"].sum()


@pytest.mark.parametrize("phase", ["decode", "prefill"])
def test_the_page_has_its_figures(phase: str) -> None:
    chain = _rope(_shipped(phase))
    assert chain.saving is not None
    saving = (f"{ns / 1e6:.1f} ms" for ns in (chain.bubble_ns, chain.saving.lo_ns, chain.saving.hi_ns))
    share = f"{100 * chain.saving.lo_share:.1f}–{100 * chain.saving.hi_share:.1f} %"
    row = " | ".join([str(chain.calls), f"{chain.kernel_ns:,} ns", *saving, share])
    assert f"| {row} |" in PAGE.read_text()


def test_what_ranks_above_the_rope_saves_less_for_sure_and_perhaps_more() -> None:
    above, rope = _nameless(_shipped("decode"))[:2]
    assert above.saving is not None
    assert rope.saving is not None
    assert above.saving.lo_ns < rope.saving.lo_ns < rope.saving.hi_ns < above.saving.hi_ns
    assert f"{above.saving.lo_ns / 1e6:.1f} to {above.saving.hi_ns / 1e6:.1f} ms" in PAGE.read_text()
