"""What the kernels of a graph's replays were launched as: traces of captures joined to the trace of the replays.

Every launch of a capture makes a node, and nodes are numbered as they are made: the k-th launch is the k-th node. A
capture can be a graph's where it has as many launches as the graph has nodes, of the same kinds in the same order, and
no name speaks against it: an operator that is called as a kernel is (Triton's are) launched that kernel. Where a
profiler numbers kernels alone, copies and sets do not count. Captures are told apart by the range that they were made
in (`capture_32_FULL` of vLLM) and by their file (SGLang's). Graphs made piece by piece are taken in their order, as
often as they come out even. What the captures that are left do not all say of a node is not said. A list of nodes with
their stacks (torch's `dump_kernel_py_stacks`) is joined by their numbers alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from rope_prof.analysis.trace.calls import innermost
from rope_prof.analysis.trace.graph_nodes import GRAPH_LAUNCH
from rope_prof.analysis.trace.launches import LAUNCHES_KERNEL, MOVES
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.errors import TraceError
from rope_prof.model.trace import NODE_SITES, Finding, Trace, node_number, proof

_LANE: Final = ("process", "thread")
_MARK: Final = r"(?i)Stream(?:Begin|End)Capture"
_TOLD: Final = tuple(name for name in NODE_SITES if name != "node")
_Site = tuple[str | None, ...]


@dataclass(frozen=True)
class _Sequence:
    """Launches of a capture, or nodes of a graph, in the order in which they were made."""

    kinds: tuple[str, ...]
    names: tuple[str | None, ...]  # of a launch's innermost operator, of a node's kernel


@dataclass(frozen=True)
class _Capture:
    place: tuple[str, str | None]  # file, range
    made: _Sequence
    sites: tuple[_Site, ...]


def with_captures(trace: Trace, captures: Iterable[Trace], nodes: Sequence[pl.DataFrame] = ()) -> Trace:
    """`trace` with `sites`. `nodes` (schema NODE_SITES) say it by number, and go before what an order says.

    Errors: TraceError where nothing at all can be joined.
    """
    graphs = _graphs(trace)
    if not graphs:
        raise TraceError(
            f"no kernel in {trace.source!r} says which node of a graph it is, so that no capture can be joined to it; "
            "expected kernels of replays with 'graph node id', as torch 2.10 and later write them on NVIDIA GPUs"
        )
    made = [one for capture in captures for one in _captures(capture)]
    found = [frame.select(*NODE_SITES) for frame in nodes]
    kernels = {nodes: graph for nodes, graph in graphs.items() if set(graph.kinds) == {"kernel"}}
    found.append(_joined(kernels, [_kernels(one) for one in made]))
    found.append(_joined({nodes: graph for nodes, graph in graphs.items() if nodes not in kernels}, made))
    sites = pl.concat(found).group_by("node", maintain_order=True).agg(pl.all().drop_nulls().first())
    events = trace.gpu.with_columns(node_number()).filter(pl.col("node").is_not_null())
    sites = sites.filter(pl.col("node").is_in(events["node"].implode()))
    if not sites.height:
        raise TraceError(_nothing(trace, graphs, made, bool(nodes)))
    bare = events.filter(~pl.col("node").is_in(sites["node"].implode()))
    if not bare.height:
        return replace(trace, sites=sites)
    detail = "kernels of replays are of graphs that no capture fits: they keep their own names alone"
    said = Finding(code="unnamed_replays", detail=detail, count=bare.height, events=proof(bare))
    return replace(trace, sites=sites, findings=(*trace.findings, said))


def _nothing(trace: Trace, graphs: dict[tuple[int, ...], _Sequence], made: list[_Capture], listed: bool) -> str:
    if not made:
        seen = "none of the nodes listed is in it" if listed else "the capture traces hold no stream capture"
        return f"nothing to join to {trace.source!r}: {seen}; expected a trace of the capture itself, or its stacks"
    sizes = ", ".join(str(n) for n in sorted({len(one.kinds) for one in graphs.values()})[:5])
    counts = ", ".join(str(n) for n in sorted({len(one.sites) for one in made})[:5])
    return (
        f"no capture fits a graph of {trace.source!r}: its graphs have {sizes} nodes, the captures {counts} launches; "
        "expected the captures of the same process, rank and start of the server"
    )


def _graphs(trace: Trace) -> dict[tuple[int, ...], _Sequence]:
    """Nodes in their order -> what they are, a graph each."""
    events = trace.gpu.with_columns(node_number()).filter(pl.col("node").is_not_null())
    nodes = events.unique("node", keep="first", maintain_order=True).sort("node")
    grouped = nodes.with_columns(of=pl.col("node") // (1 << 32)).group_by("of", maintain_order=True)
    rows = grouped.agg("node", "kind", "name").select("node", "kind", "name").iter_rows()
    return {tuple(node): _Sequence(tuple(kind), tuple(name)) for node, kind, name in rows}


def _captures(trace: Trace) -> Iterator[_Capture]:
    """The captures of one trace, in the order of time."""
    launches = _launches(trace)
    if not launches.height:
        return
    where = launches.rename({name: f"launch_{name}" for name in ("process", "thread", "start_ns")})
    sites = LaunchSites(trace)
    told = {
        "module": sites.module_paths(where),
        "operator": sites.operators(where),
        "line": sites.lines(where),
        "range": innermost(trace.ranges, where),
    }
    frame = launches.select("capture", "kind").with_columns(
        pl.struct(column.alias(name) for name, column in told.items()).alias("site"),
        innermost(trace.ops.with_columns(kind=pl.lit("op")), where).alias("name"),
    )
    for _, rows in frame.group_by("capture", maintain_order=True):
        held = tuple(tuple(site[name] for name in _TOLD) for site in rows["site"])
        made = _Sequence(tuple(rows["kind"]), tuple(rows["name"]))
        ranges = {site[_TOLD.index("range")] for site in held}
        yield _Capture((trace.source, ranges.pop() if len(ranges) == 1 else None), made, held)


def _launches(trace: Trace) -> pl.DataFrame:
    """process, thread, start_ns, kind (kernel, memcpy, memset), capture: of each launch in one, none in another."""
    marks = trace.calls.filter(pl.col("name").str.contains(_MARK)).sort(*_LANE, "start_ns")
    begins = pl.col("name").str.contains("(?i)BeginCapture")
    spans = marks.with_columns(
        begins=begins, until=pl.when(~begins.shift(-1).over(_LANE)).then(pl.col("start_ns").shift(-1).over(_LANE))
    )
    spans = spans.filter("begins", pl.col("until").is_not_null()).sort("start_ns").with_row_index("capture")
    spans = spans.select(pl.col("process").fill_null(-1), "thread", "capture", "until", at="start_ns")
    name = pl.col("name")
    made = name.str.contains(f"{LAUNCHES_KERNEL}|{MOVES}") & ~name.str.contains(GRAPH_LAUNCH)
    calls = trace.calls.filter(made).sort(*_LANE, "start_ns", pl.col("dur_ns"), descending=[False] * 3 + [True])
    reach = (pl.col("start_ns") + pl.col("dur_ns")).cum_max().shift(1).over(_LANE)
    calls = calls.filter(reach.is_null() | (pl.col("start_ns") >= reach)).sort("start_ns")
    calls = calls.with_columns(pl.col("process").fill_null(-1))
    moved = pl.when(name.str.contains("(?i)memset|memoryfill")).then(pl.lit("memset")).otherwise(pl.lit("memcpy"))
    kind = pl.when(name.str.contains(MOVES)).then(moved).otherwise(pl.lit("kernel"))
    calls = calls.select(*_LANE, "start_ns", kind.alias("kind"))
    for number, by in enumerate((["process", "thread"], ["process"])):  # its own thread's capture before another's
        held = calls.join_asof(
            spans.select(*by, "at", **{f"capture_{number}": "capture", f"until_{number}": "until"}),
            left_on="start_ns",
            right_on="at",
            by=by,
            check_sortedness=False,
        )
        inside_ = pl.col("start_ns") < pl.col(f"until_{number}")
        calls = held.with_columns(pl.when(inside_).then(f"capture_{number}").alias(f"capture_{number}"))
        calls = calls.drop(f"until_{number}", "at", strict=False)
    found = calls.with_columns(capture=pl.coalesce("capture_0", "capture_1")).filter(pl.col("capture").is_not_null())
    process = pl.when(pl.col("process") >= 0).then("process")
    return found.sort("capture", "start_ns").select(process, "thread", "start_ns", "kind", "capture")


def _kernels(capture: _Capture) -> _Capture:
    """The capture without copies and sets."""
    kept = [k for k, kind in enumerate(capture.made.kinds) if kind == "kernel"]
    made = _Sequence(("kernel",) * len(kept), tuple(capture.made.names[k] for k in kept))
    return replace(capture, made=made, sites=tuple(capture.sites[k] for k in kept))


def _joined(graphs: dict[tuple[int, ...], _Sequence], made: Sequence[_Capture]) -> pl.DataFrame:
    """A row a node of every graph that a capture fits."""
    alike: dict[_Sequence, list[_Capture]] = defaultdict(list)
    for capture in made:
        alike[capture.made].append(capture)
    by_kinds: dict[tuple[str, ...], list[_Sequence]] = defaultdict(list)
    for sequence in alike:
        by_kinds[sequence.kinds].append(sequence)
    fitting: dict[tuple[_Sequence, ...], list[tuple[int, ...]]] = defaultdict(list)
    for nodes, graph in graphs.items():
        fits = tuple(one for one in by_kinds.get(graph.kinds, ()) if _fits(one, graph))
        if fits:
            fitting[fits].append(nodes)
    rows = []
    for fits, of_graphs in fitting.items():
        held = [capture for capture in made if capture.made in fits]
        for nodes, candidates in zip(of_graphs, _candidates(held, len(of_graphs)), strict=True):
            for node, *sites in zip(nodes, *(one.sites for one in candidates), strict=True):
                rows.append((node, *(_agreed(values) for values in zip(*sites, strict=True))))
    return pl.DataFrame(rows, schema=NODE_SITES, orient="row")


def _fits(made: _Sequence, graph: _Sequence) -> bool:
    """Whether no operator is called as another kernel of the graph, and no kernel as another launch's operator."""
    names = {name for name in made.names if name is not None} & set(graph.names)
    both = zip(made.names, graph.names, strict=True)
    return all(op == kernel or (op not in names and kernel not in names) for op, kernel in both)


def _candidates(captures: Sequence[_Capture], graphs: int) -> Iterator[list[_Capture]]:
    """For each of so many graphs the captures that may have made it: the same piece of every place, else any."""
    places: dict[tuple[str, str | None], list[_Capture]] = defaultdict(list)
    for capture in captures:
        places[capture.place].append(capture)
    pieces = {len(held) for held in places.values()}
    size = pieces.pop() if len(pieces) == 1 else 0
    for number in range(graphs):
        even = size and graphs % size == 0
        yield [held[number % size] for held in places.values()] if even else list(captures)


def _agreed(values: tuple[str | None, ...]) -> str | None:
    return values[0] if len(set(values)) == 1 else None
