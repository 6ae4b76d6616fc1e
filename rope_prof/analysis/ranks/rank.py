"""The records of a recording: a rank, a range on every rank, a late rank."""

from __future__ import annotations

from typing import Literal

from rope_prof.analysis.ranks.arrivals import Arrivals
from rope_prof.analysis.ranks.clock import Clock
from rope_prof.model.frozen import Frozen


class RankUse(Frozen, kw_only=True):
    """One trace. Times are sums over its devices, None where nothing could be accounted for; shares withheld: None."""

    rank: int | None
    label: str
    source: str
    status: str
    verdict: str | None
    reason: str | None
    devices: int
    kernels: int | None
    kernel_ns: int | None
    busy_ns: int | None
    span_ns: int | None
    idle_ns: int | None
    idle_share: float | None
    communication_ns: int | None  # communication kernels run; None where there are none
    exposed_ns: int | None  # and no other kernel does
    copies_only_ns: int | None
    copied_bytes: int | None
    outside_kernels: int | None  # in no range, although the trace has ranges
    outside_ns: int | None
    idle_by_cause_ns: dict[str, int]
    fixes: int | None  # things to fix in it; None where its shares are withheld, or an older version looked for none
    start_ns: int | None  # of its first GPU event, on its own clock
    zero_ns: int | None  # of the first event of its file, on the same clock: zero of its timeline
    wall_clock: bool  # whether that clock counts from 1970
    clock: Clock | None
    arrivals: Arrivals | None


class RangeAcross(Frozen, kw_only=True):
    """One range on every rank, in the order of `Recording.ranks`; None where a rank lacks it or it is withheld.

    `call_ns`: a call from its first GPU event to its last, the median of the calls. `host_ns`: all closed calls
    together by the host's clock, which tells of a range that waits, loads or computes before it launches anything.
    """

    name: str
    calls: tuple[int | None, ...]
    call_ns: tuple[float | None, ...]
    busy_ns: tuple[int | None, ...]
    median_ns: float | None
    worst: str | None  # the rank of the longest call, where they differ
    worst_ratio: float | None  # that call / the median
    host_ns: tuple[int | None, ...] = ()
    host_calls: tuple[int | None, ...] = ()


class Straggler(Frozen, kw_only=True):
    """A late rank: `how` it shows, what it costs the others, and the range in which it loses the time, `on` what."""

    rank: str
    how: str
    cost_ns: int
    share: float
    range: str | None
    excess_ns: int | None
    on: Literal["gpu", "host"] | None = None


class HostLate(Frozen, kw_only=True):
    """A range whose calls took the host of one rank longer than the middle of the ranks, all calls together."""

    range: str
    calls: int | None
    median_ns: float
    longest_ns: int
    rank: str
