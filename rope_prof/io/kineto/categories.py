"""What a Kineto category is to us, in the spellings of 2021 and later, NVIDIA and AMD: which frame, which kind."""

from __future__ import annotations

from functools import cache
from typing import Final

#: The frames that are built; events of other categories are counted alone.
FRAMES: Final = ("gpu", "call", "range", "op", "overhead", "python", "memory")
#: Those of them, and what is not read at all, that no figure rests on: what is damaged of them changes none.
NO_FIGURE: Final = ("python", "memory", "")
#: Those of them whose events are of several kinds.
KINDS: Final = ("gpu", "call")
_GPU: Final = {
    "kernel": "kernel",
    "gpu_memcpy": "memcpy",
    "gpu_memset": "memset",
    "memcpy": "memcpy",
    "memset": "memset",
    "gpu_graph": "graph",  # our own writer's: a whole graph launch
    "graph_host_node": "host_node",
    "graph_event_node": "event_node",
}
#: Kinds of the frame of GPU events that are nodes of a graph and take no time of the device.
NODES: Final = ("host_node", "event_node")
_CALLS: Final = {
    **dict.fromkeys(("cuda_runtime", "hip_runtime", "xpu_runtime", "privateuse1_runtime", "runtime"), "runtime"),
    **dict.fromkeys(("cuda_driver", "hip_driver", "xpu_driver", "privateuse1_driver", "driver"), "driver"),
}


#: Category in lower case -> its frame and kind, of all that are read.
READ: Final[dict[str, tuple[str, str]]] = {
    **{category: ("gpu", kind) for category, kind in _GPU.items()},
    **{category: ("call", api) for category, api in _CALLS.items()},
    **dict.fromkeys(("cpu_op", "operator"), ("op", "")),
    "user_annotation": ("range", "record_function"),
    "overhead": ("overhead", ""),
    "python_function": ("python", ""),
}


@cache
def role(category: str | None) -> tuple[str, str]:
    """(frame, kind) by the category's lower-case spelling; the frame is empty for what is not read."""
    return READ.get((category or "").lower(), ("", ""))
