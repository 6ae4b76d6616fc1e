"""The inputs of a flashinfer-trace workload: random from a seed, a number, or a tensor of a file of safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as File
from typing import Any

import torch

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.foreign.flashinfer_schema import DTYPES, Input, Tensor


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
    spec: Tensor,
    how: Input | None,
    sizes: Mapping[str, int],
    generator: torch.Generator,
    root: File | None,
) -> Any:
    """One input, on the generator's device. `how` None: no workload says; then whole numbers cannot be made up.

    Errors: UsageError that names the input.
    """
    dtype, device = dtype_of(name, spec), generator.device
    if spec.shape is None:
        if how is None or how.value is None:
            raise UsageError(f"input {name!r} is a number that a workload gives; pass --workload FILE.jsonl")
        return how.value
    if how is not None and how.type == "safetensors":
        return _stored(name, how, root, device).to(dtype)
    if how is not None and how.type != "random":
        raise UsageError(f"input {name!r} is of type {how.type!r}; expected 'random', 'scalar' or 'safetensors'")
    shape = shape_of(spec, sizes)
    if dtype.is_floating_point:
        drawn = torch.randn(shape, generator=generator, device=device, dtype=torch.float32)
        return drawn.to(dtype)
    if how is None:
        raise UsageError(
            f"input {name!r} is of dtype {spec.dtype!r}: made-up whole numbers may be no valid ones; pass --workload "
            "FILE.jsonl"
        )
    low, high = (0, 2) if dtype == torch.bool else (-128, 128) if dtype == torch.int8 else (0, 1000)
    return torch.randint(low, high, shape, generator=generator, device=device).to(dtype)


def _stored(name: str, how: Input, root: File | None, device: torch.device) -> torch.Tensor:
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
        from safetensors import safe_open
    except ImportError as error:
        raise UnavailableError(f"input {name!r} lies in a safetensors file; pip install safetensors") from error
    with safe_open(str(file), framework="pt", device=str(device)) as opened:
        if how.tensor_key not in opened.keys():  # noqa: SIM118
            raise UsageError(f"input {name!r}: {file.name!r} has no tensor {how.tensor_key!r}")
        found: torch.Tensor = opened.get_tensor(how.tensor_key)
        return found


def widened(own: torch.dtype, asked: torch.dtype | None) -> torch.dtype:
    """`asked` in the place of a floating dtype."""
    return asked if asked is not None and own.is_floating_point else own


def cast(value: Any, asked: torch.dtype | None) -> Any:
    """A floating tensor in the dtype `asked`, all else as it is."""
    return value.to(widened(value.dtype, asked)) if isinstance(value, torch.Tensor) else value
