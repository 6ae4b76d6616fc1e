"""For vLLM: rotary embedding and `reshape_and_cache_flash` of its Ernie and Qwen-VL layers in one launch.

Stands in for `MRotaryEmbedding` and `Ernie4_5_VLRotaryEmbedding` (`vllm.model_executor.layers.rotary_embedding`) called
as `(positions, query, key)`, then `reshape_and_cache_flash(key, value, key_cache, value_cache, slot_mapping,
kv_cache_dtype, k_scale, v_scale)`, as of vLLM 0.33.0. Imports nothing of vLLM.
"""

from __future__ import annotations

import torch

from integrations.cache_write import RotaryCacheWrite

_KINDS = ("auto", "float16", "bfloat16", "fp8", "fp8_e4m3")


def rope_and_cache_flash(
    layer: RotaryCacheWrite,
    positions: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(query, key) as vLLM's rotary embedding returns them, the cache written. `slot_mapping`: -1 is skipped.

    Errors: ValueError for a cache kind that is neither the model's own nor fp8 e4m3.
    """
    if kv_cache_dtype not in _KINDS:
        raise ValueError(f"kv_cache_dtype {kv_cache_dtype!r}; expected {', '.join(map(repr, _KINDS))}")
    tokens = slot_mapping.shape[0]  # vLLM pads query and key beyond the slots
    rows = (x[:tokens].view(tokens, -1) for x in (query, key, value))  # never a copy: q and k are written
    scales = (None, None) if key_cache.dtype == query.dtype else (k_scale.float(), v_scale.float())
    layer.write(positions[..., :tokens], *rows, key_cache, value_cache, slot_mapping, *scales, keep_k=True)
    return query, key
