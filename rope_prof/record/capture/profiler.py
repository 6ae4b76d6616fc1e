"""Which of torch's profilers captures: Kineto, or the CUPTI monitor of torch 2.13 and later (Cuspy since 2.15).

The monitor names the nodes of graphs, host and event nodes among them; what each costs is measured with `.ci/gpu
OUT profilers`. Kineto stays the default, and stands in where the monitor is not to be had: the trace says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

import torch

#: Where a torch has its monitor, the newest first -> how its profiler is told to use it.
_BACKENDS: Final = {
    "torch.profiler._cuspy": "cuspy",
    "torch.profiler._cupti": "cupti_monitor",
    "torch.profiler._cupti_monitor": "cupti_monitor",
}


def lacks(name: str, kind: str) -> str | None:
    """Why the profiler of that name cannot capture here; None where it can."""
    if name == "kineto":
        return None
    if kind != "cuda":
        return "the monitor reads CUPTI, and this is no NVIDIA GPU"
    if _backend() is None:
        return f"torch {torch.__version__} has no monitor; 2.13 and later have"
    if find_spec("cupti") is None:
        return "the monitor needs cupti-python: pip install cupti-python"
    return None


def profiler(name: str, kinds: Sequence[Any]) -> Any:
    """A `torch.profiler.profile` of those activities by the profiler of that name."""
    if name == "kineto":
        return torch.profiler.profile(activities=kinds, acc_events=True)  # torch 2.11 warns of one cycle without
    config = json.dumps({"backend": _backend()})
    asked = torch._C._profiler._ExperimentalConfig(custom_profiler_config=config)
    return torch.profiler.profile(activities=kinds, experimental_config=asked)


def _backend() -> str | None:
    return next((backend for module, backend in _BACKENDS.items() if find_spec(module) is not None), None)
