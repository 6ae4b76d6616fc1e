"""The one patch: another rope in every decoder layer of the text model, and the stock one back afterwards.

The library computes cos and sin once a forward (`rotary_emb`), hands both to every layer, and each layer's attention
calls the module's function `apply_rotary_pos_emb(q, k, cos, sin)`. While a path is in use, `rotary_emb` hands on the
positions and the fp32 table instead, and that function calls the path on q and k as `[N, H*D]` views. A path of
`mrope-kv` is called a line later, in the place of the static cache's `update`, which is the first to hold q, k and v.
Nothing else of the model changes. Function and method are names that all models share: no other model of the process
may run meanwhile.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from rope_prof.errors import UnavailableError
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.mrope.inputs import cos_sin_cache
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.paths import path_of
from rope_prof.model.end_to_end import STOCK

APPLY = "apply_rotary_pos_emb"
Rope = Callable[..., Any]
Wrap = Callable[[Rope], Rope]


class RopePatch:
    """Switches the rope of one model between the stock one and paths. Made by `patched`, which restores it."""

    #: Whose paths it puts in, and whether they write a cache that has its full size from the start.
    operation, static = "mrope", False

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
            call = path_of(operation(self.operation), name).call
            self.use_call(wrap(call) if wrap else call)

    def use_call(self, call: Rope) -> None:
        """Put `call`, with the arguments of a path, into every layer; it returns new tensors, or None if in place."""
        self.model.rotary_emb.forward = self._begin
        self._put(self._counted(call))

    def _begin(self, _: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """In the place of `rotary_emb`, once a forward: (positions `[3, N]`, table)."""
        return position_ids.flatten(1), self.table

    def _put(self, call: Rope) -> None:
        shape = self.shape

        def apply(
            q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            made = call(_rows(q), _rows(k), positions, table, shape)
            if made is None:
                return q, k
            new_q, new_k = made
            return _heads(new_q, q), _heads(new_k, k)

        setattr(self._module, APPLY, apply)

    def _counted(self, call: Rope) -> Rope:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            return call(*arguments, **named)

        return counted

    def restore(self) -> None:
        """The model as its library has it."""
        setattr(self._module, APPLY, self._stock)
        self.model.rotary_emb.__dict__.pop("forward", None)


class CacheWritePatch(RopePatch):
    """The same for rope and cache write in one: a layer's static cache is one page of its whole length, in HND.

    Slots are computed in the first layer of a forward and serve all, as a server has them; the library computes them
    anew in every layer.
    """

    operation, static = "mrope-kv", True

    def __init__(self, model: Any, shape: MropeShape) -> None:
        super().__init__(model, shape)
        self._cache: Any = importlib.import_module("transformers.cache_utils").StaticLayer
        self._update = self._cache.update
        self._slots: torch.Tensor | None = None

    def _begin(self, hidden: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._slots = None
        return super()._begin(hidden, position_ids)

    def _put(self, call: Rope) -> None:
        waiting: list[Any] = []

        def apply(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            q, k, *_ = waiting[:] = given
            return q, k

        def update(layer: Any, k: torch.Tensor, v: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
            q, _, positions, table = waiting
            made = call(
                _rows(q), _rows(k), _rows(v), positions, table, layer.keys, layer.values, self._slots_of(layer, k),
                None, None, self.shape, "HND",
            )  # fmt: skip
            if made is not None:  # the attention holds q already: it becomes the new one, which copies nothing
                q.set_(_heads(made[0], q))
            return layer.keys, layer.values

        setattr(self._module, APPLY, apply)
        self._cache.update = update

    def _slots_of(self, layer: Any, k: torch.Tensor) -> torch.Tensor:
        """Where this forward's tokens go, `[N]`. The first layer's counter is the one that the library looks at."""
        if self._slots is None:
            tokens = k.shape[2]
            self._slots = torch.arange(tokens, device=k.device) + layer.cumulative_length
            layer.cumulative_length.add_(tokens)
        return self._slots

    def restore(self) -> None:
        """Rope and cache as the library has them."""
        super().restore()
        self._cache.update = self._update


def _rows(x: torch.Tensor) -> torch.Tensor:
    """`[1, H, N, D]`, a view of the projection's `[1, N, H*D]`, as `[N, H*D]`; `view` raises where it ever is not."""
    return x.transpose(1, 2).view(x.shape[2], -1)


def _heads(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`[N, H*D]` as `[1, H, N, D]`, as `like` is."""
    batch, heads, tokens, dim = like.shape
    return rows.view(batch, tokens, heads, dim).transpose(1, 2)


#: By operation, what puts its paths into the model. The first is the default.
PATCHES: dict[str, type[RopePatch]] = {each.operation: each for each in (RopePatch, CacheWritePatch)}


@contextmanager
def patched(model: Any, shape: MropeShape, name: str = RopePatch.operation) -> Iterator[RopePatch]:
    """The patch for paths of the operation called `name`; whatever happens, the stock rope is back at the end."""
    patch = PATCHES[name](model, shape)
    try:
        yield patch
    finally:
        patch.restore()
