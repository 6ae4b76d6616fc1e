"""Which functions that a measurement rests on have been replaced since a worker began. Reads, and changes nothing.

Made before a path's code is loaded: the host's clocks, torch's own functions of waiting, timing and comparing, and all
functions of this program, each as the object it is and by its code. The timing loop holds its clock and device by
reference already; a replaced function is named because whoever replaces one means to be believed without reason.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType, ModuleType
from typing import Any

#: Module -> names in it, or names of a class in it as `Class.name`.
OUTSIDE: dict[str, tuple[str, ...]] = {
    "time": (
        "perf_counter",
        "perf_counter_ns",
        "monotonic",
        "monotonic_ns",
        "time",
        "time_ns",
        "process_time",
        "sleep",
    ),
    "gc": ("enable", "disable", "isenabled"),
    "random": ("Random.shuffle",),
    "torch": (
        "allclose",
        "equal",
        "Tensor.abs",
        "Tensor.clone",
        "Tensor.copy_",
        "Tensor.double",
        "Tensor.isnan",
        "Tensor.max",
        "Tensor.normal_",
        "Tensor.sum",
        "Tensor.to",
        "Tensor.__sub__",
        "Tensor.__eq__",
    ),
    "torch._C": ("_cuda_synchronize",),
    "torch.cuda": (
        "synchronize",
        "current_stream",
        "Event.elapsed_time",
        "Event.query",
        "Event.record",
        "Event.synchronize",
        "CUDAGraph.replay",
        "_sleep",
    ),
}
OURS = "rope_prof"
#: This program's own lazily loaded names are no replacements.
_FUNCTIONS = (FunctionType, type)


@dataclass(frozen=True, slots=True)
class _Kept:
    """One function as it was: the object, and its code where it has any."""

    name: str
    owner: Any
    attribute: str
    value: object
    code: CodeType | None

    def replaced(self) -> bool:
        """Whether it is another object now, or runs other code."""
        now = _looked_up(self.owner, self.attribute)
        return now is not self.value or getattr(now, "__code__", None) is not self.code


@dataclass(slots=True)
class Seal:
    """The functions as they are when it is made."""

    modules: Sequence[ModuleType] = ()
    _kept: list[_Kept] = field(default_factory=list)

    def __post_init__(self) -> None:
        found = [*_outside(), *(kept for module in self.modules or _own_modules() for kept in _functions(module))]
        self._kept = [kept for kept in found if kept.value is not None]

    def replaced(self) -> tuple[str, ...]:
        """The names of those that are others now."""
        return tuple(dict.fromkeys(kept.name for kept in self._kept if kept.replaced()))


def _own_modules() -> list[ModuleType]:
    """Every module of this program that is loaded, but for the worker's own loop, which nobody can reach in a call."""
    return [module for name, module in sorted(sys.modules.items()) if name == OURS or name.startswith(f"{OURS}.")]


def _outside() -> Iterator[_Kept]:
    for module_name, names in OUTSIDE.items():
        module = sys.modules.get(module_name)
        for name in names if module is not None else ():
            owner: Any = module
            *classes, attribute = name.split(".")
            for each in classes:
                owner = getattr(owner, each, None)
            yield _keep(f"{module_name}.{name}", owner, attribute)


def _functions(module: ModuleType) -> Iterator[_Kept]:
    """The functions of a module and of its own classes, each where it is defined."""
    for name, value in list(vars(module).items()):
        if not isinstance(value, _FUNCTIONS):
            continue
        yield _keep(f"{module.__name__}.{name}", module, name)
        if isinstance(value, type) and value.__module__ == module.__name__:
            for inner, function in list(vars(value).items()):
                if isinstance(function, FunctionType):
                    yield _keep(f"{module.__name__}.{name}.{inner}", value, inner)


def _keep(name: str, owner: Any, attribute: str) -> _Kept:
    value = _looked_up(owner, attribute)
    return _Kept(name, owner, attribute, value, getattr(value, "__code__", None))


def _looked_up(owner: Any, attribute: str) -> object:
    """What `owner` has under that name: of a class, the function itself and not one bound anew."""
    if isinstance(owner, type):
        return next((vars(each)[attribute] for each in owner.__mro__ if attribute in vars(each)), None)
    return getattr(owner, attribute, None)
