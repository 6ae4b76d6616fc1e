"""The kernels of the example operations on a GPU: right in every layout, at sizes that are no multiple of a block."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.lookup import OURS, operation

from rope_prof.record.bench.accuracy import judged, limits, run_once
from rope_prof.record.bench.copies import copied
from rope_prof.record.bench.layouts import layout_errors

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


#: Those whose cases are rows of a hidden size.
EXAMPLES = [name for name in OURS if any(axis.name == "hidden" for axis in operation(name).axes)]


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize(("tokens", "hidden"), [(1, 64), (5, 100), (129, 4096), (1000, 5120)])
@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("quantised", ["int8", "fp8"])
def test_the_kernel_is_right(name: str, tokens: int, hidden: int, dtype: str, quantised: str) -> None:
    found = operation(name)
    case = {"tokens": tokens, "hidden": hidden, "dtype": dtype, "quantised": quantised}
    if not any(axis.name == "quantised" for axis in found.axes) and quantised == "fp8":
        pytest.skip(f"{name} quantises nothing")
    (call,) = found.calls(case, 1, torch.device("cuda"), None, seed=3)
    known, kernel = limits(found, case, call), found.path("fused").call
    out = run_once(kernel, copied(call), found)
    torch.cuda.synchronize()
    assert not judged(out, found, case, call, known, dtype).wrong
    assert layout_errors(kernel, call, out, found, known.errors)[1] == ()
