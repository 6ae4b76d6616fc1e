"""One thing to fix: what it is, what removing it takes off the device's span at least and at most, and where it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any, Final, Literal

from rope_prof.model.frozen import Frozen

Kind = Literal["copies", "launches", "host", "chain", "wait", "communication", "grid", "occupancy", "rank"]
#: What saves less than this part of its device's span at most is nothing to fix.
WORTH: Final = 0.01


class FixPlace(Frozen, kw_only=True):
    """The costliest instance: its time on the file's clock, and what launched it as far as the file tells.

    `operator`: the outermost one on the host; `module`, `line`: of Python, where stacks were recorded. `source`: the
    trace, where it is one of several.
    """

    start_ns: int
    dur_ns: int
    event: str
    range: str | None = None
    operator: str | None = None
    module: str | None = None
    line: str | None = None
    source: str | None = None


class Fix(Frozen, kw_only=True):
    """One loss of a device. `lo_ns` to `hi_ns`: what mending it takes off the span; bounds of two may overlap.

    `subject`: the copy's way, the waiting call, the collective, the first kernel of a chain, how a rank is late.
    `count`: instances (gaps, copies, calls of the chain). `within`, `times`: the range that holds most of it, and how
    often that ran. `each`: kernels of a chain, launches a call of the range, SMs that a grid leaves idle, percent of
    the warps that fit, or ns that a late rank loses in the range. `devices`: all that have the same loss, or that rank;
    the figures are of the one that has most of it. `ranks`: the same, of a loss of many ranks. `behind_ns`: so much of
    a collective may be the wait for late ranks, which are fixes of their own.
    """

    kind: Kind
    devices: tuple[str, ...]
    subject: str
    count: int
    lo_ns: int
    hi_ns: int
    span_ns: int
    place: FixPlace
    within: str | None = None
    times: int | None = None
    each: float | None = None
    ranks: tuple[str, ...] = ()
    behind_ns: int = 0

    @property
    def share(self) -> float:
        """Of its device's span, at most."""
        return self.hi_ns / self.span_ns if self.span_ns else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values with the share, which `fix_of` reads again."""
        return asdict(self) | {"share": self.share}


class Fixes(Frozen, kw_only=True):
    """All that is worth it, the most first. `reason`: why there is none, where the file is not to be trusted."""

    fixes: tuple[Fix, ...] = ()
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields `fixes` and `fixes_withheld` of the JSON of `analyze`."""
        return {"fixes": [fix.as_json() for fix in self.fixes], "fixes_withheld": self.reason}


def worth(hi_ns: int, span_ns: int) -> bool:
    """Whether a loss of that much of a device's span is worth a fix."""
    return span_ns > 0 and hi_ns >= WORTH * span_ns


def fix_of(told: Mapping[str, Any]) -> Fix:
    """The fix that `Fix.as_json` told."""
    held = {name: value for name, value in told.items() if name != "share"}
    lists = {name: tuple(held[name]) for name in ("devices", "ranks")}
    return Fix(**held | lists | {"place": FixPlace(**held["place"])})


def ranked(found: Iterable[Fix]) -> tuple[Fix, ...]:
    """Those worth it by the middle of their bounds without what waits for late ranks; one loss of several devices or
    ranks once.
    """
    kept = (fix for fix in found if worth(fix.hi_ns, fix.span_ns))
    return tuple(_once(sorted(kept, key=lambda fix: (fix.behind_ns - fix.lo_ns - fix.hi_ns, fix.subject))))


def _once(order: Iterable[Fix]) -> Iterator[Fix]:
    held: list[Fix] = []
    for fix in order:
        same = (k for k, one in enumerate(held) if _what(one) == _what(fix) and not _holders(one) & _holders(fix))
        k = next(same, None)
        if k is None:
            held.append(fix)
        else:
            devices = dict.fromkeys((*held[k].devices, *fix.devices))
            held[k] = replace(held[k], devices=tuple(devices), ranks=held[k].ranks + fix.ranks)
    yield from held


def _holders(fix: Fix) -> set[str]:
    return set(fix.ranks or fix.devices)


def _what(fix: Fix) -> tuple[object, ...]:
    return fix.kind, fix.subject, fix.within, fix.place.line, fix.each if fix.kind == "chain" else None
