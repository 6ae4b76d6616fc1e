#!/usr/bin/env bash
# tl.maximum without propagate_nan gives NaN in Triton's interpreter wherever one side is NaN; compiled code gives the other side.
# Seen with Triton 3.7.1: maximum(NaN, 1.0) is NaN under TRITON_INTERPRET=1, although the default is PropagateNan.NONE; the
# same kernel on an NVIDIA H200 (Triton 3.6.0) gives 1.0. A test of NaN handling that passes here can fail on the card.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 triton==3.7.1 numpy==2.4.6
"$place/venv/bin/python" - <<'PYTHON'
import inspect
import os
import sys
import tempfile
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
source = '''
import triton
import triton.language as tl


@triton.jit
def larger(x, y, out, N: tl.constexpr):
    i = tl.arange(0, N)
    tl.store(out + i, tl.maximum(tl.load(x + i), tl.load(y + i)))
'''
folder = tempfile.mkdtemp()
Path(folder, "larger_kernel.py").write_text(source)
sys.path.insert(0, folder)

import larger_kernel
import torch
import triton
import triton.language as tl

print("triton", triton.__version__, "torch", torch.__version__)
nan = float("nan")
x, y = torch.tensor([nan, 1.0, nan, 2.0]), torch.tensor([1.0, nan, nan, 3.0])
out = torch.empty(4)
larger_kernel.larger[(1,)](x, y, out, 4)
default = inspect.signature(tl.maximum.fn if hasattr(tl.maximum, "fn") else tl.maximum).parameters["propagate_nan"].default
print("default of propagate_nan:", default)
print("maximum of", x.tolist(), "and", y.tolist(), "is", out.tolist())
same = str(default).endswith("NONE") and out.isnan().tolist() == [True, True, True, False]
raise SystemExit(not same)
PYTHON
