"""One layer's rotary embedding and cache write, made of a server's own embedding object: what both adapters share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from rope_prof.kernels.mrope.inputs import cos_sin_cache
from rope_prof.kernels.mrope.shape import MropeShape, Order
from rope_prof.kernels.mrope_kv.cache import FP8, Layout
from rope_prof.kernels.mrope_kv.fused import fused

#: The servers' classes whose order and table are known here; others are YaRN's, GLM's, Bailing's and more.
_CLASSES = ("RotaryEmbedding", "MRotaryEmbedding", "Ernie4_5_VLRotaryEmbedding")
#: What makes another of them: YaRN's table (vLLM), one that starts later and GLM's order (SGLang).
_OTHER = ("scaling_factor", "position_start", "mrope_interleaved_glm")


def shape_of_embedding(embedding: Any, q_heads: int, kv_heads: int) -> MropeShape:
    """The shape of a rank's layer from the attributes that vLLM and SGLang give their embeddings.

    Ernie's section is in the order [h, w, t], that of the others [t, h, w]; without one, positions are text's alone.
    Errors: ValueError for sections that the shape cannot hold, and for another order or table.
    """
    name = type(embedding).__name__
    strange = [f"{each} {value!r}" for each in _OTHER if (value := getattr(embedding, each, None))]
    if name not in _CLASSES or strange:
        raise ValueError(
            f"the embedding is {' with '.join([name, *strange])}; expected {', '.join(_CLASSES)} with a plain table: "
            "keep the server's own call for any other"
        )
    pairs = embedding.rotary_dim // 2
    section = list(getattr(embedding, "mrope_section", None) or [])
    ernie = "Ernie" in name
    order: Order = "ernie" if ernie else "interleaved" if getattr(embedding, "mrope_interleaved", False) else "chunked"
    if not section:
        sections, order = (pairs, 0, 0), "chunked"
    else:
        sections = (section[2], section[0], section[1]) if ernie else (section[0], section[1], section[2])
    return MropeShape(
        model=name,
        q_heads=q_heads,
        kv_heads=kv_heads,
        hidden=q_heads * embedding.head_size,
        layers=1,
        head_dim=embedding.head_size,
        rotary_dim=embedding.rotary_dim,
        sections=sections,
        order=order,
        pairing="neox" if embedding.is_neox_style else "interleaved",
        theta=float(embedding.base),
        max_position=int(embedding.max_position_embeddings),
    )


@dataclass(frozen=True, slots=True)
class RotaryCacheWrite:
    """A layer's `write`. The table is that of the shape, made once a device from float64 angles."""

    shape: MropeShape
    layout: Layout = "NHD"
    settled: bool = True

    @classmethod
    def of(
        cls, embedding: Any, q_heads: int, kv_heads: int, layout: Layout = "NHD", *, settled: bool = True
    ) -> RotaryCacheWrite:
        """For a server's embedding and one rank's heads."""
        return cls(shape_of_embedding(embedding, q_heads, kv_heads), layout, settled)

    def write(
        self,
        positions: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        k_cache: torch.Tensor,
        v_cache: torch.Tensor,
        slots: torch.Tensor,
        k_scale: torch.Tensor | None = None,
        v_scale: torch.Tensor | None = None,
        *,
        keep_k: bool = False,
    ) -> None:
        """q in place, k and v to their slots; bytes that a server calls uint8 are fp8. See `fused` for the rest."""
        k_cache, v_cache = (x.view(FP8) if x.dtype == torch.uint8 else x for x in (k_cache, v_cache))
        scales = (k_scale, v_scale) if k_cache.dtype == FP8 else (None, None)
        table = cos_sin_cache(self.shape, query.device)
        fused(
            query, key, value, positions, table, k_cache, v_cache, slots, *scales, self.shape, self.layout,
            keep_k=keep_k, settled=self.settled,
        )  # fmt: skip
