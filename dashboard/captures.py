"""The captured sides of a case with what their traces say of bubbles and kernels, and the same of the baseline."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.dashboard.baseline import Baseline
from rope_prof.dashboard.shell import Seen

from rope_prof.analysis.run.counters import counters_of
from rope_prof.analysis.trace.idle import idle
from rope_prof.dashboard import loading
from rope_prof.io.run.folder import RunFolder
from rope_prof.model.nsight import Compute
from rope_prof.model.run import Key, KeyFacts
from rope_prof.views.blocks.bubbles import Bubbles, HeldBubbles
from rope_prof.views.blocks.kernels import HeldKernels
from rope_prof.views.blocks.overview import OverviewSide
from rope_prof.views.report.data import Captured
from rope_prof.views.words.labels import side_label


def of_sides(
    seen: Seen, facts: Sequence[KeyFacts], keys: Sequence[Key]
) -> tuple[dict[str, tuple[OverviewSide, Captured]], list[str]]:
    """Key -> its side and its account, and a sentence on each key that has none. Errors: TraceError, RunError."""
    opened = seen.opened
    rows = {row.key: row for row in opened.rows}
    found: dict[str, tuple[OverviewSide, Captured]] = {}
    missing = []
    for f in facts:
        label = side_label(f.key, keys)
        one = opened.account(f)
        if one is None:
            missing.append(f"{label}: its trace is gone; restore {f.trace} or record the run again.")
        elif one.reason is not None:
            missing.append(f"{label}: {one.reason}.")
        else:
            found[f.key.name] = (OverviewSide(label=label, row=rows[f.key.name]), one)
    return found, missing


def bubbles(side: OverviewSide, one: Captured) -> Bubbles:
    """That side with the account of its gaps."""
    return Bubbles(side=side, idle=idle(one.gaps, one.calls))


def held(base: Baseline | None) -> HeldBubbles | None:
    """The bubbles of the baseline; None without one, or where it was not captured. Errors: TraceError."""
    if base is None:
        return None
    one = _account(base.folder, base.facts)
    return (
        None
        if one is None
        else HeldBubbles(label=base.label, bubbles=bubbles(OverviewSide(label=base.label, row=base.row), one))
    )


def held_kernels(base: Baseline | None) -> HeldKernels | None:
    """The kernels and counters of the baseline; None without one. Errors: TraceError."""
    if base is None:
        return None
    one = _account(base.folder, base.facts)
    nsight = base.folder.nsight
    return HeldKernels(
        label=base.label,
        row=base.row,
        kernels=None if one is None else one.kernels,
        counters=None if nsight is None else counters_of(nsight.compute, base.row.key),
    )


def no_counters(seen: Seen, compute: Compute | None) -> str:
    """Why there are no counters of what is shown, and how to get them."""
    if seen.folder.run.machine.device == "cpu":
        return "No counters: they are a GPU's, and this run was recorded on a CPU."
    if compute is not None and compute.recording.reason:
        return f"No counters: {compute.recording.reason}."
    if compute is not None:
        return "No counters of the paths, modes and case chosen; Nsight Compute ran others of this run."
    return (
        "No counters, so what a single kernel moves is not known and paths stand whole. "
        f"“python -m rope_prof record --resume -o {seen.folder.path.name} --nsight compute” adds them to this run."
    )


def _account(folder: RunFolder, facts: KeyFacts) -> Captured | None:
    one = loading.opened(folder.path).account(facts)
    return one if one is not None and one.reason is None else None
