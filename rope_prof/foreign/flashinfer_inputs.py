"""The inputs of a flashinfer-trace workload: random from a seed, a number, or a tensor of a file of safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as File
from typing import Any

import torch

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.foreign.flashinfer_schema import DTYPES, Definition, Input, Tensor

#: Whole numbers of an input that is `random`: from, up to (without), as flashinfer-bench draws them.
_WHOLE = {torch.bool: (0, 2), torch.int8: (-128, 128), torch.uint8: (0, 256)}
_WIDE = (-1024, 1024)
_POINTER = b"version https://git-lfs"


def shape_of(spec: Tensor, sizes: Mapping[str, int]) -> list[int]:
    """The shape with its axes' values; that of a number is empty."""
    return [sizes[axis] for axis in spec.shape or ()]


def dtype_of(name: str, spec: Tensor) -> torch.dtype:
    """torch's dtype of the tensor `name`. Errors: UnavailableError where torch has none."""
    word = DTYPES[spec.dtype]
    if word is None:
        raise UnavailableError(f"{name!r} is of dtype {spec.dtype!r}, which torch does not compute with")
    found: torch.dtype = getattr(torch, word)
    return found


def argument(
    name: str,
    definition: Definition,
    how: Input | None,
    sizes: Mapping[str, int],
    generator: torch.Generator,
    root: File | None,
) -> Any:
    """One input, on the generator's device, drawn as flashinfer-bench draws it (`bench/utils.py`). `how` None: no
    workload says; then neither numbers nor tensors of whole numbers can be made up.

    Errors: UsageError that names the input.
    """
    spec = definition.inputs[name]
    dtype, shape = dtype_of(name, spec), shape_of(spec, sizes)
    if how is not None and how.type == "scalar" and spec.shape is None and how.value is not None:
        return how.value
    if how is not None and how.type == "safetensors" and spec.shape is not None:
        return _stored(name, how, root, dtype, shape).to(generator.device)
    if how is not None and how.type != "random":
        kinds = "'random' or 'safetensors'" if spec.shape is not None else "'random' or 'scalar' with a value"
        raise UsageError(f"input {name!r} is of type {how.type!r}; expected {kinds}")
    if spec.shape is None:
        if how is None:
            raise UsageError(f"input {name!r} is a number that a workload gives; pass --workload FILE.jsonl")
        return _drawn(dtype, [], generator).item()
    if how is None and not dtype.is_floating_point:
        raise UsageError(
            f"input {name!r} is of dtype {spec.dtype!r}: made-up whole numbers may be no valid ones; pass --workload "
            "FILE.jsonl"
        )
    drawn = _drawn(dtype, shape, generator)
    return drawn.softmax(-1) if definition.op_type == "sampling" and name == "probs" else drawn


def _drawn(dtype: torch.dtype, shape: list[int], generator: torch.Generator) -> torch.Tensor:
    if not dtype.is_floating_point:
        low, high = _WHOLE.get(dtype, _WIDE)
        return torch.randint(low, high, shape, generator=generator, device=generator.device).to(dtype)
    drawn = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
    return (drawn.clamp_(-2, 2) if dtype.itemsize == 1 else drawn).to(dtype)


def _stored(name: str, how: Input, root: File | None, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    """The tensor of a safetensors file, looked for from the workload's folder upwards."""
    if not how.path or not how.tensor_key or root is None:
        raise UsageError(f"input {name!r} is of type 'safetensors'; expected path and tensor_key with it")
    folders = [root.resolve(), *root.resolve().parents][:5]
    file = next((folder / how.path for folder in folders if (folder / how.path).is_file()), None)
    if file is None:
        raise UsageError(
            f"input {name!r}: no file {how.path!r} in the workload's folder or above; fetch it there first, nothing is "
            "downloaded"
        )
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise UnavailableError(f"input {name!r} lies in a safetensors file; pip install safetensors") from error
    with file.open("rb") as stream:
        if stream.read(len(_POINTER)) == _POINTER:
            raise UsageError(
                f"input {name!r}: {file.name!r} is a pointer of Git LFS; fetch its content by git lfs pull"
            )
    try:
        with safe_open(str(file), framework="pt") as opened:
            if how.tensor_key not in opened.keys():  # noqa: SIM118
                raise UsageError(f"input {name!r}: {file.name!r} has no tensor {how.tensor_key!r}")
            found: torch.Tensor = opened.get_tensor(how.tensor_key)
    except SafetensorError as error:
        raise UsageError(f"input {name!r}: {file.name!r} is no file of safetensors ({error})") from error
    if (list(found.shape), found.dtype) != (shape, dtype):
        raise UsageError(
            f"input {name!r}: tensor {how.tensor_key!r} of {file.name!r} is {list(found.shape)} of {found.dtype}; "
            f"expected {shape} of {dtype}"
        )
    return found


def widened(own: torch.dtype, asked: torch.dtype | None) -> torch.dtype:
    """`asked` in the place of a floating dtype."""
    return asked if asked is not None and own.is_floating_point else own


def cast(value: Any, asked: torch.dtype | None) -> Any:
    """A floating tensor in the dtype `asked`, all else as it is."""
    return value.to(widened(value.dtype, asked)) if isinstance(value, torch.Tensor) else value
