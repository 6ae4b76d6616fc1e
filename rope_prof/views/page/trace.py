"""A stranger's trace as HTML: the verdict first, then what each device did and why it idled. Every text is escaped.

Computes nothing: shares, sums and verdicts are those of `analyze`.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

import polars as pl

from rope_prof.analysis.chains.chains import Chain, Chains
from rope_prof.analysis.trace.accounting import DeviceUse
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.analysis.trace.ranges import RangeUse
from rope_prof.units import MISSING, duration, significant
from rope_prof.views.draw.palette import Palette
from rope_prof.views.words.causes import CAUSE_WORDS

_WORDS = {
    "sound": "Sound: nothing in the file speaks against its figures.",
    "suspect": "Suspect: read the figures with what follows in mind.",
    "unusable": "Unusable: there is nothing here to account for.",
}


def verdict(analysis: Analysis, events: int) -> str:
    """Is the file sound, and what must a reader know."""
    judged = analysis.integrity
    tone = {"sound": "rp-sound", "suspect": "rp-suspect", "unusable": "rp-unusable"}[judged.verdict]
    items = "".join(
        f"<li><b>{escape(finding.code)}{f' ×{finding.count:,}' if finding.count > 1 else ''}</b> "
        f"{escape(finding.detail)}</li>"
        for finding in judged.findings
    )
    links = analysis.links
    linked = f", {links.linked:,} GPU events with their launch, {links.unlinked:,} without" if links.linked else ""
    return (
        f'<section class="rp-verdict {tone}"><h2>{escape(_WORDS[judged.verdict])}</h2>'
        f'<p class="rp-key">{escape(analysis.format)} · {events:,} events{linked}</p>'
        f"{f'<ul class=rp-doubts>{items}</ul>' if items else ''}</section>"
    )


def devices(analysis: Analysis, palette: Palette) -> str:
    """Each device: its counts, and one bar of busy time and idle time by cause."""
    return "".join(_device(use, palette) for use in analysis.devices)


def _device(use: DeviceUse, palette: Palette) -> str:
    name = f" · {escape(use.name)}" if use.name else ""
    facts = [
        ("kernels", MISSING if use.kernels is None else f"{use.kernels:,}"),
        ("kernel time", duration(use.kernel_ns)),
        ("busy", duration(use.busy_ns)),
        ("span", duration(use.span_ns)),
        ("idle", f"{duration(use.idle_ns)}{_share(use.idle_share)}"),
        ("gaps", MISSING if use.gaps is None else f"{use.gaps:,}, longest {duration(use.gap_max_ns)}"),
    ]
    cells = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in facts)
    why = f'<p class="rp-key">Shares withheld: {escape(use.reason)}</p>' if use.reason else ""
    return (
        f'<section><h2>Device {escape(use.device)}{name}</h2><dl class="rp-facts rp-dev">{cells}</dl>'
        f"{_bar(use, palette)}{why}</section>"
    )


def _share(share: float | None) -> str:
    return "" if share is None else f" ({significant(100 * share)} %)"


def _bar(use: DeviceUse, palette: Palette) -> str:
    if not use.span_ns or use.busy_ns is None:
        return ""
    causes = sorted((use.idle_by_cause_ns or {}).items(), key=lambda item: (-item[1], item[0]))
    parts = [("busy", use.busy_ns, palette.kernel, "an event runs on the device")]
    parts += [(c, ns, palette.causes.get(c, palette.bubble), CAUSE_WORDS.get(c, "")) for c, ns in causes]
    spans = "".join(
        f'<span style="width:{100 * ns / use.span_ns:.4f}%;background:{colour}" title="{escape(name)} {duration(ns)}">'
        "</span>"
        for name, ns, colour, _ in parts
    )
    key = "".join(
        f'<div><dt><span class="rp-dot" style="background:{colour}"></span>{escape(name)}</dt>'
        f"<dd>{duration(ns)}{_share(ns / use.span_ns) if use.reason is None else ''}</dd>"
        f"<dd>{escape(words)}</dd></div>"
        for name, ns, colour, words in parts
    )
    return f'<div class="rp-track rp-wide">{spans}</div><dl class="rp-causes">{key}</dl>'


def range_table(ranges: Sequence[RangeUse]) -> pl.DataFrame:
    """Ranges by busy time, as people read them; names letter for letter."""
    several = len({use.device for use in ranges}) > 1
    frame = pl.DataFrame(
        {
            "range": [use.name for use in ranges],
            "device": [use.device for use in ranges],
            "calls": [use.calls for use in ranges],
            "kernels": [use.kernels for use in ranges],
            "busy, µs": [round(use.busy_ns / 1e3, 1) for use in ranges],
            "idle, µs": [round(use.idle_ns / 1e3, 1) for use in ranges],
            "µs a call, median": [
                None if use.us_per_call is None else round(use.us_per_call.median, 3) for use in ranges
            ],
            "10 %": [None if use.us_per_call is None else round(use.us_per_call.lo, 3) for use in ranges],
            "90 %": [None if use.us_per_call is None else round(use.us_per_call.hi, 3) for use in ranges],
        },
        schema_overrides={"µs a call, median": pl.Float64, "10 %": pl.Float64, "90 %": pl.Float64},
    )
    return frame if several else frame.drop("device")


def chains_panel(found: Chains, shown: int = 8) -> str:
    """Chains of small kernels, the most worth fusing first, each with its kernels to unfold."""
    if not found.chains:
        return (
            "<section><h2>Chains worth fusing</h2>"
            "<p class=rp-key>No sequence of small kernels repeats more often than chance would have it.</p></section>"
        )
    items = "".join(_chain(chain) for chain in found.chains[:shown])
    rest = len(found.chains) - shown
    more = f'<p class="rp-key">{rest} more: “analyze --chains --json” lists all.</p>' if rest > 0 else ""
    reasons = sorted({chain.reason for chain in found.chains if chain.reason})
    why = f'<p class="rp-key">Savings withheld: {escape(" | ".join(reasons))}</p>' if reasons else ""
    return f"<section><h2>Chains worth fusing</h2>{why}{items}{more}</section>"


def _chain(chain: Chain) -> str:
    saving = chain.saving
    saves = (
        "saving withheld"
        if saving is None
        else f"saves {duration(saving.lo_ns)} to {duration(saving.hi_ns)}, {100 * saving.lo_share:.1f} to "
        f"{100 * saving.hi_share:.1f} % of the device's span"
    )
    words = (
        f"{chain.kernels} kernels, {chain.calls:,} calls, kernel time {duration(chain.kernel_ns)}, "
        f"bubbles {duration(chain.bubble_ns)}"
    )
    names = "".join(
        f"<li><b>{count} ×</b> <code>{escape(name)}</code></li>"
        for name, count in ((name, sum(1 for _ in run)) for name, run in groupby(chain.names))
    )
    floor = (
        f"byte floor: at least {duration(chain.floor_ns)} a call"
        if chain.floor_ns is not None
        else f"byte floor: none ({chain.floor_reason})"
    )
    return (
        f'<details class="rp-chain"{" open" if chain.rank == 1 else ""}><summary><b>{chain.rank}. {escape(saves)}</b>'
        f"<span>{escape(words)}</span></summary><p class=rp-key>{escape(floor)}</p><ol>{names}</ol></details>"
    )
