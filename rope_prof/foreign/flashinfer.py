"""A flashinfer-trace definition and its solutions as an operation: its reference is baseline and float64 oracle.

Read by the word `rope_prof.foreign.flashinfer:definition=X.json;solution=Y.json;workload=W.jsonl;batch_size=1,64;`.
A case is one value of the open axis; where several axes are open and a workload file ties their values together, it is
the number of the workload. A solution may also be a function: `FILE.py::function`, or `FOLDER::function` of a kernel of
Hugging Face's hub.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import torch

from rope_prof.errors import UsageError
from rope_prof.foreign.flashinfer_inputs import argument, cast, dtype_of, shape_of, widened
from rope_prof.foreign.flashinfer_schema import (
    Definition,
    Input,
    Workload,
    read_definition,
    read_solution,
    read_workloads,
)
from rope_prof.foreign.hub import kernel
from rope_prof.foreign.source import function_of, module_of, written
from rope_prof.foreign.words import fields_of
from rope_prof.kernels.float64 import in_float64
from rope_prof.kernels.operation import Argument, Axis, Call, Operation, Output, Path, Setting, Tensors

BASELINE = "reference"
_RANDOM = Input(type="random")
_FIELDS = {"definition": True, "solution": False, "workload": False, "*": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Defined(Operation):
    """See the module. `workloads`: values of the axes of a case -> its workload; None where no file was given.

    `prepared`: whether outputs come behind the inputs, since a path wants them there.
    """

    name: str
    axes: tuple[Axis, ...]
    swept: str
    paths: tuple[str, ...]
    outputs: tuple[Output, ...]
    arguments: tuple[Argument, ...]
    definition: Definition
    workloads: Mapping[tuple[int, ...], Workload] | None
    functions: Mapping[str, Path]
    reference: Callable[..., Any]
    prepared: bool
    root: File | None
    by_rows: bool = False

    def path(self, name: str) -> Path:
        """The reference or a solution."""
        if name not in self.functions:
            raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, self.paths))}")
        return self.functions[name]

    def check(self, case: Setting) -> None:
        """The definition's constraints, of those that are between axes alone; others are of the inputs' values."""
        sizes, _ = self._sizes(case)
        for text in self.definition.constraints or ():
            tree = ast.parse(text, mode="eval")
            if {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} <= sizes.keys() and not eval(
                compile(tree, "constraints", "eval"), {}, dict(sizes)
            ):
                given = ", ".join(f"{axis.name}={case[axis.name]}" for axis in self.axes)
                raise ValueError(f"constraints of definition {self.name!r}: {text!r} does not hold for {given}")

    def calls(
        self, case: Setting, count: int, device: torch.device, dtype: torch.dtype | None, seed: int
    ) -> Sequence[Call]:
        """Inputs as the workload says, else random; each call has its own."""
        sizes, workload = self._sizes(case)
        made = []
        for number in range(count):
            generator = torch.Generator(device=device).manual_seed(seed + number)
            inputs = [
                argument(
                    name,
                    self.definition,
                    workload.inputs.get(name, _RANDOM) if workload else None,
                    sizes,
                    generator,
                    self.root,
                )
                for name in self.definition.inputs
            ]
            inputs = [cast(x, dtype) for x in inputs]
            outputs = [
                torch.empty(shape_of(spec, sizes), dtype=widened(dtype_of(name, spec), dtype), device=device)
                for name, spec in self.definition.outputs.items()
            ]
            arguments = (*inputs, *outputs) if self.prepared else tuple(inputs)
            made.append(
                Call(
                    arguments=arguments,
                    fresh=tuple(x for x in arguments if isinstance(x, torch.Tensor)),
                    written=tuple(outputs) if self.prepared else (),
                )
            )
        return made

    def exact(self, case: Setting, call: Call, rows: slice) -> Tensors:  # noqa: ARG002
        """The reference with all its arithmetic in float64."""
        found = self.reference(*call.arguments[: len(self.definition.inputs)])
        exact = tuple(found) if isinstance(found, list | tuple) else (found,)
        sizes, _ = self._sizes(case)
        wanted = [(name, shape_of(spec, sizes)) for name, spec in self.definition.outputs.items()]
        if len(exact) != len(wanted):
            raise ValueError(f"reference: run returns {len(exact)} values; outputs names {len(wanted)}")
        for tensor, (name, shape) in zip(exact, wanted, strict=True):
            if not isinstance(tensor, torch.Tensor) or list(tensor.shape) != shape:
                seen = list(tensor.shape) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
                raise ValueError(f"reference: run gives {seen} for {name!r}; outputs says {shape}")
        return tuple(tensor if tensor.is_floating_point() else tensor.double() for tensor in exact)

    def moved_bytes(self, case: Setting, path: str | None) -> int | None:
        """All inputs and outputs once; None where indices may leave some of them unread."""
        tensors = [*self.definition.inputs.values(), *self.definition.outputs.values()]
        if path is not None or any(spec.dtype.startswith("int") and spec.shape for spec in tensors):
            return None
        sizes, _ = self._sizes(case)
        return sum(
            dtype_of("", spec).itemsize * int(torch.Size(shape_of(spec, sizes)).numel())
            for spec in tensors
            if spec.shape
        )

    def _sizes(self, case: Setting) -> tuple[dict[str, int], Workload | None]:
        values = tuple(int(case[axis.name]) for axis in self.axes)
        if self.workloads is not None:
            workload = self.workloads[values]
            return self.definition.fixed | dict(workload.axes), workload
        return self.definition.fixed | {axis.name: int(case[axis.name]) for axis in self.axes}, None


def read(text: str) -> Defined:
    """The operation that the word's fields name. Errors: LookupError, UsageError, each naming the field."""
    fields = fields_of(text, _FIELDS, "a flashinfer-trace operation")
    values = {name: _whole(name, given) for name, given in fields.items() if name not in _FIELDS}
    return defined(
        File(fields["definition"][0]),
        fields.get("solution", []),
        File(fields["workload"][0]) if "workload" in fields else None,
        values,
    )


def __getattr__(text: str) -> Defined:
    """`getattr(module, "definition=X.json;...")`: what `kernels.lookup` asks of a module."""
    if "=" not in text:
        raise AttributeError(text)
    return read(text)


def defined(
    definition: File,
    solutions: Sequence[str] = (),
    workload: File | None = None,
    values: Mapping[str, Sequence[int]] | None = None,
) -> Defined:
    """The operation of a definition; `values` of its open axes where no workload file gives them.

    Errors: UsageError in one sentence that names the field.
    """
    found = read_definition(definition)
    workloads = read_workloads(workload, found) if workload else None
    axes, by_case = _axes(found, workloads, values or {})
    reference = _code({"reference.py": found.reference}, "reference.py", "run", f"definition {definition.name!r}")
    reference = _in_order(reference, tuple(found.outputs))
    own = [_solution(word, found) for word in solutions]
    twice = next((path.name for path, _ in own if [p.name for p, _ in own].count(path.name) > 1), None)
    if twice is not None:
        raise UsageError(f"two solutions are called {twice!r}; expected a name each")
    prepared = any(into for _, into in own)
    count = len(found.inputs)
    paths = [Path(BASELINE, _first(reference, count) if prepared else reference)]
    paths += [
        path if into or not prepared else Path(path.name, _first(path.call, count), triton=path.triton)
        for path, into in own
    ]
    return Defined(
        name=found.name,
        axes=axes,
        swept=axes[0].name,
        paths=tuple(path.name for path in paths),
        outputs=tuple(Output(name=name) for name in found.outputs),
        arguments=tuple(Argument(name=name) for name, spec in found.inputs.items() if spec.shape is not None),
        definition=found,
        workloads=by_case,
        functions={path.name: path for path in paths},
        reference=in_float64(reference),
        prepared=prepared,
        root=workload.parent if workload else None,
    )


def _axes(
    found: Definition, workloads: Sequence[Workload] | None, values: Mapping[str, Sequence[int]]
) -> tuple[tuple[Axis, ...], Mapping[tuple[int, ...], Workload] | None]:
    """The axes of a case, and the workload of each case."""
    strange = next((name for name in values if name not in found.open_axes), None)
    if strange is not None:
        raise UsageError(
            f"definition {found.name!r} has no open axis {strange!r}; it has "
            f"{', '.join(map(repr, found.open_axes)) or 'none'}"
        )
    if workloads is None:
        missing = next((name for name in found.open_axes if name not in values), None)
        if missing is not None:
            raise UsageError(
                f"definition {found.name!r} leaves the axis {missing!r} open; name its values, as in "
                f"--set {missing}=1,64, or pass --workload FILE.jsonl"
            )
        given = values or {next(iter(found.axes)): [next(iter(found.fixed.values()))]}
        return tuple(_axis(name, tuple(each)) for name, each in given.items()), None
    if values:
        raise UsageError(f"--workload gives the values of {next(iter(values))!r} already; leave one of the two out")
    if len(found.open_axes) == 1:
        (name,) = found.open_axes
        by_value: dict[tuple[int, ...], Workload] = {(workload.axes[name],): workload for workload in workloads}
        if len(by_value) == len(workloads):
            return (_axis(name, tuple(value for (value,) in by_value), closed=True),), by_value
    numbers = tuple(range(1, len(workloads) + 1))
    axis = Axis(name="workload", form="workload {}", defaults={"any": numbers}, choices=numbers)
    return (axis,), {(number,): workload for number, workload in zip(numbers, workloads, strict=True)}


def _axis(name: str, values: tuple[int, ...], *, closed: bool = False) -> Axis:
    """`closed`: no other values have inputs."""
    known = tuple(dict.fromkeys(values))
    return Axis(name=name, form=f"{name} {{}}", defaults={"any": known}, choices=known if closed else ())


def _whole(name: str, texts: Sequence[str]) -> list[int]:
    words = [word.strip() for text in texts for word in text.split(",")]
    wrong = next((word for word in words if not (word.isascii() and word.isdigit() and int(word))), None)
    if wrong is not None:
        raise UsageError(f"{name}={wrong!r}; expected whole numbers of at least 1, as in --set {name}=1,64")
    return [int(word) for word in words]


def _solution(word: str, definition: Definition) -> tuple[Path, bool]:
    """(the path, whether it wants its outputs behind its inputs) of a solution file or of a function of a file."""
    file, sign, name = word.partition("::")
    if sign:
        module = kernel(File(file)) if File(file).is_dir() else module_of(File(file), f"solution {word!r}")
        call, language, said = function_of(module, name, f"solution {word!r}"), "python", None
        title = f"{File(file).stem}-{name}"
    else:
        found = read_solution(File(word), definition)
        entry, _, name = found.spec.entry_point.partition("::")
        sources = {source.path: source.content for source in found.sources}
        call = _code(sources, entry, name, f"solution {File(word).name!r}")
        language, said, title = found.spec.language, found.spec.destination_passing_style, found.name
        if said is None and _takes(call) != len(definition.inputs):
            said = True  # the schema's default; older files say nothing and return
    into = _takes(call) == len(definition.inputs) + len(definition.outputs) if said is None else said
    title = re.sub(r"[^\w.+@-]+", "-", title)
    call = call if into else _in_order(call, tuple(definition.outputs))
    if title == BASELINE:
        raise UsageError(f"a solution is called {BASELINE!r}, as the definition's own code is; give it another name")
    return Path(title, call, in_place=into, triton=language == "triton"), into


def _takes(call: Callable[..., Any]) -> int | None:
    """How many arguments `call` takes by place; None where it does not say."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):
        return None
    return sum(p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD} for p in parameters)


def _code(files: Mapping[str, str], entry: str, name: str, what: str) -> Callable[..., Any]:
    return function_of(module_of(written(files) / entry, what), name, what)


def _in_order(call: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """`call`, whose outputs may come as a dict of their names; as it is where its source holds no dict."""
    try:
        held = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(call))))
    except (OSError, TypeError, SyntaxError):
        return call
    if not any(isinstance(node, ast.Dict | ast.DictComp) or getattr(node, "id", None) == "dict" for node in held):
        return call

    def in_order(*arguments: Any) -> Any:
        found = call(*arguments)
        return tuple(found[name] for name in names) if isinstance(found, dict) else found

    return in_order


def _first(call: Callable[..., Any], count: int) -> Callable[..., Any]:
    """`call` of the inputs alone, where outputs follow them for another path's sake."""

    def without_outputs(*arguments: Any) -> Any:
        return call(*arguments[:count])

    return without_outputs
