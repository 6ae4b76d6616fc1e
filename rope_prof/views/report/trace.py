"""One trace -> its report: what to fix first, busy and idle by cause, then what that rests on, folded."""

from __future__ import annotations

from rope_prof.analysis.chains.chains import Chains
from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.trace.analyze import Analysis
from rope_prof.units import counted, percent
from rope_prof.views.blocks.chains import page_blocks as chain_blocks
from rope_prof.views.blocks.fixes import fix_blocks
from rope_prof.views.blocks.model import Headline, Report, Section
from rope_prof.views.blocks.trace import account, page_blocks, page_folds, verdict_words
from rope_prof.views.words.fixes import fix_do, fix_saves, fix_title


def trace_report(
    analysis: Analysis, found: Fixes, chains: Chains | None, *, source: str, name: str, events: int
) -> Report:
    """The report of the trace that lies at `source` and is called `name`; `chains` None: it has no times of kernels."""
    fixes = tuple(fix_blocks(found, analysis.zero_ns, None))
    seen = tuple(page_blocks(analysis, name))
    trust, figures = page_folds(analysis, events).values()
    ranges = tuple(table for table in account(analysis) if table.title == "Ranges")
    sections = (
        Section(key="fix", number=1, title="What to fix first", blocks=fixes),
        Section(key="idle", number=2, title="Busy and idle", blocks=seen),
        Section(key="findings", number=3, title="Findings", blocks=trust, folded=True),
        Section(key="figures", number=4, title="In figures", blocks=(*figures, *ranges), folded=True),
        Section(
            key="chains",
            number=5,
            title="Chains worth fusing",
            blocks=() if chains is None else tuple(chain_blocks(chains)),
            folded=True,
        ),
    )
    devices = ", ".join(sorted({use.name for use in analysis.devices if use.name}))
    return Report(
        source=source,
        command="analyze",
        title=f"{name}: what should I fix first?",
        kicker=" · ".join(filter(None, (analysis.format, counted(events, "event"), devices))),
        headline=_headline(found, analysis),
        cards=(),
        sections=sections,
        brief=fixes[:1],
    )


def _headline(found: Fixes, analysis: Analysis) -> Headline | None:
    if not found.fixes:
        return None
    first = found.fixes[0]
    return Headline(
        factor=percent(first.share),
        words=f"of a device's time: {fix_title(first)}",
        detail=f"Saves {fix_saves(first)}: {fix_do(first)}. {verdict_words(analysis.integrity)}",
    )
