"""What the examples share: an operation over tokens, `x [N, W]` of random values; a chain, and one Triton kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Path, Setting, floating

DTYPE = Axis(name="dtype", defaults={"any": ("bf16",)}, choices=("bf16", "fp16", "fp32"))


def hidden(any_machine: int, cpu: int, most: int) -> Axis:
    """The axis of the channels."""
    return Axis(name="hidden", form="h{}", noun="channel", defaults={"any": (any_machine,), "cpu": (cpu,)}, most=most)


def tokens(cuda: tuple[int, ...], cpu: tuple[int, ...]) -> Axis:
    """The axis of the tokens, which is swept."""
    defaults = {"cuda": cuda, "cpu": cpu, "quick": (64,), "sweep": (1, 16, 256, 4096)}
    return Axis(name="tokens", form="n{}", noun="token", defaults=defaults)


def require_adjacent(**tensors: torch.Tensor) -> None:
    """ValueError that names the tensor whose elements are not adjacent in a row."""
    for name, tensor in tensors.items():
        if tensor.stride(-1) != 1:
            raise ValueError(f"{name} has last stride {tensor.stride(-1)}; expected adjacent elements")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverTokens(Operation):
    """`functions`: of the chain and of the kernel. `halves`: how many times `hidden` elements a row of `x` has."""

    functions: Mapping[str, Callable[..., Any]]
    halves: int = 1
    swept: str = "tokens"
    paths: tuple[str, ...] = ("unfused", "fused")
    arguments: tuple[Argument, ...] = (Argument(name="x"),)

    def path(self, name: str) -> Path:
        """The chain, or the kernel."""
        if name not in self.functions:
            raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, self.paths))}")
        return Path(name, self.functions[name], triton=name == "fused")

    def more(self, case: Setting, x: torch.Tensor, generator: torch.Generator) -> tuple[Any, ...]:
        """The arguments behind `x`, which all calls share: of its dtype, on its device."""
        return ()

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Random normal values of each call's own."""
        generator = torch.Generator(device=device).manual_seed(seed)
        shape = count, int(case["tokens"]), self.halves * int(case["hidden"])
        x = torch.empty(shape, dtype=dtype or floating(case["dtype"]), device=device).normal_(generator=generator)
        more = self.more(case, x, generator)
        return [Call(arguments=(each, *more), fresh=(each,)) for each in x.unbind(0)]

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """New random values in the one allocation that all calls are views of."""
        packed = calls[0].fresh[0]._base
        assert packed is not None, "`calls` gives views of one allocation"
        packed.normal_(generator=torch.Generator(device=packed.device).manual_seed(seed))
