"""An operation by what `--operation` says: a name of ours, `module:object`, or `FILE.py[:object]`; checked once.

What is found must keep what `kernels.operation` promises of names and axes, so that nobody behind meets one that does
not: the first broken promise is one sentence that names the field. What it does with tensors is tried where it runs.
"""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path as File
from types import MappingProxyType, ModuleType
from typing import Any

from rope_prof.kernels.imported import imported, one_sentence
from rope_prof.kernels.operation import Argument, Axis, Operation, Output, granted

#: Ours: name -> where it is. The first is the default.
OURS: Mapping[str, str] = MappingProxyType(
    {
        "mrope": "rope_prof.kernels.mrope.operation:MROPE",
        "mrope-kv": "rope_prof.kernels.mrope_kv.operation:MROPE_KV",
        "rmsnorm-quant": "rope_prof.kernels.examples.rmsnorm_quant:RMSNORM_QUANT",
        "silu-mul": "rope_prof.kernels.examples.silu_mul:SILU_MUL",
        "column-amax": "rope_prof.kernels.examples.column_amax:COLUMN_AMAX",
    }
)
DEFAULT = next(iter(OURS))
_METHODS = ("path", "calls", "exact", "check", "lacks", "moved_bytes", "refill")
#: Signs that a path may not have: it names files and ranges.
NO_FILE = frozenset("/\\#")
_FIELDS = ("name", "axes", "swept", "paths", "outputs")


def operation(word: str) -> Operation:
    """The operation that `word` names. Errors: LookupError in one sentence."""
    source, _, attribute = OURS.get(word, word).rpartition(":")
    if word.endswith(".py"):
        source, attribute = word, ""
    if not source:
        known = ", ".join(map(repr, OURS))
        raise LookupError(f"unknown operation {word!r}; expected {known}, 'module:object' or 'FILE.py[:object]'")
    module = _file(source, word) if source.endswith(".py") else _module(source, word)
    found = getattr(module, attribute, None) if attribute else _only(module, word)
    if found is None:
        raise LookupError(f"operation {word!r}: {source!r} has no {attribute!r}")
    return required(found() if isinstance(found, type) else found, word)


def _module(name: str, word: str) -> ModuleType:
    return imported(name, f"operation {word!r}")


def _file(name: str, word: str) -> ModuleType:
    """The module in the file `name`, under its own stem; beside it lie what it imports."""
    path = File(name)
    if not path.is_file():
        raise LookupError(f"operation {word!r}: no file {name!r}; name an existing FILE.py[:object]")
    found = sys.modules.get(path.stem)
    if found is not None and File(getattr(found, "__file__", None) or "").resolve() == path.resolve():
        return found
    if found is not None:
        raise LookupError(f"operation {word!r}: a module {path.stem!r} is there already; give the file another name")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.append(str(path.resolve().parent))
    try:
        with one_sentence(lambda why, cure: f"operation {word!r}: {name!r} fails to import ({why}); {cure}"):
            spec.loader.exec_module(module)
    except LookupError:
        del sys.modules[path.stem]
        raise
    return module


def _only(module: ModuleType, word: str) -> Operation:
    """The one operation among the names of `module`."""
    found: dict[int, Operation] = {
        id(each): each for each in vars(module).values() if not isinstance(each, type) and _alike(each)
    }
    if len(found) != 1:
        raise LookupError(
            f"operation {word!r}: {module.__name__!r} holds {len(found)} operations; name one, as in '{word}:object'"
        )
    return next(iter(found.values()))


def _alike(found: object) -> bool:
    return all(hasattr(found, name) for name in (*_FIELDS, *_METHODS))


def required(found: Any, word: str) -> Operation:
    """`found`, an operation whose names and axes hold together. Errors: LookupError that names the first that does not.

    `word` is what it is called in the sentence.
    """
    missing = [name for name in (*_FIELDS, *_METHODS) if not hasattr(found, name)]
    if missing:
        raise LookupError(
            f"operation {word!r} has no {missing[0]!r}; expected {', '.join((*_FIELDS, *_METHODS))}: inherit from "
            "rope_prof.kernels.operation.Operation"
        )
    wrong = _wrong(found)
    if wrong is not None:
        raise LookupError(f"operation {word!r}: {wrong}")
    checked: Operation = found
    return checked


def _wrong(found: Operation) -> str | None:
    """The first field that says what cannot be."""
    for name, kind in (("axes", Axis), ("outputs", Output), ("arguments", Argument)):
        values = getattr(found, name, ())
        if not isinstance(values, tuple) or not all(isinstance(each, kind) for each in values):
            return f"{name} is {values!r}; expected a tuple of {kind.__name__}"
        strange = next((each.name for each in values if not isinstance(each.name, str) or not each.name.strip()), None)
        if strange is not None:
            return f"{name} has the name {strange!r}; expected a word"
        twice = _twice(each.name for each in values)
        if twice is not None:
            return f"{name} has {twice!r} twice; expected each name once"
    if not isinstance(found.name, str) or not found.name.strip():
        return f"name is {found.name!r}; expected a word"
    for axis in found.axes:
        said = _wrong_axis(axis)
        if said is not None:
            return f"axes: {axis.name!r} {said}"
    swept = next((axis for axis in found.axes if axis.name == found.swept), None)
    if swept is None:
        return f"swept is {found.swept!r}, which names no axis; expected one of {_names(found.axes)}"
    if not all(isinstance(value, int) for values in swept.defaults.values() for value in values):
        return f"swept is {found.swept!r}, whose defaults are no whole numbers; expected an axis that can be counted"
    wild = next((each for each in found.outputs if not granted(each.tolerance)), None)
    if wild is not None:
        return f"outputs: {wild.name!r} has the tolerance {wild.tolerance!r}; expected a share of its largest value"
    if not found.outputs:
        return "outputs is empty; expected one Output for each tensor that a path returns"
    if not found.paths or not all(isinstance(path, str) and path for path in found.paths):
        return f"paths is {found.paths!r}; expected names, the baseline first"
    strange = next((path for path in found.paths if set(path) & NO_FILE or not path.isprintable()), None)
    if strange is not None:
        return f"paths has {strange!r}, which names files; expected words without '/', '\\' and '#'"
    return f"paths has {_twice(found.paths)!r} twice; expected each name once" if _twice(found.paths) else None


def _wrong_axis(axis: Axis) -> str | None:
    if not axis.name.isidentifier():
        return "is no name; expected letters, digits and underscores"
    values = [value for each in axis.defaults.values() for value in each]
    if not values or not (axis.usual("cuda") and axis.usual("cpu")):
        return "has no defaults for a machine; expected some for 'any', or for 'cuda' and 'cpu'"
    strange = [value for value in (*values, *axis.choices) if type(value) not in (int, str)]
    if strange:
        return f"has the value {strange[0]!r}; expected words and whole numbers: write others as words, as '0.5'"
    low = [value for value in (axis.least, *values) if isinstance(value, int) and value < max(1, axis.least)]
    if low:
        return f"has the number {low[0]}; expected at least {max(1, axis.least)}"
    if len({isinstance(value, int) for value in values}) > 1:
        return f"has numbers and words among its defaults {values}; expected one kind"
    if axis.form.count("{}") != 1 or set("{}") & set(axis.form.replace("{}", "")):
        return f"has the form {axis.form!r}; expected text with one {{}} and no other brace"
    strange = [value for value in values if axis.choices and value not in axis.choices]
    return f"has the default {strange[0]!r}, which is not among its choices" if strange else None


def _twice(names: Any) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _names(axes: tuple[Axis, ...]) -> str:
    return ", ".join(repr(axis.name) for axis in axes) or "none: axes is empty"
