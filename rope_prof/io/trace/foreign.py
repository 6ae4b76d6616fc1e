"""Files of other profilers that are not read: what each is, and the way to one that is.

Told by what stands in the first 64 KiB, or by the tables of an SQLite file; a reader of ours never gets them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rope_prof.model.frozen import Frozen


class Foreign(Frozen):
    """`what` it is, `way` to a file that is read; `shown` says whether a file that begins so is one."""

    what: str
    way: str
    shown: Callable[[bytes], bool]


def _json(*marks: bytes) -> Callable[[bytes], bool]:
    """JSON whose beginning holds all of the marks."""
    return lambda head: head.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] in (b"{", b"[") and all(mark in head for mark in marks)


def _any(*tests: Callable[[bytes], bool]) -> Callable[[bytes], bool]:
    return lambda head: any(test(head) for test in tests)


_TORCH: Final = "record with torch.profiler on the machine of the GPU: docs/formats.md"

#: The first that fits is meant.
FOREIGN: Final = (
    Foreign(
        "a trace of Ascend's profiler (trace_view.json)",
        "its devices, task types and flows are not read: profile the GPU's run of the same model with torch.profiler",
        _any(_json(b'"Ascend Hardware"'), _json(b'"Task Type"', b'"Physic Stream Id"'), _json(b'"AscendCL@')),
    ),
    Foreign(
        "a trace of MTIA (its categories are mtia_*)",
        "its devices are not read: profile the GPU's run of the same model with torch.profiler",
        _json(b'"mtia_'),
    ),
    Foreign(
        "a profile of TensorRT (trtexec --exportProfile or --exportTimes)",
        "it holds times a layer and no kernels: run `nsys profile --trace=cuda,nvtx trtexec ...`",
        _any(_json(b'"averageMs"', b'"percentage"'), _json(b'"startComputeMs"', b'"computeMs"')),
    ),
    Foreign(
        "the layers of a TensorRT engine (trtexec --exportLayerInfo)",
        "it holds no times: run `nsys profile --trace=cuda,nvtx trtexec ...`",
        _json(b'"Layers"', b'"LayerType"'),
    ),
    Foreign(
        "a trace of XLA's profiler as Chrome JSON (JAX, TensorFlow)",
        "its kernels carry no category and no correlation: run the program under `nsys profile --trace=cuda,nvtx`",
        _json(b'"/device:GPU:', b'"process_name"'),
    ),
    Foreign(
        "an XPlane of XLA's profiler (JAX, TensorFlow, .xplane.pb)",
        "run the program under `nsys profile --trace=cuda,nvtx`",
        lambda head: (
            head[:1] == b"\x0a" and any(mark in head for mark in (b"/device:GPU:", b"/host:CPU", b"/device:TPU:"))
        ),
    ),
    Foreign(
        "an execution trace (Chakra) of PyTorch",
        f"it holds operators and no times of kernels: {_TORCH}",
        _json(b'"schema"', b'"nodes"', b'"ctrl_deps"'),
    ),
    Foreign(
        "a trace of VizTracer",
        f"it holds Python's functions and no kernels: {_TORCH}",
        _json(b'"viztracer_metadata"'),
    ),
    Foreign(
        "a pickle, as PyTorch's memory snapshot is",
        f"it is never opened, since opening one runs what it says: {_TORCH}",
        lambda head: head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"),
    ),
    Foreign(
        "a report of Nsight Compute",
        "it holds counters of single kernels: `rope_prof record --nsight compute` reads it into a run",
        lambda head: head.startswith(b"NVR\0"),
    ),
)
RPD: Final = Foreign(
    "a database of RPD (rocmProfileData)",
    "record with rocprofv3 --output-format rocpd (ROCm 7), whose database is read",
    lambda _: False,
)


def foreign(head: bytes, tables: list[str]) -> Foreign | None:
    """Whose file begins so, or is SQLite with such tables; None where it is none of theirs."""
    if {"rocpd_api", "rocpd_op"} <= set(tables):
        return RPD
    return next((one for one in FOREIGN if one.shown(head)), None)
