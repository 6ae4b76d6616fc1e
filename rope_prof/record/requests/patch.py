"""The one patch: another rope in every decoder layer of the text model, and the stock one back afterwards.

The library computes cos and sin once a forward (`rotary_emb`), hands both to every layer, and each layer's attention
calls the module's function `apply_rotary_pos_emb(q, k, cos, sin)`. While a path is in use, `rotary_emb` hands on the
positions and the fp32 table instead, and that function calls the path on q and k as `[N, H*D]` views. Nothing else of
the model changes. The function is one name of one module: no other model of the process may run meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rope_prof.errors import UnavailableError
from rope_prof.kernels.mrope.inputs import cos_sin_cache
from rope_prof.kernels.mrope.paths import path
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.model.end_to_end import STOCK

APPLY = "apply_rotary_pos_emb"
Rope = Callable[..., Any]
Wrap = Callable[[Rope], Rope]


class RopePatch:
    """Switches the rope of one model between the stock one and paths. Made by `patched`, which restores it."""

    def __init__(self, model: Any, shape: MropeShape) -> None:
        self.model, self.shape = model, shape
        self.table = cos_sin_cache(shape, model.embed_tokens.weight.device)
        self.calls = 0
        self._module: Any = sys.modules[type(model.layers[0].self_attn).__module__]
        if not hasattr(self._module, APPLY) or not hasattr(model, "rotary_emb"):
            raise UnavailableError(
                f"{self._module.__name__} has no {APPLY} beside a model with rotary_emb; expected transformers 5.x"
            )
        self._stock: Rope = getattr(self._module, APPLY)

    def use(self, name: str, *, wrap: Wrap | None = None) -> None:
        """Put the path called `name` into every layer. `wrap` goes around each of its calls (for ranges)."""
        if name == STOCK:
            self.restore()
            setattr(self._module, APPLY, self._counted(wrap(self._stock) if wrap else self._stock))
        else:
            call = path(name).call
            self.use_call(wrap(call) if wrap else call)

    def use_call(self, call: Rope) -> None:
        """Put `call(q, k, positions, table, shape)` into every layer; it returns new (q, k), or None if in place."""
        shape = self.shape

        def rotary_emb(_: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return position_ids.flatten(1), self.table

        def apply(
            q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            # [B, H, N, D] is a view of the projection's [B, N, H*D]; `view` raises where it ever is not.
            rows = positions.shape[1]
            made = call(q.transpose(1, 2).view(rows, -1), k.transpose(1, 2).view(rows, -1), positions, table, shape)
            if made is None:
                return q, k
            new_q, new_k = made
            batch, heads, tokens, dim = q.shape
            return (
                new_q.view(batch, tokens, heads, dim).transpose(1, 2),
                new_k.view(batch, tokens, k.shape[1], dim).transpose(1, 2),
            )

        self.model.rotary_emb.forward = rotary_emb
        setattr(self._module, APPLY, self._counted(apply))

    def _counted(self, call: Rope) -> Rope:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return call(*arguments, **named)

        return counted

    def restore(self) -> None:
        """The model as its library has it."""
        setattr(self._module, APPLY, self._stock)
        self.model.rotary_emb.__dict__.pop("forward", None)


@contextmanager
def patched(model: Any, shape: MropeShape) -> Iterator[RopePatch]:
    """A `RopePatch` of `model`; whatever happens, the stock rope is back at the end."""
    patch = RopePatch(model, shape)
    try:
        yield patch
    finally:
        patch.restore()
