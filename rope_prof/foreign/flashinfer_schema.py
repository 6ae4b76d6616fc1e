"""Files of the flashinfer-trace schema, read and required: definitions, solutions and workloads. Runs nothing.

The schema is that of flashinfer-bench (`flashinfer_bench/data`): a definition names axes (`const` with a value, or
`var`), inputs and outputs by shape and dtype, and a reference `run`; a solution holds sources and an entry point; a
workload file holds a line for each set of values of the var axes and says how each input comes about. A field that the
schema does not have is an error that names it: it may be one that changes what is measured.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec

from rope_prof.errors import UsageError
from rope_prof.io.damaged import DAMAGED
from rope_prof.model.frozen import decodable

#: The schema's words -> torch's; None: torch has no such thing to compute with.
DTYPES: Mapping[str, str | None] = MappingProxyType(
    {
        "float32": "float32",
        "float16": "float16",
        "bfloat16": "bfloat16",
        "float8_e4m3": "float8_e4m3fn",
        "float8_e4m3fn": "float8_e4m3fn",
        "float8_e5m2": "float8_e5m2",
        "float4_e2m1": None,
        "int64": "int64",
        "int32": "int32",
        "int16": "int16",
        "int8": "int8",
        "uint8": "uint8",
        "bool": "bool",
    }
)
#: Languages whose sources are Python.
PYTHON = ("python", "triton", "tilelang")
T = TypeVar("T")


class SchemaAxis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`const` with its value, or `var`."""

    type: str
    value: int | None = None
    parent: str | None = None
    description: str | None = None


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Axes of the shape, None for a number; the dtype of the elements."""

    dtype: str
    shape: list[str] | None = None
    description: str | None = None
    optional: bool = False


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is computed. `op_type` was called `type` once."""

    name: str
    axes: dict[str, SchemaAxis]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    reference: str
    op_type: str = ""
    type: str = ""
    tags: list[str] | None = None
    description: str | None = None
    constraints: list[str] | None = None

    @property
    def open_axes(self) -> tuple[str, ...]:
        """The axes whose values a workload gives."""
        return tuple(name for name, axis in self.axes.items() if axis.type == "var")

    @property
    def fixed(self) -> dict[str, int]:
        """The values of the others."""
        return {name: int(axis.value or 0) for name, axis in self.axes.items() if axis.type == "const"}


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a solution is built and called. `destination_passing_style`: the outputs come behind the inputs, as they do
    where nothing is said.
    """

    language: str
    entry_point: str
    target_hardware: list[str] = []
    dependencies: list[str] | None = None
    build_commands: list[str] | None = None
    destination_passing_style: bool | None = None
    binding: str | None = None
    compile_options: Any = None


class SchemaSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file."""

    path: str
    content: str


class Solution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One implementation of the definition that it names."""

    name: str
    definition: str
    spec: Build
    sources: list[SchemaSource]
    author: str = ""
    description: str | None = None


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an input comes about: `random`, `scalar` with its value, or `safetensors` in a file."""

    type: str
    value: float | int | bool | None = None
    path: str | None = None
    tensor_key: str | None = None


class Workload(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of the var axes and how the inputs come about."""

    axes: dict[str, int]
    inputs: dict[str, Input]
    uuid: str = ""


class SchemaTrace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a workload file; what was once measured in it is left alone."""

    definition: str
    workload: Workload
    solution: Any = None
    evaluation: Any = None


def read_definition(path: Path) -> Definition:
    """The definition in `path`. Errors: UsageError that names the field."""
    found = _decoded(path, path.read_bytes() if path.is_file() else None, Definition, "definition")
    for name, axis in found.axes.items():
        if axis.type not in {"const", "var"} or (axis.type == "const") != (axis.value is not None):
            raise UsageError(
                f"definition {path.name!r}: axis {name!r} is of type {axis.type!r} with value {axis.value}; expected "
                "'const' with a value, or 'var'"
            )
    for kind in ("inputs", "outputs"):
        for name, tensor in getattr(found, kind).items():
            missing = next((axis for axis in tensor.shape or () if axis not in found.axes), None)
            if missing is not None:
                raise UsageError(
                    f"definition {path.name!r}: {kind} {name!r} has the axis {missing!r}, which axes does not name; "
                    f"it has {', '.join(map(repr, found.axes))}"
                )
            if tensor.dtype not in DTYPES:
                raise UsageError(
                    f"definition {path.name!r}: {kind} {name!r} is of dtype {tensor.dtype!r}; expected one of "
                    f"{', '.join(DTYPES)}"
                )
    for text in found.constraints or ():
        try:
            ast.parse(text, mode="eval")
        except SyntaxError as error:
            raise UsageError(
                f"definition {path.name!r}: constraints has {text!r} ({error.msg}); expected a formula"
            ) from error
    both = next((name for name in found.inputs if name in found.outputs), None)
    if both is not None:
        raise UsageError(f"definition {path.name!r}: {both!r} is an input and an output; expected a name each")
    empty = next((name for name in ("axes", "inputs", "outputs") if not getattr(found, name)), None)
    if empty is not None:
        raise UsageError(f"definition {path.name!r}: {empty} is empty; expected at least one")
    return found


def read_solution(path: Path, definition: Definition) -> Solution:
    """The solution in `path`, of `definition`. Errors: UsageError that names the field."""
    found = _decoded(path, path.read_bytes() if path.is_file() else None, Solution, "solution")
    if found.definition != definition.name:
        raise UsageError(
            f"solution {path.name!r} solves definition {found.definition!r}; expected one of {definition.name!r}"
        )
    if found.spec.language not in PYTHON:
        raise UsageError(
            f"solution {path.name!r}: spec.language is {found.spec.language!r}, which must be built; build it, and "
            f"give its function by a Python file; expected one of {', '.join(map(repr, PYTHON))}"
        )
    paths = [source.path for source in found.sources]
    twice = next((each for each in paths if paths.count(each) > 1), None)
    if twice is not None:
        raise UsageError(f"solution {path.name!r}: two sources are called {twice!r}; expected a path each")
    file, sign, name = found.spec.entry_point.partition("::")
    if not sign or not name or file not in {source.path for source in found.sources}:
        raise UsageError(
            f"solution {path.name!r}: spec.entry_point is {found.spec.entry_point!r}; expected 'FILE.py::function', "
            f"the file among its sources: {', '.join(source.path for source in found.sources) or 'none'}"
        )
    return found


def read_workloads(path: Path, definition: Definition) -> tuple[Workload, ...]:
    """The workloads of `definition` in `path`, a line each. Errors: UsageError that names line and field."""
    data = path.read_bytes() if path.is_file() else None
    lines = [] if data is None else [line for line in data.splitlines() if line.strip()]
    if data is None or not lines:
        _decoded(path, data, SchemaTrace, "workload")
        raise UsageError(f"workload {path.name!r} holds no line; expected a workload each")
    found = []
    for number, line in enumerate(lines, 1):
        trace = _decoded(path, line, SchemaTrace, f"workload line {number} of")
        if trace.definition != definition.name:
            raise UsageError(
                f"workload line {number} of {path.name!r} is of definition {trace.definition!r}; expected "
                f"{definition.name!r}"
            )
        missing = next((axis for axis in definition.open_axes if axis not in trace.workload.axes), None)
        if missing is not None:
            raise UsageError(f"workload line {number} of {path.name!r} gives no value for axis {missing!r}")
        for kind, given, known in (
            ("axis", trace.workload.axes, definition.axes),
            ("input", trace.workload.inputs, definition.inputs),
        ):
            strange = next((each for each in given if each not in known), None)
            if strange is not None:
                raise UsageError(
                    f"workload line {number} of {path.name!r} names the {kind} {strange!r}, which definition "
                    f"{definition.name!r} does not have; it has {', '.join(map(repr, known))}"
                )
        found.append(trace.workload)
    return tuple(found)


def _decoded(path: Path, data: bytes | None, kind: type[T], what: str) -> T:
    if data is None:
        raise UsageError(f"{what} {str(path)!r}: no such file")
    try:
        return msgspec.json.decode(data, type=decodable(kind))
    except DAMAGED as error:
        raise UsageError(f"{what} {path.name!r}: {str(error)[0].lower()}{str(error)[1:]}") from error
