"""Kernels of replays are named by the launches of their capture: by the order of nodes, or by their numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.chains.chains import chains
from rope_prof.analysis.fixes.places import place_of
from rope_prof.analysis.trace.analyze import analyze, gap_table
from rope_prof.analysis.trace.captured import with_captures
from rope_prof.analysis.trace.launches import launched
from rope_prof.analysis.trace.sites import LaunchSites
from rope_prof.errors import TraceError
from rope_prof.model.trace import NODE_SITES, Trace
from tests.builders import Drawn, call, kernel, op, python, range_, trace

#: What a layer launches: operator, kernel, module; Triton's operator is called as its kernel.
LAYER = (
    ("aten::mm", "gemm", "Linear"),
    ("triton_rope", "triton_rope", "Rope"),
    ("triton_norm", "triton_norm", "Norm"),
    ("aten::add", "add", "Add"),
)
Launches = list[tuple[str, str, str, int]]


def model(layers: int) -> Launches:
    """operator, kernel, module, layer of each launch."""
    return [(*one, layer) for layer in range(layers) for one in LAYER]


def capture(launches: Launches, at: int = 0, name: str | None = None, **moved: int) -> list[Drawn]:
    """The host while it captures; `moved`: a copy of a graph in the place of that launch."""
    drawn = [call("cudaStreamBeginCapture", at, at + 5)]
    end = at + 10
    for number, (operator, _, module, layer) in enumerate(launches):
        by = "cudaMemcpyAsync" if number in moved.values() else "cuLaunchKernel"
        drawn += [
            python(f"nn.Module: Layer_{layer}", end, end + 90),
            python(f"nn.Module: {module}_{layer}", end + 5, end + 80),
            python(f"model.py({30 + number % 4}): forward", end + 6, end + 70),
            op(operator, end + 10, end + 60),
            call(by, end + 20, end + 40, correlation=at + number + 1),
        ]
        end += 100
    drawn.append(call("cudaStreamEndCapture", end, end + 5))
    return [*drawn, range_(name, at - 5, end + 10)] if name else drawn


def replays(*graphs: tuple[int, Launches], times: int = 2, first: int = 10, whole: bool = False) -> Trace:
    """Each graph (id, launches) replayed in turn: kernels of 800 ns, 200 ns apart; a step is 100 µs or longer."""
    drawn: list[Drawn] = []
    for step in range(times):
        for place, (number, launches) in enumerate(graphs):
            at, correlation = 100_000 * (step * len(graphs) + place + 1), 1000 * step + place + 1
            drawn.append(call("cudaGraphLaunch", at, at + 50, correlation=correlation))
            for k, (_, name, _, _) in enumerate(launches):
                node = first + 2 * k
                begin = at + 1_000 * (k + 1)
                where: dict[str, Any] = {"graph": number, "graph_node": (number << 32) + node if whole else node}
                drawn.append(kernel(begin, begin + 800, name=name, correlation=correlation, **where))
    return trace(*drawn)


def modules(found: Trace) -> dict[int, str | None]:
    return dict(found.sites.select("node", "module").sort("node").iter_rows())


@pytest.mark.parametrize("whole", [True, False])
def test_the_kth_launch_of_a_capture_is_the_kth_node(whole: bool) -> None:
    """Nodes are numbered with gaps, as a capture makes event nodes too; with the graph's id in the number or beside."""
    held = with_captures(replays((5, model(2)), whole=whole), [trace(capture(model(2)))])
    assert list(modules(held)) == [(5 << 32) + 10 + 2 * k for k in range(8)]
    assert list(modules(held).values())[:5] == [
        *("Layer_0/Linear_0", "Layer_0/Rope_0", "Layer_0/Norm_0", "Layer_0/Add_0", "Layer_1/Linear_1")
    ]
    first = held.sites.row(0, named=True)
    assert (first["operator"], first["line"]) == ("aten::mm", "model.py(30): forward")
    assert not held.findings


def test_a_capture_of_another_length_or_another_order_fits_no_graph() -> None:
    other = model(2)
    other[1], other[2] = other[2], other[1]
    for launches in (model(1), other):
        with pytest.raises(TraceError, match="no capture fits a graph"):
            with_captures(replays((5, model(2))), [trace(capture(launches))])


def test_what_captures_of_several_batch_sizes_do_not_all_say_is_not_said() -> None:
    shifted = [
        (operator, name, module, layer + (7 if module == "Add" else 0)) for operator, name, module, layer in model(1)
    ]
    both = trace(capture(model(1), 0, "capture_8_FULL"), capture(shifted, 10_000, "capture_16_FULL"))
    held = with_captures(replays((5, model(1))), [both])
    assert list(modules(held).values()) == ["Layer_0/Linear_0", "Layer_0/Rope_0", "Layer_0/Norm_0", None]
    assert held.sites["range"].to_list() == [None] * 4 and held.sites["operator"].null_count() == 0


def test_pieces_are_taken_in_their_order_in_each_place() -> None:
    """vLLM's piecewise captures: alike layer by layer, so that the order alone tells them."""
    pieces = [[(*one, layer) for one in LAYER] for layer in range(3)]
    both = [
        capture(piece, 1_000_000 * size + 1_000 * k, f"capture_{size}_PIECEWISE")
        for size in (8, 16)
        for k, piece in enumerate(pieces)
    ]
    graphs = [(20 + k, piece) for k, piece in enumerate(pieces)]
    held = with_captures(replays(*graphs), [trace(*both)])
    assert [name for name in modules(held).values() if name and "Norm" in name] == [
        "Layer_0/Norm_0",
        "Layer_1/Norm_1",
        "Layer_2/Norm_2",
    ]
    uneven = with_captures(replays(*graphs[:2]), [trace(*both)])
    assert set(modules(uneven).values()) == {None}  # which two of the three is not known
    assert uneven.sites["operator"].to_list()[:2] == ["aten::mm", "triton_rope"]


def test_copies_count_where_the_profiler_numbers_them_and_only_there() -> None:
    drawn = capture(model(1), moved=0)
    held = with_captures(replays((5, model(1)[1:])), [trace(drawn)])
    assert list(modules(held).values()) == ["Layer_0/Rope_0", "Layer_0/Norm_0", "Layer_0/Add_0"]
    numbered = replays((5, model(1)))
    kinds = pl.when(pl.col("name") == "gemm").then(pl.lit("memcpy")).otherwise("kind")
    whole = with_captures(replace(numbered, gpu=numbered.gpu.with_columns(kind=kinds)), [trace(drawn)])
    assert next(iter(modules(whole).values())) == "Layer_0/Linear_0"


def test_launches_outside_a_capture_and_calls_inside_a_launch_are_none() -> None:
    noise = [call("cudaLaunchKernel", -50, -40, correlation=90), call("cudaLaunchKernel", 9_000, 9_010, correlation=91)]
    inner = [call("cuLaunchKernel", 32, 35, correlation=92)]  # by the runtime's launch around it
    held = with_captures(replays((5, model(1))), [trace(noise, capture(model(1)), inner)])
    assert len(modules(held)) == 4


def test_a_list_of_nodes_is_joined_by_number_and_keeps_what_the_order_says() -> None:
    told = pl.DataFrame(
        [dict.fromkeys(NODE_SITES) | {"node": (5 << 32) + 10, "line": "serve.py(9): decode"}], schema=NODE_SITES
    )
    held = with_captures(replays((5, model(1))), [trace(capture(model(1)))], [told])
    first = held.sites.sort("node").row(0, named=True)
    assert (first["line"], first["module"]) == ("serve.py(9): decode", "Layer_0/Linear_0")
    alone = with_captures(replays((5, model(1))), [], [told])
    assert alone.sites.height == 1 and alone.findings[0].code == "unnamed_replays"
    assert (alone.findings[0].count, analyze(alone).integrity.verdict) == (6, "sound")
    with pytest.raises(TraceError, match="none of the nodes listed is in it"):
        with_captures(replays((6, model(1))), [], [told])


def test_without_nodes_or_captures_it_is_one_sentence() -> None:
    with pytest.raises(TraceError, match="says which node of a graph it is"):
        with_captures(trace(kernel(0, 10)), [trace(capture(model(1)))])
    with pytest.raises(TraceError, match="hold no stream capture"):
        with_captures(replays((5, model(1))), [trace(call("cudaLaunchKernel", 0, 10, correlation=1))])


def test_graphs_that_no_capture_fits_are_counted() -> None:
    held = with_captures(replays((5, model(1)), (6, model(2))), [trace(capture(model(1)))])
    assert [(one.code, one.count) for one in held.findings] == [("unnamed_replays", 16)]


def test_chains_ranges_gaps_and_fixes_speak_of_modules() -> None:
    held = with_captures(replays((5, model(4)), times=8), [trace(capture(model(4)))])
    answer = analyze(held)
    use = {one.name: one for one in answer.ranges}
    assert (use["Layer_*"].calls, use["Layer_*"].kernels, use["Layer_*"].kernel_ns) == (32, 128, 128 * 800)
    assert use["Layer_*"].idle_by_cause_ns == {"in_graph": 32 * 3 * 200}
    assert (use["Norm_*"].calls, use["Norm_*"].busy_ns) == (32, 32 * 800)
    (one,) = analyze(held, range_pattern="Layer_2").ranges
    assert (one.name, one.calls, one.kernels) == ("Layer_2", 8, 32)
    gaps = gap_table(held).filter(pl.col("cause") == "in_graph")
    assert gaps["module"].to_list()[:3] == ["Layer_0/Rope_0", "Layer_0/Norm_0", "Layer_0/Add_0"]
    assert set(gaps["operator"]) == {operator for operator, *_ in LAYER}
    first = chains(held).chains[0]
    told = dict(zip(first.names, first.modules, strict=True))
    assert told["triton_norm"] == "Layer_*/Norm_*" and told["add"] == "Layer_*/Add_*"
    last = launched(held).sort("start_ns").row(-1, named=True)
    place = place_of(LaunchSites(held), last)
    assert (place.module, place.operator, place.line) == ("Layer_3/Add_3", "aten::add", "model.py(33): forward")


def test_a_trace_without_captures_says_what_it_said() -> None:
    bare = replays((5, model(2)))
    assert not analyze(bare).ranges and all(chain.modules == () for chain in chains(bare).chains)
    assert gap_table(bare)["module"].null_count() == gap_table(bare).height
