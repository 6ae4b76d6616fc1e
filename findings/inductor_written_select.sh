#!/usr/bin/env bash
# A custom operator that writes `x[1]` writes `x[0]` under torch.compile at changing sizes, without an exception: Inductor
# takes the storage offset of a view made in the graph for 0 where it holds a symbol. Slices and torch's own operators are right.
# Seen with torch 2.13.0 on a CPU (2.11.0 too).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export TMPDIR=$place
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6
"$place/venv/bin/python" - <<'PYTHON'
import torch

print("torch", torch.__version__)


@torch.library.custom_op("finding::add_one", mutates_args=("x",))
def add_one(x: torch.Tensor) -> None:
    x.add_(1)


def rows(write, dynamic):
    torch._dynamo.reset()
    x = torch.zeros(4, 3, 5)
    torch.compile(write, fullgraph=True, dynamic=dynamic)(x)
    return x.sum((1, 2)).nonzero().flatten().tolist()


found = {
    "operator, fixed sizes": rows(lambda x: add_one(x[1]), False),
    "operator, changing sizes": rows(lambda x: add_one(x[1]), True),
    "operator, slice": rows(lambda x: add_one(x[1:2]), True),
    "add_, changing sizes": rows(lambda x: x[1].add_(1), True),
}
for name, written in found.items():
    print(f"{name}: rows {written}")
raise SystemExit(list(found.values()) != [[1], [0], [1], [1]])
PYTHON
