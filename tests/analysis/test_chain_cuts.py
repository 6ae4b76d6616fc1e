"""Laws of cuts: the kernels that always follow a chain are told from it by the host's own time, and by nothing less."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rope_prof.analysis.chains.chains import chains
from rope_prof.model.trace import CPU_OPS, GPU_EVENTS, HOST_CALLS, OVERHEADS, RANGES, Trace, empty

#: The eager rotary embedding: gather, reorder, then per tensor a rotation and two concatenations.
TURN = ("copy", "copy", "mul", "mul", "sub", "mul", "mul", "add", "cat", "cat")
ROPE = ("gather", "cat", "cat", "cat", "cat", *TURN, *TURN)
NORM = ("cast", "pow", "mean", "add_eps", "rsqrt", "mul_scale", "cast_back", "mul_weight")
#: What stands after the rotary embedding in every layer: keys and values join the cache.
CACHE = ("cat", "cat")


class Host:
    """A host that calls operators one after the other, each of them launching one kernel."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0
        self.free = 0
        self.rows: dict[str, list[dict[str, Any]]] = {"gpu": [], "calls": [], "ops": [], "ranges": []}

    def function(self, names: tuple[str, ...], bare_ns: int = 60_000) -> int:
        """Code outside operators for about `bare_ns`, then one operator after the other; the first kernel's start."""
        self.now += bare_ns + self.rng.randrange(bare_ns // 5)
        begin = self.now
        starts = [self._operator(name) for name in names]
        who = {"name": "", "kind": "record_function", "process": 9, "thread": 1}
        self.rows["ranges"].append({"start_ns": begin, "dur_ns": self.now - begin} | who)
        return starts[0]

    def _operator(self, name: str, ns: int = 1500) -> int:
        number = len(self.rows["calls"])
        begin = self.now + self.rng.randrange(2000, 12_000)
        launch = begin + self.rng.randrange(4000, 40_000)
        self.now = launch + 6000
        who = {"process": 9, "thread": 1}
        self.rows["ops"].append({"name": f"aten::{name}", "start_ns": begin, "dur_ns": self.now - begin} | who)
        call = {"name": "cudaLaunchKernel", "api": "runtime", "start_ns": launch, "dur_ns": 4000}
        self.rows["calls"].append(call | who | {"correlation": number})
        start = max(launch + 5000, self.free)
        heavy = name in {"gemm", "flash_fwd"}
        self.free = start + (50_000 if heavy else ns + self.rng.randrange(400))
        event = {"kind": "kernel", "name": name, "device": "0", "stream": 7, "start_ns": start}
        self.rows["gpu"].append(event | {"dur_ns": self.free - start, "correlation": number})
        return start

    def trace(self, *, operators: bool = True, ranges: bool = False) -> Trace:
        return Trace(
            format="kineto",
            source="host",
            gpu=pl.DataFrame(self.rows["gpu"], schema=GPU_EVENTS),
            calls=pl.DataFrame(self.rows["calls"], schema=HOST_CALLS),
            ranges=pl.DataFrame(self.rows["ranges"], schema=RANGES) if ranges else empty(RANGES),
            ops=pl.DataFrame(self.rows["ops"], schema=CPU_OPS) if operators else empty(CPU_OPS),
            overheads=empty(OVERHEADS),
            events=0,
        )


def _model(seed: int, layers: int) -> tuple[Host, list[int]]:
    """A whole model without ranges: norm, products, rope, cache, attention, norm, experts; the last layer differs."""
    host = Host(seed)
    planted = []
    for layer in range(layers):
        host.function(NORM)
        host.function(("gemm", "gemm", "gemm"))
        planted.append(host.function(ROPE))
        host.function(CACHE)
        host.function(("flash_fwd", "gemm"))
        host.function(NORM)
        host.function(("gemm", "softmax", "topk", *(f"route_{host.rng.randrange(4)}" for _ in range(3)), "gemm"))
        host.function(("mul_gate", "index_add") if layer + 1 < layers else ("take_last", "mul_gate"))
    return host, planted


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(8, 30), st.booleans())
def test_the_rope_chain_of_a_whole_model_ends_where_its_function_ends(seed: int, layers: int, ranges: bool) -> None:
    host, planted = _model(seed, layers)
    found = chains(host.trace(operators=not ranges, ranges=ranges))
    first = found.chains[0]
    assert (first.rank, first.names, first.calls) == (1, ROPE, layers)
    assert found.calls.filter(pl.col("rank") == 1)["first_start_ns"].to_list() == planted
    assert any(chain.names == CACHE and chain.calls == layers for chain in found.chains)


@pytest.mark.parametrize("seed", range(4))
def test_without_operators_nothing_says_where_a_function_ends(seed: int) -> None:
    host, _ = _model(seed, 12)
    assert chains(host.trace(operators=False)).chains[0].names == ROPE + CACHE


@pytest.mark.parametrize("seed", range(4))
def test_a_step_that_does_not_stand_out_cuts_nothing(seed: int) -> None:
    host = Host(seed)
    for _ in range(12):
        host.function(("gemm",))
        host.function(ROPE)
        host.function(CACHE, bare_ns=2000)
    assert chains(host.trace()).chains[0].names == ROPE + CACHE


@pytest.mark.parametrize("seed", range(4))
def test_two_equal_functions_in_a_row_are_one_chain_called_twice(seed: int) -> None:
    host = Host(seed)
    for _ in range(9):
        host.function(("gemm",))
        host.function(ROPE)
        host.function(ROPE)
    first = chains(host.trace()).chains[0]
    assert (first.names, first.calls) == (ROPE, 18)


def test_a_range_around_a_single_operator_cuts_nothing() -> None:
    """As `emit_nvtx` records them: they say nothing of functions."""
    host, _ = _model(5, 12)
    host.rows["ranges"] = [
        {"name": "", "kind": "nvtx", "process": 9, "thread": 1, "start_ns": op["start_ns"], "dur_ns": op["dur_ns"]}
        for op in host.rows["ops"]
    ]
    assert chains(host.trace(operators=False, ranges=True)).chains[0].names == ROPE + CACHE


def test_the_parts_of_a_cut_sum_to_the_whole() -> None:
    host, _ = _model(3, 16)
    whole = chains(host.trace(operators=False)).chains[0]
    parts = {chain.names: chain for chain in chains(host.trace()).chains}
    assert parts[ROPE].kernel_ns + parts[CACHE].kernel_ns == whole.kernel_ns
    assert parts[ROPE].bubble_ns + parts[CACHE].bubble_ns < whole.bubble_ns
