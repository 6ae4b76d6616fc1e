"""An operation made at run time of a few callables and their arguments: what a script, a notebook or a test has.

A case is one set of arguments. Where there is one, or each has a number, the only axis is `size`: the elements of the
first tensor, or the number; named sets have the axis `case` ahead of it, and not every pair of the two is a case. The
reference is called with every floating tensor in float64; where none is given it is the baseline with all its
arithmetic in float64, and where that fails the baseline itself: `judge` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rope_prof.kernels.float64 import eager, in_float64
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors, granted
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_leaves, tree_map_only

Arguments = tuple[Any, ...]
Function = Callable[..., Any]
#: The values of a case, in the order of the axes.
Named = tuple[str | int, ...]
#: What is granted where the baseline is held against itself, as `torch.testing.assert_close` grants it: halves are
#: rounded so coarsely that one step is enough.
OWN = {torch.float32: 1.3e-6, torch.float64: 1e-7}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Operation):
    """See `made`. `given`: the values of a case -> its arguments, which are copied and never written.

    `judge`: what the outputs are held against, in words.
    """

    name: str
    axes: tuple[Axis, ...]
    paths: tuple[str, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[Argument, ...]
    functions: Mapping[str, Path]
    given: Mapping[Named, Arguments]
    reference: Function
    judge: str
    written: tuple[int, ...]
    shared: frozenset[int]
    least_bytes: int | None
    swept: str = "size"
    by_rows: bool = False

    @property
    def cases(self) -> tuple[dict[str, str | int], ...]:
        """Every case that there are arguments for."""
        names = [axis.name for axis in self.axes]
        return tuple(dict(zip(names, values, strict=True)) for values in self.given)

    def check(self, case: Setting) -> None:
        """There must be arguments for it."""
        if tuple(case[axis.name] for axis in self.axes) not in self.given:
            raise ValueError(f"no arguments for {dict(case)}; expected one of {list(self.cases)}")

    def path(self, name: str) -> Path:
        """One of the callables."""
        if name not in self.functions:
            raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, self.paths))}")
        return self.functions[name]

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Copies of the given arguments where they lie; `device` is theirs to be on already."""
        given = self.given[tuple(case[axis.name] for axis in self.axes)]
        return [self._call(given, dtype) for _ in range(count)]

    def _call(self, given: Arguments, dtype: torch.dtype | None) -> Call:
        arguments = tuple(each if i in self.shared else _copies(each, dtype) for i, each in enumerate(given))
        return _CallOf(
            given=given,
            arguments=arguments,
            fresh=tuple(x for i, each in enumerate(arguments) if i not in self.shared for x in _tensors(each)),
            written=tuple(arguments[i] for i in self.written),
        )

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:
        """The reference on float64 copies: of what it returns, or of what it wrote."""
        return _exact(self.reference, call.arguments, self.written)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """The bytes that were stated, of no path in particular; of one set of arguments alone."""
        return self.least_bytes if path is None and len(self.given) == 1 else None

    def refill(self, calls: Sequence[Call], seed: int) -> None:
        """The given values again, where a path may have written."""
        for call in calls:
            assert isinstance(call, _CallOf), "calls are those that `calls` made"
            for place in self.written:
                call.arguments[place].copy_(call.given[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class _CallOf(Call):
    """A call that knows the arguments that it is a copy of."""

    given: Arguments


def made(
    paths: Mapping[str, Function],
    inputs: Sequence[Any] | Mapping[str, Sequence[Any]] | Mapping[int, Sequence[Any]],
    *,
    name: str,
    reference: Function | None = None,
    outputs: Sequence[Output] = (),
    in_place: Collection[str] = (),
    written: Sequence[int] = (),
    shared: Collection[int] = (),
    triton: Collection[str] = (),
    least_bytes: int | None = None,
    tolerance: float = 0.0,
) -> Made:
    """An operation called `name` of `paths`, the first the baseline, on `inputs`: one call's arguments, or one a case.

    `in_place`: the paths that return nothing and leave their outputs in the arguments at the places `written`;
    `shared`: places of arguments that all calls share, as weights are; `triton`: paths that need a GPU or Triton's
    interpreter; `least_bytes`: what any path must move; `tolerance`: of each output where `outputs` names none.
    Errors: ValueError in one sentence that names the field.
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
    if not granted(tolerance):
        raise ValueError(f"tolerance is {tolerance!r}; expected a share of the largest value, as 1e-3")
    first = next(iter(given.values()))
    for arguments in given.values():
        _require_places(arguments, tuple(written), shared)
    baseline = next(iter(paths))
    judge, said = _judge(reference, baseline, paths[baseline], first)
    whose = "reference" if reference is not None else f"baseline {baseline!r}"
    exact = _raw(judge, first, tuple(written), whose)
    if reference is not None:
        for arguments in given.values():
            _require_alike(_raw(judge, arguments, tuple(written)), paths[baseline], arguments, tuple(written), baseline)
    if outputs and len(outputs) != len(exact):
        raise ValueError(
            f"outputs names {len(outputs)} tensors and {said} returns {len(exact)}; expected one name each"
        )
    return Made(
        name=name,
        axes=_axes(given),
        paths=tuple(paths),
        outputs=tuple(outputs) or _named(exact, tolerance, own=said.startswith(f"{baseline!r} itself")),
        arguments=tuple(
            Argument(name=f"argument {i}" + keystr(place))
            for i, each in enumerate(first)
            for place, leaf in tree_flatten_with_path(each)[0]
            if isinstance(leaf, torch.Tensor)
        ),
        functions={
            word: Path(word, call, in_place=word in in_place, triton=word in triton) for word, call in paths.items()
        },
        given=given,
        reference=judge,
        judge=said,
        written=tuple(written),
        shared=frozenset(shared),
        least_bytes=least_bytes,
    )


def _given(
    inputs: Sequence[Any] | Mapping[str, Sequence[Any]] | Mapping[int, Sequence[Any]],
) -> dict[Named, Arguments]:
    sets: Mapping[Any, Sequence[Any]] = inputs if isinstance(inputs, Mapping) else {None: inputs}
    if not sets:
        raise ValueError("inputs is empty; expected the arguments of one call, or name -> arguments")
    kinds = {type(key) for key in sets}
    if not kinds <= {str} and not kinds <= {int} and kinds != {type(None)}:
        raise ValueError(f"inputs are named {list(sets)}; expected words, or whole numbers")
    given: dict[Named, Arguments] = {}
    for key, arguments in sets.items():
        elements = _elements(tuple(arguments))
        given[(key, elements) if isinstance(key, str) else (elements if key is None else key,)] = tuple(arguments)
    return given


def _elements(arguments: Arguments) -> int:
    first = next(iter(_tensors(arguments)), None)
    if first is None or not first.numel():
        raise ValueError("inputs hold no tensor with an element; expected the arguments of one call")
    return int(first.numel())


def _axes(given: Mapping[Named, Arguments]) -> tuple[Axis, ...]:
    sizes = tuple(dict.fromkeys(values[-1] for values in given))
    size = Axis(name="size", form="n{}", noun="element", defaults={"any": sizes}, choices=sizes)
    if len(next(iter(given))) == 1:
        counted = all(values[-1] == _elements(arguments) for values, arguments in given.items())
        return (size if counted else Axis(name="size", form="size {}", defaults={"any": sizes}, choices=sizes),)
    words = tuple(values[0] for values in given)
    return Axis(name="case", defaults={"any": words}, choices=words), size


def _require_places(arguments: Arguments, written: tuple[int, ...], shared: Collection[int]) -> None:
    """ValueError where `written` or `shared` names no such argument, or no call would have a tensor of its own."""
    for what, places in (("written", written), ("shared", shared)):
        strange = next((i for i in places if not isinstance(i, int) or not 0 <= i < len(arguments)), None)
        if strange is not None:
            raise ValueError(f"{what} names argument {strange!r}; inputs have {len(arguments)}, counted from 0")
    strange = next((i for i in written if not isinstance(arguments[i], torch.Tensor)), None)
    if strange is not None:
        raise ValueError(f"written names argument {strange}, which is {type(arguments[strange]).__name__}, no tensor")
    if not any(_tensors(each) for i, each in enumerate(arguments) if i not in shared):
        raise ValueError("shared names every tensor of inputs; expected at least one that each call has for its own")


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors of an argument, of those in lists, tuples and dicts too."""
    return [each for each in tree_leaves(value) if isinstance(each, torch.Tensor)]


def _copies(value: Any, dtype: torch.dtype | None) -> Any:
    """An argument with every tensor in it copied."""
    return tree_map_only(torch.Tensor, lambda each: _copy(each, dtype), value)


def _copy(tensor: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """A tensor of its own with the same values, strides and place within 16 bytes; of another floating dtype if asked.

    What is repeated by a stride of 0 stays so.
    """
    wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
    source, single = tensor.detach(), tensor.detach()
    for dim, stride in enumerate(source.stride()):
        if stride == 0 and source.shape[dim] > 1:
            single = single.narrow(dim, 0, 1)
    extent = 1 + sum((size - 1) * stride for size, stride in zip(single.shape, single.stride(), strict=True))
    ahead = source.data_ptr() % 16 // source.itemsize if source.device.type != "meta" else 0
    flat = torch.empty(max(extent, 0) + ahead, dtype=wanted, device=source.device)
    own = flat.as_strided(single.shape, single.stride(), ahead) if single.numel() else single.to(wanted, copy=True)
    own.copy_(single)
    return own.expand(source.shape)


def _judge(reference: Function | None, name: str, baseline: Function, first: Arguments) -> tuple[Function, str]:
    """(what is called with float64 arguments, what it is in words)."""
    if reference is not None:
        return reference, "the reference"
    wide = in_float64(baseline)
    try:
        wide(*_copies(first, None))
    except Exception as error:
        plain, why = eager(baseline), _said(error)
        return _itself(plain, first), f"{name!r} itself, which does not work in float64 ({why})"
    return wide, f"{name!r} in float64"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:120]}"


def _itself(function: Function, given: Arguments) -> Function:
    """`function` on float64 arguments, which it gets in the dtypes of `given`."""
    kinds = [each.dtype for each in _tensors(given)]

    def own(*arguments: Any) -> Any:
        wanted = iter(kinds)
        narrow = tree_map_only(torch.Tensor, lambda each: each.to(next(wanted)), arguments)
        found = function(*narrow)
        for mine, theirs in zip(_tensors(arguments), _tensors(narrow), strict=True):
            if mine is not theirs:
                mine.copy_(theirs)  # where it works in place
        return found

    return own


def _exact(function: Function, arguments: Arguments, written: tuple[int, ...]) -> Tensors:
    """What `function` gives of float64 copies, in float64."""
    return tuple(each.double() for each in _raw(function, arguments, written))


def _raw(function: Function, arguments: Arguments, written: tuple[int, ...], whose: str = "reference") -> Tensors:
    """What `function` gives of float64 copies, in the dtypes that it gives. Errors: ValueError that names `whose`."""
    copies = _copies(arguments, torch.float64)
    try:
        outputs = _listed(function(*copies), copies, written)
    except Exception as error:
        where, wanted = " on float64 arguments", "the same arguments that works in float64"
        if whose != "reference":
            where, wanted = "", "the inputs that are given"
        raise ValueError(f"{whose}: it fails{where} ({_said(error)}); expected a function of {wanted}") from error
    strange = next((each for each in outputs if not isinstance(each, torch.Tensor)), None)
    if strange is not None or not outputs:
        what = type(strange).__name__ if outputs else "nothing"
        raise ValueError(f"{whose}: it returns {what}; expected a tensor, or a tuple of tensors")
    turned = next((each for each in outputs if each.is_complex()), None)
    if turned is not None:
        raise ValueError(f"{whose}: it returns {turned.dtype}; expected real numbers, as torch.view_as_real gives")
    return outputs


def _listed(found: Any, arguments: Arguments, written: tuple[int, ...]) -> tuple[Any, ...]:
    """What a call gave, or where it left it, one after the other."""
    given = tuple(arguments[i] for i in written) if found is None else found
    return tuple(given) if isinstance(given, tuple | list) else (given,)


def _require_alike(
    exact: Tensors, baseline: Function, arguments: Arguments, written: tuple[int, ...], name: str
) -> None:
    """ValueError where the reference gives other than the baseline called `name`. Where that fails, its key tells."""
    copies = _copies(arguments, None)
    try:
        with torch.no_grad():
            outputs = _listed(eager(baseline)(*copies), copies, written)
    except Exception:
        return
    if not all(isinstance(each, torch.Tensor) for each in outputs):
        return
    if len(exact) != len(outputs):
        raise ValueError(
            f"reference: it returns {len(exact)} tensors and the baseline {name!r} {len(outputs)}; expected as many"
        )
    for i, (want, got) in enumerate(zip(exact, outputs, strict=True)):
        if want.shape != got.shape:
            raise ValueError(
                f"reference: output {i} has the shape {tuple(want.shape)} and the baseline {name!r} gives "
                f"{tuple(got.shape)}; expected the same shape"
            )
        if got.is_floating_point() and not want.is_floating_point():
            raise ValueError(
                f"reference: output {i} is {want.dtype} and the baseline {name!r} gives {got.dtype}; expected float64, "
                "not rounded"
            )


def _named(tensors: Tensors, tolerance: float, *, own: bool) -> tuple[Output, ...]:
    """`own`: they are what the baseline gives in its own dtypes; sums in another order, which are as right, differ."""
    granted_of = [max(tolerance, OWN.get(each.dtype, 0.0) if own else 0.0) for each in tensors]
    one = len(tensors) == 1
    return tuple(Output(name="out" if one else f"out {i}", tolerance=each) for i, each in enumerate(granted_of))
