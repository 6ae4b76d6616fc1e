"""An operation made at run time of a few callables and their arguments: what a script, a notebook or a test has.

Each set of arguments is one case, named by `size`: the elements of its first tensor. The reference is called with
every floating tensor in float64; where none is given the baseline itself is, which most chains of torch's own
operators bear.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors

Arguments = tuple[Any, ...]
Function = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Operation):
    """See `made`. `given`: size -> arguments, which are copied and never written."""

    name: str
    axes: tuple[Axis, ...]
    paths: tuple[str, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[Argument, ...]
    functions: Mapping[str, Path]
    given: Mapping[int, Arguments]
    reference: Function
    written: tuple[int, ...]
    shared: frozenset[int]
    least_bytes: int | None
    swept: str = "size"
    by_rows: bool = False

    def path(self, name: str) -> Path:
        """One of the callables."""
        if name not in self.functions:
            raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, self.paths))}")
        return self.functions[name]

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Copies of the given arguments where they lie; `device` is theirs to be on already."""
        given = self.given[int(case["size"])]
        return [self._call(given, dtype) for _ in range(count)]

    def _call(self, given: Arguments, dtype: torch.dtype | None) -> Call:
        own = {i for i, each in enumerate(given) if isinstance(each, torch.Tensor) and i not in self.shared}
        arguments = tuple(_copy(each, dtype) if i in own else each for i, each in enumerate(given))
        return Call(
            arguments=arguments,
            fresh=tuple(arguments[i] for i in sorted(own)),
            written=tuple(arguments[i] for i in self.written),
        )

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """The reference on float64 copies: of what it returns, or of what it wrote."""
        return _in_float64(self.reference, call.arguments, self.written)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """The bytes that were stated, of no path in particular; of one set of arguments alone."""
        return self.least_bytes if path is None and len(self.given) == 1 else None

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """The given values again, where a path may have written."""
        for call in calls if self.written else ():
            for given in self.given.values():
                if _alike(call.arguments, given):
                    for mine, theirs in zip(call.arguments, given, strict=True):
                        if any(mine is each for each in call.fresh):
                            mine.copy_(theirs)


def made(
    paths: Mapping[str, Function],
    inputs: Sequence[Any] | Mapping[int, Sequence[Any]],
    *,
    name: str,
    reference: Function | None = None,
    outputs: Sequence[Output] = (),
    in_place: Collection[str] = (),
    written: Sequence[int] = (),
    shared: Collection[int] = (),
    triton: Collection[str] = (),
    least_bytes: int | None = None,
) -> Made:
    """An operation called `name` of `paths`, the first the baseline, on `inputs`: one call's arguments, or one a size.

    `in_place`: the paths that return nothing and leave their outputs in the arguments at the places `written`;
    `shared`: places of arguments that all calls share, as weights are; `triton`: paths that need a GPU or Triton's
    interpreter; `least_bytes`: what any path must move. Errors: ValueError in one sentence that names the field.
    """
    given = _given(inputs)
    if not paths:
        raise ValueError("paths is empty; expected name -> callable, the baseline first")
    for what, names in (("in_place", in_place), ("triton", triton)):
        strange = next((each for each in names if each not in paths), None)
        if strange is not None:
            raise ValueError(f"{what} names {strange!r}, which is no path; expected {', '.join(map(repr, paths))}")
    if in_place and not written:
        raise ValueError("written is empty; expected the places of the arguments that an in-place path leaves changed")
    baseline = next(iter(paths.values()))
    judge = reference or baseline
    first = next(iter(given.values()))
    return Made(
        name=name,
        axes=(Axis(name="size", form="n{}", noun="element", defaults={"any": tuple(given)}, choices=tuple(given)),),
        paths=tuple(paths),
        outputs=tuple(outputs) or _named(_in_float64(judge, first, tuple(written), "reference")),
        arguments=tuple(Argument(name=f"argument {i}") for i, x in enumerate(first) if isinstance(x, torch.Tensor)),
        functions={
            word: Path(word, call, in_place=word in in_place, triton=word in triton) for word, call in paths.items()
        },
        given=given,
        reference=judge,
        written=tuple(written),
        shared=frozenset(shared),
        least_bytes=least_bytes,
    )


def _given(inputs: Sequence[Any] | Mapping[int, Sequence[Any]]) -> Mapping[int, Arguments]:
    sets = [tuple(each) for each in (inputs.values() if isinstance(inputs, Mapping) else (inputs,))]
    given: dict[int, Arguments] = {}
    for arguments in sets:
        first = next((each for each in arguments if isinstance(each, torch.Tensor)), None)
        if first is None or not first.numel():
            raise ValueError("inputs hold no tensor with an element; expected the arguments of one call")
        if first.numel() in given:
            raise ValueError(
                f"inputs hold two sets of {first.numel()} elements in the first tensor; expected one a size"
            )
        given[first.numel()] = arguments
    if isinstance(inputs, Mapping) and list(inputs) != list(given):
        raise ValueError(f"inputs are named {list(inputs)}; expected the sizes of their first tensors: {list(given)}")
    return given


def _copy(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A tensor of its own with the same values, strides and, where asked for, another floating dtype."""
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(wanted, copy=True, memory_format=torch.preserve_format)


def _in_float64(function: Function, arguments: Arguments, written: tuple[int, ...], what: str = "exact") -> Tensors:
    copies = tuple(_copy(each, torch.float64) if isinstance(each, torch.Tensor) else each for each in arguments)
    try:
        found = function(*copies)
    except Exception as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"{what}: the reference fails on float64 arguments ({type(error).__name__}: {said}); pass reference=, a "
            "function of the same arguments that works in float64"
        ) from error
    if found is None:
        return tuple(copies[i] for i in written)
    return tuple(found) if isinstance(found, tuple | list) else (found,)


def _named(tensors: Tensors) -> tuple[Output, ...]:
    if not tensors:
        raise ValueError("written is empty and the reference returns nothing; expected at least one output")
    return tuple(Output(name="out" if len(tensors) == 1 else f"out {i}") for i in range(len(tensors)))


def _alike(mine: Arguments, given: Arguments) -> bool:
    tensors = [(a, b) for a, b in zip(mine, given, strict=True) if isinstance(b, torch.Tensor)]
    return all(a.shape == b.shape for a, b in tensors)
