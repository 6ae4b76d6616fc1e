"""The adapters for SGLang against its own kernels, where SGLang is installed: both by Triton's interpreter.

Its file is loaded alone, without the server; it computes in float64, ours in fp32.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FILE = "kernels/ops/attention/rotary_triton.py"
BOTH = """
import importlib.util, json, sys
import torch
from rope_prof.kernels.mrope.inputs import cos_sin_cache, prompt_positions
from integrations.cache_write import RotaryCacheWrite, shape_of_embedding
from integrations import sglang as ours
from tests.integrations.test_servers import ERNIE, KV_HEADS, Q_HEADS, TOKENS
from tests.integrations.test_servers import FusedSetKVBufferArg, MRotaryEmbedding, rows

spec = importlib.util.spec_from_file_location("theirs", sys.argv[1])
theirs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(theirs)
shape = shape_of_embedding(ERNIE, Q_HEADS, KV_HEADS)
positions, table = prompt_positions(shape, TOKENS), cos_sin_cache(shape)
rest = positions, [22, 22, 20], 128, 128, False
q, k, v = rows()
want = q.double(), k.double()
theirs.triton_ernie45_rope_fused_inplace(*want, table.double(), *rest)
alone = q.clone(), k.clone()
ours.triton_ernie45_rope_fused_inplace(*alone, table, *rest)
pools = [torch.zeros(20, KV_HEADS * 128) for _ in range(2)]
slots = torch.arange(3, 3 + TOKENS)
ours.forward_cuda(RotaryCacheWrite(shape), positions, q, k, FusedSetKVBufferArg(v, *pools, slots))
got, want = [*alone, q, k, pools[0][slots], v], [*want, *want, want[1], v]
for section, interleaved in (([16, 24, 24], False), ([24, 20, 20], True)):  # Qwen2-VL, Qwen3-VL
    qwen = MRotaryEmbedding(mrope_section=section, mrope_interleaved=interleaved)
    shape = shape_of_embedding(qwen, Q_HEADS, KV_HEADS)
    rest = prompt_positions(shape, TOKENS), section, 128, 128, interleaved, False, True, None
    mine, table = [x.clone() for x in rows()[:2]], cos_sin_cache(shape)
    exact = [x.double() for x in mine]
    theirs.triton_mrope_fused(*exact, table.double(), *rest)
    ours.triton_mrope_fused(*mine, table, *rest)
    got, want = got + mine, want + exact
assert torch.equal(pools[1][slots], v), "v is copied bit by bit"
print(json.dumps([float((a.double() - b.double()).abs().max()) for a, b in zip(got, want, strict=True)]))
"""


def installed() -> Path | None:
    """SGLang's kernel file; None where it is not installed."""
    spec = importlib.util.find_spec("sglang")
    found = [Path(place) / FILE for place in (spec.submodule_search_locations or [])] if spec else []
    return next((file for file in found if file.is_file()), None)


@pytest.mark.skipif(installed() is None, reason="needs SGLang 0.5.23 or newer: pip install --no-deps sglang")
def test_sglang_s_own_kernel_gives_in_float64_what_the_adapters_give(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOTH, str(installed())], cwd=repository, env=os.environ | {"TRITON_INTERPRET": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    off = json.loads(done.stdout.splitlines()[-1])
    assert len(off) == 10 and max(off) < 2e-6, off
