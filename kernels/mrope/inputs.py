"""Inputs as a server has them: positions of a prompt with images, strided views of a packed qkv, the cos/sin table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from rope_prof.kernels.mrope.shape import AXIS_H, AXIS_T, AXIS_W, MropeShape
from rope_prof.kernels.operation import DTYPES

Prompt = Literal["image", "text", "random"]
PROMPTS: tuple[Prompt, ...] = ("image", "text", "random")


@dataclass(frozen=True, slots=True)
class Inputs:
    """One call's tensors. `q [N, Hq*D]` and `k [N, Hkv*D]` are views of `qkv [N, (Hq+2Hkv)*D]`, last stride 1."""

    qkv: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    positions: torch.Tensor
    cos_sin_cache: torch.Tensor


def segments_positions(segments: Sequence[int | tuple[int, int, int]]) -> torch.Tensor:
    """`positions [3, N]` int64, rows (t, h, w), of text runs (an int) and images or videos (frames, rows, columns).

    Text after an image starts at the maximum so far + 1, so positions are not monotonic and max(position) < N.
    Source: the get_rope_index of the model's own processor, as served.
    """
    rows: list[torch.Tensor] = []
    start = 0
    for segment in segments:
        if isinstance(segment, int):
            part = torch.arange(segment, dtype=torch.int64).expand(3, -1)
        else:
            frames, height, width = segment
            grid = torch.meshgrid(*(torch.arange(n) for n in (frames, height, width)), indexing="ij")
            part = torch.stack([axis.reshape(-1) for axis in grid])
        if part.shape[1]:
            rows.append(part + start)
            start += int(part.max()) + 1
    return torch.cat(rows, dim=1) if rows else torch.empty(3, 0, dtype=torch.int64)


def prompt_positions(shape: MropeShape, tokens: int, prompt: Prompt = "image", seed: int = 0) -> torch.Tensor:
    """`positions [3, tokens]` int64 on the CPU, rows (t, h, w).

    `image`: text, then images of at most 28 x 30 merged patches (one image up to about a thousand tokens, as in the
    pull request's request of 973), text between and after. `text`: three equal rows. `random`: three independent
    rows over the whole table, the worst case for a cache. One token is a decode step at an uneven place.
    """
    if prompt == "random":
        generator = torch.Generator().manual_seed(seed)
        return torch.randint(0, shape.max_position, (3, tokens), generator=generator)
    if prompt == "text":
        return segments_positions([tokens]).remainder(shape.max_position)
    if tokens == 1:
        return torch.tensor([[146], [161], [158]], dtype=torch.int64)
    segments: list[int | tuple[int, int, int]] = []
    left = tokens
    while left > 0:
        text = min(left, 61 if left > 256 else max(1, left // 8))
        height = min(28, max(2, int(left**0.5 * 0.9)))
        width = min(30, max(2, (left - text) // (height + 1)))
        segments.append(text)
        left -= text
        if height * width <= left:
            segments.append((1, height, width))
            left -= height * width
    return segments_positions(segments).remainder(shape.max_position)


@lru_cache(maxsize=8)
def cos_sin_cache(shape: MropeShape, device: torch.device | str = "cpu") -> torch.Tensor:
    """`[max_position, rotary_dim]` fp32 = `[cos | sin]`, from float64 angles rounded once."""
    return angles(shape, torch.arange(shape.max_position)).to(torch.float32).to(device)


def angles(shape: MropeShape, positions: torch.Tensor) -> torch.Tensor:
    """`[..., rotary_dim]` float64 = `[cos | sin]` of `position * theta^(-2i/rotary_dim)` for `positions [...]`."""
    index = torch.arange(shape.pairs, dtype=torch.float64, device=positions.device)
    frequency = torch.pow(
        torch.tensor(shape.theta, dtype=torch.float64, device=positions.device), -2 * index / shape.rotary_dim
    )
    angle = positions.to(torch.float64).unsqueeze(-1) * frequency
    return torch.cat([angle.cos(), angle.sin()], dim=-1)


def make_inputs(
    shape: MropeShape,
    tokens: int,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    *,
    prompt: Prompt = "image",
    seed: int = 0,
) -> Inputs:
    """Random normal q, k and v in one packed tensor, the positions of a prompt, the fp32 table."""
    return make_ring(shape, tokens, 1, dtype, device, prompt=prompt, seed=seed)[0]


def make_ring(
    shape: MropeShape,
    tokens: int,
    buffers: int,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    *,
    prompt: Prompt = "image",
    seed: int = 0,
) -> list[Inputs]:
    """`buffers` inputs that lie one behind the other in memory and share positions and table, as layers do."""
    generator = torch.Generator(device=device).manual_seed(seed)
    packed = torch.empty(buffers, tokens, shape.row, dtype=dtype, device=device)
    for first in range(0, buffers, 64):
        packed[first : first + 64].normal_(generator=generator)
    where = prompt_positions(shape, tokens, prompt, seed).to(device)
    table = cos_sin_cache(shape, torch.device(device))
    return [views(shape, qkv, where, table) for qkv in packed.unbind(0)]


def views(shape: MropeShape, qkv: torch.Tensor, positions: torch.Tensor, table: torch.Tensor) -> Inputs:
    """The q and k views of `qkv [N, (Hq+2Hkv)*D]`, as the attention layer splits it."""
    q_size, kv_size = shape.q_heads * shape.head_dim, shape.kv_heads * shape.head_dim
    q, k, _ = qkv.split([q_size, kv_size, kv_size], dim=-1)
    return Inputs(qkv=qkv, q=q, k=k, positions=positions, cos_sin_cache=table)


def touched_bytes(shape: MropeShape, tokens: int, dtype: torch.dtype) -> int:
    """Bytes of q and k of one call: what a ring buffer brings into the cache."""
    return tokens * shape.heads * shape.head_dim * dtype.itemsize


__all__ = [
    "AXIS_H",
    "AXIS_T",
    "AXIS_W",
    "DTYPES",
    "PROMPTS",
    "Inputs",
    "Prompt",
    "angles",
    "cos_sin_cache",
    "make_inputs",
    "make_ring",
    "prompt_positions",
    "segments_positions",
    "touched_bytes",
    "views",
]
