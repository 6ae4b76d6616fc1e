"""Do the paths' logits agree? The float64 oracle's rope in every layer is the arbiter.

The model is run with the oracle's rope rounded to the nearest: those logits are the centre. Rounding the very same
rope up or down at random, a seed at a time, shows how far the logits move by one rounding alone. A path agrees while
its distance from the centre is at most twice the largest such distance.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from rope_prof.kernels.mrope.reference import reference
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import Layout, write_slots
from rope_prof.model.end_to_end import Deviation
from rope_prof.record.requests.patch import RopePatch
from rope_prof.record.requests.steps import StepEngine

SEEDS = 4
#: As for the kernels: twice what rounding alone explains.
LIMIT = 2.0

Pair = tuple[torch.Tensor, torch.Tensor]
Rounding = Callable[[torch.Tensor, torch.dtype], torch.Tensor]


def nearest(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """`exact` float64 rounded once."""
    return exact.to(dtype)


def either_way(generator: torch.Generator) -> Rounding:
    """Up or down at random, the nearer neighbour the more often: right on average, and at most one place off."""

    def rounded(exact: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        near = exact.to(dtype)
        error = exact - near.to(torch.float64)
        toward = torch.where(error > 0, torch.inf, -torch.inf).to(dtype)
        other = torch.nextafter(near, toward)
        step = (other.to(torch.float64) - near.to(torch.float64)).abs()
        chance = torch.rand(exact.shape, generator=generator, device=exact.device, dtype=torch.float64)
        return torch.where((error != 0) & (chance * step < error.abs()), other, near)

    return rounded


def oracle(rounding: Rounding) -> Callable[..., Pair]:
    """The oracle's rope as a path."""

    def call(q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, _: torch.Tensor, shape: MropeShape) -> Pair:
        q_out, k_out = (rounding(reference(x, positions, shape), x.dtype) for x in (q, k))
        return q_out, k_out

    return call


def written(rope: Callable[..., Pair]) -> Callable[..., tuple[torch.Tensor, ...]]:
    """The same with the cache write behind it, as a path of `mrope-kv`."""

    def call(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, table: torch.Tensor,
        k_cache: torch.Tensor, v_cache: torch.Tensor, slots: torch.Tensor, _k_scale: None, _v_scale: None,
        shape: MropeShape, layout: Layout,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        new_q, new_k = rope(q, k, positions, table, shape)
        for cache, rows in ((k_cache, new_k), (v_cache, v)):
            write_slots(cache, layout, slots, rows.view(-1, shape.kv_heads, shape.head_dim))
        return new_q, k_cache, v_cache

    return call


def prompt_logits(engine: StepEngine) -> torch.Tensor:
    """fp32 logits `[vocab]` of the last prompt token, with the rope that is in use."""
    return engine.prefill()[0].flatten().float()


def deviation(logits: torch.Tensor, centre: torch.Tensor) -> Deviation:
    """How far `logits` lie from `centre`. A NaN anywhere gives NaN, which agrees with nothing."""
    off = (logits - centre).abs()
    return Deviation(largest=float(off.max()), rms=float(off.square().mean().sqrt()))


def rounding_spread(engine: StepEngine, patch: RopePatch, seed: int) -> tuple[torch.Tensor, tuple[Deviation, ...]]:
    """(the centre, how far it moves for each of `SEEDS` random roundings). Leaves the stock rope in use."""

    def use(rounding: Rounding) -> None:
        call = oracle(rounding)
        patch.use_call(written(call) if patch.static else call)

    use(nearest)
    centre = prompt_logits(engine)
    found = []
    for k in range(SEEDS):
        generator = torch.Generator(device=centre.device).manual_seed(seed * SEEDS + k)
        use(either_way(generator))
        found.append(deviation(prompt_logits(engine), centre))
    patch.restore()
    return centre, tuple(found)


def allowed(spread: tuple[Deviation, ...]) -> float:
    """The largest root mean square that rounding explains."""
    return LIMIT * max(one.rms for one in spread)
