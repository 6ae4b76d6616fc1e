"""Files of others as tests write them: a definition, a solution, a workload, a task, a kernel's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REFERENCE = """
import torch
def run(x, weight):
    y = x.to(torch.float32)
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + 1e-6) * weight.to(torch.float32)).to(x.dtype)
"""
RETURNS = """
import torch
def run(x, weight):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, 1e-6)
"""
INTO = """
import torch
def run(x, weight, y):
    y.copy_(torch.nn.functional.rms_norm(x, x.shape[-1:], weight, 1e-6))
"""


def definition(**changes: Any) -> dict[str, Any]:
    """RMSNorm over 64 elements; the batch is open."""
    return {
        "name": "rmsnorm_h64",
        "op_type": "rmsnorm",
        "axes": {"batch_size": {"type": "var"}, "hidden": {"type": "const", "value": 64}},
        "inputs": {
            "x": {"shape": ["batch_size", "hidden"], "dtype": "bfloat16"},
            "weight": {"shape": ["hidden"], "dtype": "bfloat16"},
        },
        "outputs": {"y": {"shape": ["batch_size", "hidden"], "dtype": "bfloat16"}},
        "reference": REFERENCE,
    } | changes


def solution(code: str = RETURNS, **changes: Any) -> dict[str, Any]:
    """One in Python."""
    return {
        "name": "by_torch",
        "definition": "rmsnorm_h64",
        "author": "somebody",
        "spec": {
            "language": "python",
            "target_hardware": ["cpu"],
            "entry_point": "main.py::run",
            "destination_passing_style": code == INTO,
        },
        "sources": [{"path": "main.py", "content": code}],
    } | changes


def workload(batch_size: int = 7, **changes: Any) -> dict[str, Any]:
    """A line of a workload file."""
    inputs = {"x": {"type": "random"}, "weight": {"type": "random"}}
    return {
        "definition": "rmsnorm_h64",
        "workload": {"uuid": f"w{batch_size}", "axes": {"batch_size": batch_size}, "inputs": inputs},
    } | changes


def put(path: Path, *documents: Any) -> Path:
    """`documents` as JSON, a line each where there are several or the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, documents)) + "\n")
    return path
