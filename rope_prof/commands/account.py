"""One trace, read and accounted for: what `analyze` and `capture` print of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from rope_prof.analysis.chains.chains import Chains
from rope_prof.analysis.fixes.fix import Fixes
from rope_prof.analysis.fixes.fixes import losses
from rope_prof.analysis.trace.analyze import Analysis, accounted
from rope_prof.analysis.trace.analyze import analyze as analysis_of
from rope_prof.analysis.trace.captured import with_captures
from rope_prof.analysis.trace.replays import own_words
from rope_prof.io.run.nsight import counters_beside
from rope_prof.io.trace.cache import worth_caching
from rope_prof.io.trace.captures import read_captures
from rope_prof.io.trace.read import read_trace
from rope_prof.model.frozen import Frozen
from rope_prof.model.trace import Trace
from rope_prof.views.blocks.fixes import fix_words
from rope_prof.views.blocks.model import mapped
from rope_prof.views.blocks.trace import trace_blocks
from rope_prof.views.terminal.writer import printed


class TraceAccount(Frozen, kw_only=True):
    """A trace that was read, what is said of it, what to fix in it, and its chains."""

    source: Path
    held: Trace
    answer: Analysis
    to_fix: Fixes
    found: Chains | None

    def document(self) -> dict[str, Any]:
        """What `analyze --json` prints, without chains."""
        return self.answer.as_json() | self.to_fix.as_json()

    def printed_on(self, console: Console) -> None:
        """What `analyze` prints, without chains."""
        first, *account = trace_blocks(self.answer, str(self.source))
        said = (first, *fix_words(self.to_fix, self.answer.zero_ns, str(self.source)), *account)
        printed(console, mapped(said, self._in_words))

    def _in_words(self, text: str) -> str:
        """The ranges around calls of our own captures for people."""
        return own_words(self.held, text)


def account_of(
    trace: Path,
    *,
    range_: str | None = None,
    device: str | None = None,
    bandwidth: float | None = None,
    captures: Sequence[str] = (),
) -> TraceAccount:
    """The account of the file `trace`, read with a bar on a terminal; `captures` name what its graphs replay.

    Errors: TraceError.
    """
    long = worth_caching(trace)
    held = read_trace(trace, progress=_progress() if long and _terminal() else None, cache=long)
    if captures:
        held = with_captures(held, *read_captures(captures))
    answer = analysis_of(held, range_pattern=range_, device=device)
    found, to_fix = losses(accounted(held, device), answer, counters_beside(trace), bandwidth)  # GB/s = bytes a ns
    return TraceAccount(source=trace, held=held, answer=answer, to_fix=to_fix, found=found)


def _terminal() -> bool:
    """Whether there is one to draw a bar on, past what keeps the answer."""
    return sys.__stderr__ is not None and sys.__stderr__.isatty()


def _progress() -> Callable[[int, int], None]:
    bar = Progress(console=Console(file=sys.__stderr__), transient=True)
    task = bar.add_task("reading", total=None)

    def show(read: int, total: int) -> None:
        if not bar.live.is_started and read < total:
            bar.start()
        bar.update(task, completed=read, total=total)
        if read >= total:
            bar.stop()

    return show
