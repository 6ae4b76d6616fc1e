"""What an operation says of itself, tried where it runs: its calls and its bytes. The first lie is one sentence.

Whatever is wrong here is the operation's own fault, whichever path is measured: an OperationError names the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rope_prof.errors import OperationError
from rope_prof.kernels.operation import Call, Operation, Setting, Tensors
from rope_prof.record.bench.copies import tensors_of
from rope_prof.record.loop.describe import own_words


def require_calls(made: Any, count: int, operation: Operation, device: torch.device) -> None:
    """OperationError where `calls` gave something else than `count` calls whose tensors lie on `device`."""
    says = f"operation {operation.name!r}: calls"
    if not isinstance(made, Sequence) or not all(isinstance(call, Call) for call in made):
        raise OperationError(f"{says} gives {type(made).__name__}; expected a sequence of kernels.operation.Call")
    if len(made) != count:
        raise OperationError(f"{says} gives {len(made)} calls; expected the {count} that were asked for")
    for call in made:
        _require_call(call, operation, device, says)
    places = [{tensor.data_ptr() for tensor in call.fresh if tensor.numel()} for call in made]
    if len(set().union(*places)) < sum(map(len, places)):
        raise OperationError(
            f"{says} gives two calls the same memory in 'fresh'; expected its own for each: what they share is in the "
            "cache already"
        )


def _require_call(call: Call, operation: Operation, device: torch.device, says: str) -> None:
    held = tensors_of(call)
    known = {id(tensor) for tensor in held}
    for i, tensor in enumerate(held):
        if tensor.device.type != device.type or (device.index is not None and tensor.device != device):
            raise OperationError(f"{says} puts tensor {i} of the arguments on {tensor.device}; expected {device}")
    for field, tensors in (("fresh", call.fresh), ("written", call.written)):
        if any(id(tensor) not in known for tensor in tensors):
            raise OperationError(f"{says} names a tensor in '{field}' that is not among the arguments of its call")
    if not call.fresh:
        raise OperationError(f"{says} leaves 'fresh' empty; expected the tensors that each call has for its own")
    if call.written and len(call.written) != len(operation.outputs):
        raise OperationError(
            f"{says} has {len(call.written)} tensors in 'written'; expected one for each of the "
            f"{len(operation.outputs)} outputs"
        )


def require_bytes(operation: Operation, case: Setting, path: str, call: Call, out: Tensors) -> int | None:
    """The bytes that `path` is said to move. Errors: OperationError where they, or the least, cannot be true.

    No path moves less than the least of any; what is returned anew was written once; and the least is no more than
    everything that the call holds, read and written once.
    """
    with own_words(operation.name, "moved_bytes"):
        moved, least = operation.moved_bytes(case, path), operation.moved_bytes(case, None)
    says = f"operation {operation.name!r}: moved_bytes"
    for what, value in ((f"of path {path!r}", moved), ("of any path", least)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise OperationError(f"{says} {what} is {value!r}; expected a whole number of bytes, or None")
    if least is not None and moved is not None and moved < least:
        raise OperationError(f"{says} of path {path!r} is {moved:,} bytes; expected at least the least, {least:,}")
    held = tensors_of(call)
    owned = {tensor.untyped_storage().data_ptr() for tensor in held}
    fresh = sum(one.nbytes for one in out if one.untyped_storage().data_ptr() not in owned)
    most = 2 * (sum(tensor.nbytes for tensor in held) + fresh)
    if least is not None and least > most:
        raise OperationError(
            f"{says} of any path is {least:,} bytes; expected at most {most:,}, all arguments and outputs read and "
            "written once"
        )
    if moved is not None and moved < fresh:
        raise OperationError(f"{says} of path {path!r} is {moved:,} bytes; expected at least its outputs, {fresh:,}")
    return moved
