"""CUDA graphs of a CPU, for tests of what is done with them: what torch is asked for, to be done again in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rope_prof.record.loop.timing import Work


class Tape(TorchDispatchMode):
    """A graph of a CPU: what torch is asked for between `with`, to be done again into the very memory."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        out = function(*args, **(kwargs or {}))
        self.done.append((function, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        for function, args, kwargs, out in self.done:
            new = function(*args, **kwargs)
            if isinstance(out, torch.Tensor) and new.data_ptr() != out.data_ptr():
                out.copy_(new)


#: Whether a tape runs, as `torch.cuda.is_current_stream_capturing` says of a stream.
CAPTURING: list[bool] = []


def taped(call: Callable[..., Any], batch: Sequence[Any], further: Sequence[Any] = ()) -> Callable[[int], Work]:
    """`subjects.replays` of a CPU."""
    for arguments in batch[:2]:
        call(*arguments)
    tapes = [Tape() for _ in (*further, batch)]
    CAPTURING.append(True)
    for tape, each in zip(tapes, (*further, batch), strict=True):
        with tape:
            for arguments in each:
                call(*arguments)
    CAPTURING.clear()
    return lambda _: tapes[-1].replay
