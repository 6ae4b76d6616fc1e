"""One call's compile-time constants, integers and grid: its launch by Triton, and what repeats it without."""

from __future__ import annotations

import torch
from rope_prof.kernels.launch import Launch, options, packed
from rope_prof.kernels.mrope.lengths import LENGTHS, length_of
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.kernels.mrope.turning import BEFORE_ROWS, TABLE_BEFORE_WAIT, turning_constants
from rope_prof.kernels.mrope_kv.cache import Layout, Pages, pages_of, scale_strides
from rope_prof.kernels.mrope_kv.checks import INT32_END, Given
from rope_prof.kernels.mrope_kv.cut import Programs, cut
from rope_prof.kernels.mrope_kv.kernel import NO_SCALE, ONE_SCALE, SCALE_A_HEAD, mrope_kv_kernel

#: What has been compiled in this process, in every length.
_compiled: set[tuple[object, ...]] = set()


def constants(
    shape: MropeShape,
    cache: Pages,
    itemsize: int,
    how: Programs,
    *,
    scales: int,
    aligned: bool,
    overlap: bool,
    keep_k: bool = False,
    output: bool = False,
    settled: bool = False,
    rounded: bool = False,
) -> dict[str, int | bool]:
    """The compile-time arguments: everything that a compiled kernel depends on but dtypes and device."""
    return {
        "Q_HEADS": shape.q_heads,
        "KV_HEADS": shape.kv_heads,
        "D": shape.head_dim,
        **turning_constants(shape),
        "PAGE": cache.page_size,
        "SCALES": scales,
        "ROUND": rounded,
        "KEEP_K": keep_k,
        "OUTPUT": output,
        "ALIGN": 16 // itemsize if aligned else 1,
        "CACHE_ALIGN": 16 if aligned and scales else 16 // itemsize if aligned else 1,
        "BLOCK_TOKENS": how.tokens,
        "BLOCK_Q": how.q_heads,
        "BLOCK_KV": how.kv_heads,
        "EARLY": TABLE_BEFORE_WAIT if settled else how.early if overlap else BEFORE_ROWS,
        "TRIGGER_FIRST": how.trigger_first,
        "OVERLAP": overlap,
    }


def launch(
    given: Given,
    shape: MropeShape,
    layout: Layout = "NHD",
    *,
    keep_k: bool = False,
    settled: bool = False,
    overlap: bool = True,
    how: Programs | None = None,
    **tried: int,
) -> Launch | None:
    """Launch unchecked by Triton's own way; what comes back repeats it the short way, None where there is none.

    `how` and `tried` are for measurements: another cut than the length's, other values of the kernel's constants.
    """
    q, k, v, positions, table, k_cache, v_cache, slots, k_scale, v_scale, out = given
    tokens, itemsize = q.shape[0], q.element_size()
    if tokens == 0:
        return None
    to, keys, values = q if out is None else out, pages_of(k_cache, layout), pages_of(v_cache, layout)
    scales, key_scale, value_scale = NO_SCALE, (0, 0), (0, 0)
    if k_scale is not None and v_scale is not None:
        key_scale, value_scale = (scale_strides(each, tokens, shape.kv_heads) for each in (k_scale, v_scale))
        scales = SCALE_A_HEAD if key_scale[1] or value_scale[1] else ONE_SCALE
    vector, cache_vector = 16 // itemsize, 16 // k_cache.element_size()
    rows = (q.stride(0), to.stride(0), k.stride(0), v.stride(0), shape.head_dim)
    steps = [s for each in (keys, values) for s in (each.stride_page, each.stride_slot, each.stride_head)]
    pointers = [x.data_ptr() for x in (q, k, v, table, k_cache, v_cache, to)]
    aligned = (
        not any(at % 16 for at in pointers)
        and not any(n % vector for n in rows)
        and not any(n % cache_vector for n in (*steps, shape.head_dim))
    )
    overlap = overlap and q.is_cuda and torch.version.hip is None and torch.cuda.get_device_capability(q.device)[0] >= 9
    cuts = [how] if how else [cut(shape, itemsize, length, settled=settled) for length in LENGTHS]
    how = how or cut(shape, itemsize, length_of(tokens * (shape.heads + shape.kv_heads)), settled=settled)

    def fixed_for(one: Programs) -> dict[str, int | bool]:
        return constants(
            shape, keys, itemsize, one, scales=scales, aligned=aligned, overlap=overlap, keep_k=keep_k,
            output=out is not None, settled=settled, rounded=not q.is_cuda,
        ) | tried  # fmt: skip

    fixed = fixed_for(how)
    align, cache_align = int(fixed["ALIGN"]), int(fixed["CACHE_ALIGN"])
    integers = (
        tokens,
        *(stride // align for stride in (q.stride(0), to.stride(0), k.stride(0), v.stride(0))),
        positions.stride(0) if positions.dim() == 2 else 0,
        table.shape[0],
        keys.slots,
        *(step // cache_align for step in steps),
        *key_scale,
        *value_scale,
    )
    scale = (table, table) if k_scale is None or v_scale is None else (k_scale, v_scale)
    arguments = (*given[:8], *scale, to, *integers)
    grid = how.programs(shape, tokens)
    launched = options(how.warps, overlap=overlap)
    if not q.is_cuda:
        mrope_kv_kernel[(grid,)](*arguments, **fixed, **launched)
        return None
    variant = (q.device, q.dtype, k_cache.dtype, positions.dtype, slots.dtype, *fixed_for(cuts[-1]).values())
    with torch.cuda.device(q.device):
        compiled = mrope_kv_kernel[(grid,)](*arguments, **fixed, **launched)
        for other in cuts if variant not in _compiled else ():  # no new length compiles
            mrope_kv_kernel.warmup(*arguments, grid=(1,), **fixed_for(other), **launched)
    _compiled.add(variant)
    if not (aligned and torch.version.hip is None and max(integers) < INT32_END):
        return None
    if compiled.metadata.global_scratch_size or getattr(compiled.metadata, "profile_scratch_size", 0):
        return None
    return packed(compiled, grid, integers, pointers=len(arguments) - len(integers), overlap=overlap)
