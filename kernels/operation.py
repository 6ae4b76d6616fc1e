"""All that recording knows of the thing it measures: axes, paths, calls, a float64 reference, the bytes it must move.

`kernels.mrope.operation` is the first and the default; `kernels.lookup` finds a user's own by `module:object` or a
file, `kernels.made` makes one of a few callables. What is here knows no file, no clock and no path of its own. A class
that inherits from `Operation` need only say what its defaults do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Protocol

import torch

Value = str | int
Setting = Mapping[str, Value]
Tensors = tuple[torch.Tensor, ...]
#: How an argument may lie in memory beside how `calls` lays it: `rows` = cut out of wider rows, `offset` = its first
#: element not aligned to 16 bytes, `strided` = its last stride is not 1.
Layout = Literal["rows", "offset", "strided"]
LAYOUTS: tuple[Layout, ...] = ("rows", "offset", "strided")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One field of a case. `form` makes its part of a key's name, `noun` its words in sentences (`973 tokens`).

    `defaults`: the values where none is asked for, by `cuda`, `cpu`, `quick`, `quick cuda`, `quick cpu`, `sweep` or
    `any`; the most special one that is given serves. `choices`: all that the axis may be, where they can be named;
    else whole numbers of `least` to `most` where the defaults are numbers, and any word where they are not.
    """

    name: str
    defaults: Mapping[str, tuple[Value, ...]]
    form: str = "{}"
    noun: str = ""
    choices: tuple[Value, ...] = ()
    least: int = 1
    most: int = 2**40

    def usual(self, kind: str, *, quick: bool = False, sweep: bool = False) -> tuple[Value, ...]:
        """The values where none is asked for; empty where `defaults` names none for such a machine."""
        names = ["sweep"] * sweep + [f"quick {kind}", "quick"] * quick + [kind, "any"]
        return next((self.defaults[name] for name in names if name in self.defaults), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One tensor that a call gives. A path is wrong where it errs over twice the baseline, output by output.

    `tolerance`: what a right path may err at least, as a share of the largest exact value: sums in another order, say.
    One step of the output's own dtype at its largest value is always granted.
    """

    name: str
    tolerance: float = 0.0


def granted(tolerance: object) -> bool:
    """Whether it is one: a share, not negative and not without end."""
    return isinstance(tolerance, int | float) and 0 <= tolerance < float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One tensor among a call's arguments, by its place; `layouts`: those that a path must take, or refuse aloud.

    `scratch`: whether a path may leave other values there; all others it must leave as they are, but for `written`.
    """

    name: str
    layouts: tuple[Layout, ...] = LAYOUTS
    scratch: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """One implementation: `call(*arguments)` returns the outputs, or None where it works `in_place`.

    `triton`: needs Triton and a GPU, or Triton's interpreter.
    """

    name: str
    call: Callable[..., Any]
    in_place: bool = False
    triton: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The arguments of one call. `fresh`: the tensors among them that are its own (a ring holds many calls).

    `written`: where an in-place path leaves its outputs, in their order. `one_pass`: a view `[rows, columns]` whose
    every element must be read and written: one pass over it is the floor of an in-place path; None: no such floor.
    """

    arguments: tuple[Any, ...]
    fresh: Tensors
    written: Tensors = ()
    one_pass: torch.Tensor | None = None

    @property
    def fresh_bytes(self) -> int:
        """Bytes of the call's own tensors: what a buffer of the ring brings into the cache."""
        return sum(tensor.nbytes for tensor in self.fresh)


class Operation(Protocol):
    """What is measured. Every method is pure but `calls` and `refill`, which allocate and write.

    `swept`: the axis (of whole numbers) that sweeps and charts run over. `paths`: names; the first is the baseline
    that all others are held against. `outputs`: in the order in which paths return them. `by_rows`: whether `exact`
    can give some rows (of dim 0 of every output) alone; where rows depend on one another it cannot. `formula`: how
    `moved_bytes` counts, in words that follow "every operand moves once".
    """

    name: str
    axes: tuple[Axis, ...]
    swept: str
    paths: tuple[str, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[Argument, ...] = ()
    by_rows: bool = True
    formula: str = ""

    def path(self, name: str) -> Path:
        """The path called `name`, one of `paths`. Errors: LookupError in one sentence."""
        ...

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """`count` calls of `case` with arguments of their own, filled from `seed`.

        `dtype`: in the place of the case's own floating dtype (the interpreter checks in fp32); None: the case's own.
        """
        ...

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """The outputs of `call` in float64, not yet rounded: `rows` of dim 0 of each; all where not `by_rows`."""
        ...

    def check(self, case: Setting) -> None:
        """ValueError in one sentence for values that do not go together."""
        return  # not abstract: an operation may leave it out

    def lacks(self, case: Setting, path: str) -> str | None:
        """Why `path` does not compute `case`, in words; None where it does."""
        return None

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """Bytes that the kernels of `path` read and write; the least of any path for None. None: not known."""
        return None

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """Values in the `fresh` tensors of `calls` that depend on `seed` alone; by default as they are.

        A path that works in place must not feed on its own outputs for ever: an operation with such paths writes here.
        """
        return  # not abstract: an operation may leave it out


DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
)


def floating(word: Value) -> torch.dtype:
    """`bf16`, `fp16` or `fp32` as torch's dtype. Errors: ValueError."""
    if word not in DTYPES:
        raise ValueError(f"dtype {word!r}; expected {', '.join(map(repr, DTYPES))}")
    return DTYPES[str(word)]
