#!/usr/bin/env bash
# Triton's interpreter (TRITON_INTERPRET=1) keeps bfloat16 as 16-bit integers and computes with those.
# Seen with Triton 3.7.1: 1.0 * 2.0 in bf16 gives 0.0, a sum of eight bf16 values is garbage, and float32 to bfloat16 cuts
# the low bits off where tensors in PyTorch, and the hardware, round to nearest even (1.99999 -> 1.9921875, not 2.0).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 triton==3.7.1 numpy==2.4.6
"$place/venv/bin/python" - <<'PYTHON'
import os
import sys
import tempfile
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
# A kernel's source is read from its file.
source = '''
import triton
import triton.language as tl


@triton.jit
def multiply(x, y, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i) * tl.load(y + i))


@triton.jit
def total(x, out, N: tl.constexpr):
    tl.store(out, tl.sum(tl.load(x + tl.arange(0, N)), 0))


@triton.jit
def narrow(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i).to(tl.bfloat16))
'''
folder = tempfile.mkdtemp()
Path(folder, "narrow_kernels.py").write_text(source)
sys.path.insert(0, folder)

import narrow_kernels as kernels
import torch
import triton

print("triton", triton.__version__, "torch", torch.__version__)
x = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5, -1.0, -2.0, 1.5]).bfloat16()
y = torch.full_like(x, 2.0)
product, of_all, cut = torch.empty_like(x), torch.empty(1, dtype=torch.bfloat16), torch.empty_like(x)
kernels.multiply[(1,)](x, y, product, 8)
kernels.total[(1,)](x, of_all, 8)
wide = torch.tensor([1.0039062, 1.99999, 3.14159, 1.005859375, -1.99999, 0.1, 0.3, 100.0])
kernels.narrow[(1,)](wide, cut, 8)
print("x * 2:", product.tolist(), "expected", (x * y).tolist())
print("sum:", of_all.tolist(), "expected", [x.float().sum().item()])
print("float32 -> bfloat16:", cut.tolist(), "expected", wide.bfloat16().tolist())
truncated = (wide.view(torch.int32) & ~0xFFFF).view(torch.float32)
same = (
    not torch.equal(product, x * y)
    and of_all.item() != x.float().sum().item()
    and torch.equal(cut.float(), truncated)
    and not torch.equal(cut, wide.bfloat16())
)
raise SystemExit(not same)
PYTHON
