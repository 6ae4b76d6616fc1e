"""The float64 oracle: reads like the formula, and decides what "correct" means."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from rope_prof.kernels.mrope.inputs import angles
from rope_prof.kernels.mrope.shape import MropeShape


def reference(x: torch.Tensor, positions: torch.Tensor, shape: MropeShape) -> torch.Tensor:
    """`x [N, H*D]` of any dtype, `positions [3, N]` or `[N]` -> `[N, H*D]` float64, not yet rounded."""
    rows = positions.expand(3, -1) if positions.dim() == 1 else positions
    half = shape.pairs
    axis = torch.tensor(shape.axes(), device=x.device)
    turn = angles(shape, rows).gather(0, torch.cat([axis, axis]).expand(1, rows.shape[1], -1))[0]
    cos, sin = turn[:, None, :half], turn[:, None, half:]
    heads = x.reshape(x.shape[0], x.shape[1] // shape.head_dim, shape.head_dim).to(torch.float64)
    rotary = heads[..., : shape.rotary_dim]
    first, second = (
        (rotary[..., 0::2], rotary[..., 1::2])
        if shape.pairing == "interleaved"
        else (rotary[..., :half], rotary[..., half:])
    )
    turned_first, turned_second = first * cos - second * sin, second * cos + first * sin
    out = heads.clone()
    if shape.pairing == "interleaved":
        out[..., 0 : shape.rotary_dim : 2], out[..., 1 : shape.rotary_dim : 2] = turned_first, turned_second
    else:
        out[..., :half], out[..., half : shape.rotary_dim] = turned_first, turned_second
    return out.reshape(x.shape)


@dataclass(frozen=True, slots=True)
class Error:
    """How far an output lies from the oracle: largest absolute error, share correctly rounded, count of NaN."""

    max_error: float
    rounded_share: float
    nans: int


def error(outputs: tuple[torch.Tensor, ...], exact: tuple[torch.Tensor, ...]) -> Error:
    """`outputs` against the oracle's `exact` (float64); correctly rounded = the oracle rounded once to the dtype."""
    worst, right, total, nans = 0.0, 0, 0, 0
    for out, want in zip(outputs, exact, strict=True):
        if out.shape != want.shape:
            raise ValueError(f"the path returned {tuple(out.shape)}; expected {tuple(want.shape)}")
        if not out.numel():
            continue
        worst = max(worst, float((out.to(torch.float64) - want).abs().nan_to_num(nan=0.0).max()))
        right += int((out == want.to(out.dtype)).sum())
        total += out.numel()
        nans += int(out.isnan().sum())
    return Error(max_error=worst, rounded_share=right / total if total else 1.0, nans=nans)
