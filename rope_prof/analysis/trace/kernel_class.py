"""What kind of work a GPU event is, by its kind and by what libraries call their kernels.

The names are those of cuBLAS, cuDNN, CUTLASS, FlashAttention, FlashInfer, NCCL, ATen, Inductor and their like of AMD;
what none of them names is `other`.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rope_prof.analysis.trace.collectives import communicates

ATTENTION: Final = (
    r"flash_(?:fwd|bwd)|flash_?attn|fmha|attention|attn|Batch(?:Decode|Prefill)With|SinglePrefill|SingleDecode"
)
GEMM: Final = r"gemm|gemv|nvjet|cutlass|xmma|cublas|cijk_|matmul|triton_tem_"
CONVOLUTION: Final = r"convol|conv\dd|conv_|wgrad|dgrad|winograd"
_SORT: Final = r"radixsort|devicescan|gathertopk|topk|sort"
_REDUCTION: Final = r"reduce|norm|softmax|triton_(?:red|per)_|welford|cross_entropy"
_ELEMENTWISE: Final = (
    r"elementwise|pointwise|triton_poi_|functor|CatArray|_foreach|multi_tensor_apply|copy_kernel|fill|index|gather"
    r"|scatter|embedding|rotary|rope|act_and_mul|silu|gelu|dropout|direct_copy|transpose|permute|cast"
)
#: Class -> what its kernels are called, without case; the first that fits counts, behind copies and collectives.
_NAMED: Final = {
    "attention": ATTENTION,
    "GEMM": rf"{GEMM}|fused_moe",
    "convolution": CONVOLUTION,
    "sort": _SORT,
    "reduction": _REDUCTION,
    "elementwise": _ELEMENTWISE,
}


def kernel_class(events: pl.DataFrame) -> pl.Series:
    """Of each GPU event `copy`, `communication`, `graph` (a launch as one event), a class of `_NAMED`, or `other`."""
    names = events.select(pl.col("name").fill_null("")).unique()
    fits = [pl.when(pl.col("name").str.contains(f"(?i){it}")).then(pl.lit(word)) for word, it in _NAMED.items()]
    named = names.with_columns(told=pl.coalesce(*fits, pl.lit("other")))
    rows = events.select("kind", pl.col("name").fill_null(""), talks=communicates(events))
    kind = (
        pl.when(pl.col("kind").is_in(["memcpy", "memset"]))
        .then(pl.lit("copy"))
        .when(pl.col("kind") == "graph")
        .then(pl.lit("graph"))
        .when("talks")
        .then(pl.lit("communication"))
    )
    found = rows.join(named, on="name", how="left", maintain_order="left")
    return found.select(kind.otherwise("told").alias("class")).to_series()
