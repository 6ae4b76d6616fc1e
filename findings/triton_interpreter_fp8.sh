#!/usr/bin/env bash
# Triton's interpreter (TRITON_INTERPRET=1) converts float32 to float8e4nv by another rule than PyTorch and the hardware.
# Seen with Triton 3.7.1: 500.0 and 1000.0 become 256.0, where PyTorch saturates at 448.0, the largest value of the
# format, as the kernel does on an NVIDIA H200 (Triton 3.6.0);
# and 17.0, halfway between two neighbours, becomes 18.0 instead of the even 16.0.
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
source = '''
import triton
import triton.language as tl


@triton.jit
def narrow(x, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.load(x + i).to(tl.float8e4nv))
'''
folder = tempfile.mkdtemp()
Path(folder, "fp8_kernel.py").write_text(source)
sys.path.insert(0, folder)

import fp8_kernel
import torch
import triton

print("triton", triton.__version__, "torch", torch.__version__)
x = torch.tensor([1.0, 1.06, 1.07, 17.0, -0.3, 448.0, 500.0, 1000.0])
out = torch.empty(8, dtype=torch.float8_e4m3fn)
fp8_kernel.narrow[(1,)](x, out, 8)
seen, torchs = out.float().tolist(), x.to(torch.float8_e4m3fn).float().tolist()
print("float32:    ", x.tolist())
print("interpreter:", seen)
print("PyTorch:    ", torchs)
raise SystemExit((seen[3], *seen[6:], torchs[3], *torchs[6:]) != (18.0, 256.0, 256.0, 16.0, 448.0, 448.0))
PYTHON
