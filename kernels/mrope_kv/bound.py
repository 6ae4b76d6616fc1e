"""A layer's cache write: what stays from call to call is named once, a call gives the rest.

A server's layer has one table, one pair of caches and one pair of scales for as long as it lives, and all layers of a
step have tensors laid out alike. So a `Bound` looks at the five tensors that change, or at three where q, k and v are
still one packed qkv, and launches what a call of `fused` with that layout has been found to launch.
"""

from __future__ import annotations

from functools import partial
from itertools import count
from weakref import WeakValueDictionary

import torch
from rope_prof.kernels.mrope.operator import operator
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope_kv.cache import Layout, halves
from rope_prof.kernels.mrope_kv.fused import dispatch_modes, fused, guard_of, layouts, repeated
from torch.compiler import is_dynamo_compiling, is_exporting
from torch.fx.node import has_side_effect

#: How all that a layer keeps is laid out, each once: one object is what layers that are alike have in common.
_LIKE: dict[tuple[object, ...], tuple[object, ...]] = {}
#: What compiled code calls a layer by whose caches it does not see.
_NUMBERS = count()
_UNSEEN: WeakValueDictionary[int, Bound] = WeakValueDictionary()


class Bound:
    """`fused` with its table, caches, scales, shape and options given.

    Their memory is read and written at the addresses that they have now: a cache that is resized, moved or put in
    another's place needs a new one; a copy is one, of its own tensors. Arguments as those of `fused`; where its caches
    are one tensor, `v_cache` is None.

    Under torch.compile a call is that of `fused`, all eight tensors inputs of the graph. `unseen`: its operator takes
    the layer by a number instead, as vLLM's attention takes it by name. Table and caches are no inputs then, which
    spares the host their guards, and the graph does not know that the caches are written. So it must not look at a
    cache but by what takes the turned q or qkv as well: any other read, before the call or after it, may be moved to
    its other side. A call whose q nobody reads stays. The layer must outlive the compiled code; what `torch.export`
    makes has the eight inputs, since a number means nothing elsewhere.
    Errors: ValueError for `unseen` with `keep_k`: the graph must see what is written to k.
    """

    __slots__ = (
        "__weakref__",
        "_at",
        "_keep_k",
        "_kept",
        "_layout",
        "_like",
        "_number",
        "_settled",
        "_shape",
        "_table",
    )

    def __init__(
        self, shape: MropeShape, cos_sin_cache: torch.Tensor, k_cache: torch.Tensor, v_cache: torch.Tensor | None,
        k_scale: torch.Tensor | None = None, v_scale: torch.Tensor | None = None, layout: Layout = "NHD", *,
        keep_k: bool = False, settled: bool = False, unseen: bool = False,
    ) -> None:  # fmt: skip
        if unseen and keep_k:
            raise ValueError("unseen with keep_k; expected one of them: compiled code must see what is written to k")
        self._number = next(_NUMBERS) if unseen else -1
        if unseen:
            _UNSEEN[self._number] = self
        self._shape, self._layout, self._keep_k, self._settled = shape, layout, keep_k, settled
        self._table, self._kept = cos_sin_cache, (k_cache, v_cache, k_scale, v_scale)
        caches = halves(k_cache) if v_cache is None else (k_cache, v_cache)
        scales = (cos_sin_cache, cos_sin_cache) if k_scale is None or v_scale is None else (k_scale, v_scale)
        every = (cos_sin_cache, *caches, *scales)
        self._at = tuple(x.data_ptr() for x in every)
        like = (shape, layout, keep_k, settled, *((x.shape, x.stride(), x.dtype, x.device) for x in every))
        self._like = _LIKE.setdefault(like, like)

    def __reduce__(self) -> tuple[partial[Bound], tuple[object, ...]]:
        """A copy has a number and addresses of its own: with this one's it would write to this one's caches."""
        again = partial(Bound, keep_k=self._keep_k, settled=self._settled, unseen=self._number >= 0)
        return again, (self._shape, self._table, *self._kept, self._layout)

    def __call__(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor
    ) -> None:
        """q in place, k and v to their slots."""
        if not is_dynamo_compiling():
            last = layouts.last
            if (
                last is not None
                and last.like is self._like
                and last.moving(q, k, v, positions, slots)
                and not dispatch_modes()
            ):
                at, (table, k_cache, v_cache, k_scale, v_scale) = q.data_ptr(), self._at
                if repeated(
                    last, at, k.data_ptr(), v.data_ptr(), positions.data_ptr(), table, k_cache, v_cache,
                    slots.data_ptr(), k_scale, v_scale, at,
                ):  # fmt: skip
                    return
        elif self._number >= 0 and not is_exporting():
            _CALL(q, k, v, positions, slots, self._number)
            return
        self._as_fused(q, k, v, positions, slots)

    def packed(self, qkv: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor) -> None:
        """As a call with q, k and v of `qkv [N, (Hq + 2 Hkv) * D]`, in which q is turned in place."""
        if not is_dynamo_compiling():
            last = layouts.last
            if (
                last is not None
                and last.like is self._like
                and last.packed(qkv, positions, slots)
                and not dispatch_modes()
            ):
                at, (to_k, to_v), (table, k_cache, v_cache, k_scale, v_scale) = qkv.data_ptr(), last.parts, self._at
                if repeated(
                    last, at, at + to_k, at + to_v, positions.data_ptr(), table, k_cache, v_cache, slots.data_ptr(),
                    k_scale, v_scale, at,
                ):  # fmt: skip
                    return
        elif self._number >= 0 and not is_exporting():
            _PACKED(qkv, positions, slots, self._number)
            return
        width = self._shape.kv_heads * self._shape.head_dim
        q, k, v = qkv.split([self._shape.q_heads * self._shape.head_dim, width, width], dim=-1)
        self._as_fused(q, k, v, positions, slots, qkv)

    def _as_fused(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, positions: torch.Tensor, slots: torch.Tensor,
        qkv: torch.Tensor | None = None,
    ) -> None:  # fmt: skip
        """The call as `fused` has it; what it has launched or learnt is then this layer's too."""
        k_cache, v_cache, k_scale, v_scale = self._kept
        fused(
            q, k, v, positions, self._table, k_cache, v_cache, slots, k_scale, v_scale, self._shape, self._layout,
            keep_k=self._keep_k, settled=self._settled,
        )  # fmt: skip
        if is_dynamo_compiling():
            return
        last, caches = layouts.last, halves(k_cache) if v_cache is None else (k_cache, v_cache)
        scales = () if k_scale is None or v_scale is None else (k_scale, v_scale)
        options = (self._layout, self._keep_k, self._settled)
        if (
            last is None
            or (last.shape, last.options) != (self._shape, options)
            or not last.check(q, k, v, positions, self._table, *caches, slots, *scales)
        ):
            return  # not launched the short way: nothing was learnt
        last.like = self._like
        if qkv is None:
            last.moving = guard_of((q, k, v, positions, slots))
        else:
            last.packed, size = guard_of((qkv, positions, slots)), q.element_size()
            last.parts = (q.shape[1] * size, (q.shape[1] + k.shape[1]) * size)


def _unseen(number: int) -> Bound:
    """Errors: RuntimeError where it is gone."""
    layer = _UNSEEN.get(number)
    if layer is None:
        raise RuntimeError(f"layer {number} of the cache write is gone; expected it to outlive the code that calls it")
    return layer


_CALL = operator(
    "mrope_kv_layer_(Tensor(a!) q, Tensor k, Tensor v, Tensor positions, Tensor slots, SymInt layer) -> ()",
    lambda q, k, v, positions, slots, layer: _unseen(layer)(q, k, v, positions, slots),
)
_PACKED = operator(
    "mrope_kv_layer_packed_(Tensor(a!) qkv, Tensor positions, Tensor slots, SymInt layer) -> ()",
    lambda qkv, positions, slots, layer: _unseen(layer).packed(qkv, positions, slots),
)
for _each in (_CALL, _PACKED):  # where nobody reads the turned q it looks as if the call did nothing
    has_side_effect(_each)
