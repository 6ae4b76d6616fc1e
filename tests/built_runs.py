"""A run whose truth is known: its samples are made from chosen bubbles, kernels, gaps and bandwidth."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import polars as pl

from rope_prof.analysis.run.capture import CaptureFigures
from rope_prof.model.run import Case, Ceiling, Key, KeyFacts, Run
from rope_prof.model.samples import samples_schema
from tests.runs import CASE, RIGHT, key, run

COPY_BYTES = 1 << 30
#: What the card of these runs does.
BYTES_PER_NS = 3000.0
NODE_BUSY_NS = 800.0
NODE_GAP_NS = 150.0
#: Own busy time of an empty kernel, and what a launch of it costs beyond that behind another in a stream.
EMPTY_BUSY_NS = 800.0
STREAM_GAP_NS = 1200.0
HOT_GAP_NS = 90.0
EMPTY_GAP_NS = 20.0
PASS_NS = 4000.0
PASS_BYTES = 12_000_000
LAUNCH_NS = 6000.0


@dataclass(frozen=True)
class Truth:
    """One path: what a call is made of, ns. `extra_ns` is time on the device that no term accounts for."""

    host_ns: float
    busy_ns: float
    kernels: int
    bytes_moved: int | None
    extra_ns: float = 0.0

    @property
    def replay_ns(self) -> float:
        return self.busy_ns + self.kernels * NODE_GAP_NS + self.extra_ns

    @property
    def stream_ns(self) -> float:
        return self.busy_ns + self.kernels * STREAM_GAP_NS + self.extra_ns

    @property
    def wall_ns(self) -> float:
        return self.stream_ns + self.host_ns

    def device_ns(self, mode: str) -> float:
        return self.replay_ns if mode == "graph" else self.stream_ns


UNFUSED = Truth(host_ns=300_000, busy_ns=70_000, kernels=25, bytes_moved=90_000_000)
FUSED = Truth(host_ns=3_000, busy_ns=5_000, kernels=1, bytes_moved=12_000_000)


@dataclass(frozen=True)
class Built:
    """The run, its samples and the figures of its captures."""

    run: Run
    samples: pl.DataFrame
    captures: dict[str, CaptureFigures]

    def key(self, path: str, mode: str) -> Key:
        return key(path, mode, self.run.keys[0].key.case)


def built(
    truths: dict[str, Truth] | None = None,
    *,
    rounds: int = 40,
    noise: float = 0.0,
    graphs: bool = True,
    ceilings: bool = True,
    case: Case = CASE,
    seed: int = 1,
) -> Built:
    """A run of these paths in modes eager and graph, each round with a drift of its own that meets all alike."""
    paths = truths or {"unfused": UNFUSED, "fused": FUSED}
    source = random.Random(seed)
    times: dict[tuple[str, str], float] = {}
    facts, captures = [], {}
    for path, truth in paths.items():
        for mode in ("eager", "graph") if graphs else ("eager",):
            one = key(path, mode, case)
            facts.append(KeyFacts(key=one, status="measured", accuracy=RIGHT, bytes_moved=truth.bytes_moved))
            captures[one.name] = capture(truth)
            times[one.name, "wall"] = truth.device_ns(mode) + (truth.host_ns if mode == "eager" else 0)
            times[one.name, "device"] = truth.device_ns(mode)
    limits = made_ceilings(case) if ceilings else ()
    for limit, ns in limits:
        times[limit.key_name, "device"] = times[limit.key_name, "wall"] = ns
        if limit.name == "empty_launch":
            times[limit.key_name, "device"] = EMPTY_BUSY_NS + STREAM_GAP_NS
    rows = []
    for number in range(rounds):
        drift = 1 + noise * source.uniform(-1, 1)
        for (name, clock), ns in times.items():
            own = 1 + noise / 10 * source.uniform(-1, 1)
            rows.append((name, number, clock, 1000, round(ns * drift * own * 1000), None))
    frame = pl.DataFrame(rows, schema=samples_schema(), orient="row")
    return Built(run(*facts, ceilings=tuple(limit for limit, _ in limits)), frame, captures)


def capture(truth: Truth) -> CaptureFigures:
    return CaptureFigures(
        calls=28,
        kernels_per_call=truth.kernels,
        kernel_ns=truth.busy_ns,
        busy_ns=truth.busy_ns,
        period_ns=truth.busy_ns + truth.host_ns,
        bubble_raw_ns=truth.host_ns,
        busy_each_ns=(truth.busy_ns,) * 28,
    )


def made_ceilings(case: Case) -> list[tuple[Ceiling, float]]:
    """Each with its ns a call; of copy and node there are worse ways too, and a node for each L2 state."""
    copy = Ceiling(name="copy", case=case, method="eager", bytes_moved=COPY_BYTES, status="measured")
    node = Ceiling(name="graph_node", case=case, method="write.cold", busy_ns=NODE_BUSY_NS, status="measured")
    whole = Ceiling(name="in_place", case=case, method="scale", bytes_moved=PASS_BYTES, status="measured")
    launch = Ceiling(name="empty_launch", case=case, method="driver", status="measured")
    return [
        (copy, COPY_BYTES / BYTES_PER_NS),
        (replace(copy, method="graph"), COPY_BYTES / BYTES_PER_NS * 1.3),
        (node, NODE_BUSY_NS + NODE_GAP_NS),
        (replace(node, method="write.hot"), NODE_BUSY_NS + HOT_GAP_NS),
        (replace(node, method="serial"), NODE_BUSY_NS + EMPTY_GAP_NS),
        (replace(node, method="overlap"), NODE_BUSY_NS - 200),
        (whole, PASS_NS),
        (launch, LAUNCH_NS),
        (replace(launch, method="triton"), 3 * LAUNCH_NS),
    ]


def on_two_ranks(first: Built, slower: float) -> Built:
    """`first` on rank 0 and, with all its times `slower`, on rank 1."""
    run = first.run
    keys = [replace(facts, key=replace(facts.key, rank=1)) for facts in run.keys]
    limits = [
        replace(one, rank=1, busy_ns=None if one.busy_ns is None else one.busy_ns * slower) for one in run.ceilings
    ]
    names = {one.key.name: two.key.name for one, two in zip(run.keys, keys, strict=True)}
    names |= {one.key_name: two.key_name for one, two in zip(run.ceilings, limits, strict=True)}
    samples = first.samples.with_columns(
        pl.col("key").replace(names), (pl.col("ns") * slower).round().cast(first.samples.schema["ns"])
    )
    captures = {
        names[name]: replace(
            found,
            busy_ns=(found.busy_ns or 0) * slower,
            kernel_ns=(found.kernel_ns or 0) * slower,
            busy_each_ns=tuple(ns * slower for ns in found.busy_each_ns),
        )
        for name, found in first.captures.items()
    }
    both = replace(run, keys=(*run.keys, *keys), ceilings=(*run.ceilings, *limits))
    return Built(both, pl.concat([first.samples, samples]), first.captures | captures)
