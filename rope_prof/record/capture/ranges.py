"""The ranges of a capture: each call in an NVTX range (domain `rope_prof`) and a record_function of the same name."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import nvtx
import torch

from rope_prof.record.device.devices import RecordDevice

DOMAIN = "rope_prof"
autograd_profiler: Any = torch.autograd.profiler


def call_name(key_name: str, call: int) -> str:
    """`<key>#<call>`."""
    return f"{key_name}#{call}"


class CallRange:
    """A context manager around one call; built before the loop, so that entering costs the two pushes alone.

    The NVTX range carries the number of the call as its payload too.
    """

    __slots__ = ("_function", "_nvtx")

    def __init__(self, key_name: str, call: int, *, nvtx_call: int | None = None) -> None:
        """`nvtx_call`: the number in the NVTX range's name where it is not `call`, which stays its payload."""
        name = call_name(key_name, call)
        marked = name if nvtx_call in (None, call) else call_name(key_name, nvtx_call or 0)
        self._nvtx = nvtx.annotate(message=marked, domain=DOMAIN, payload=call)
        self._function = torch.profiler.record_function(name)

    def __enter__(self) -> None:
        self._nvtx.__enter__()
        self._function.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._function.__exit__(kind, error, trace)
        finally:
            self._nvtx.__exit__(kind, error, trace)


def records_elsewhere() -> bool:
    """Whether torch.profiler is on, but not for this thread; where it was told to record all threads, for none."""
    return bool(autograd_profiler._is_profiler_enabled) and not torch._C._autograd._profiler_enabled()


@contextmanager
def ranges_alone(device: RecordDevice) -> Iterator[None]:
    """A profiler that is started inside records, on a GPU, no operator of the host but `record_function`."""
    if device.kind == "cpu":
        yield
        return
    start = autograd_profiler._enable_profiler
    scopes = {torch._C._profiler.RecordScope.USER_SCOPE}
    autograd_profiler._enable_profiler = functools.partial(start, scopes=scopes)
    try:
        yield
    finally:
        autograd_profiler._enable_profiler = start
