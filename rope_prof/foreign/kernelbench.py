"""A KernelBench task as an operation: `Model` is the baseline, `ModelNew` the candidate, both made from one seed.

Read by the word `rope_prof.foreign.kernelbench:task=T.py;solution=S.py;`. The task file has `Model`, `get_inputs` and,
where the models take arguments, `get_init_inputs`; `ModelNew` is in it or in a file of its own. Where both models name
their weights alike, the candidate gets the baseline's. The oracle is `Model` with all its arithmetic in float64.

As in KernelBench the models are as they were made, in training mode: a batch norm takes the statistics of its batch.
Dropout is off: there it is held still by a seed, here every call must give the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from rope_prof.errors import UsageError
from rope_prof.foreign.source import function_of, module_of
from rope_prof.foreign.words import fields_of
from rope_prof.kernels.made import Made, made

SEED = 42
DROPOUT = (
    *(torch.nn.Dropout, torch.nn.Dropout1d, torch.nn.Dropout2d, torch.nn.Dropout3d),
    *(torch.nn.AlphaDropout, torch.nn.FeatureAlphaDropout),
)
BASELINE, CANDIDATE = "Model", "ModelNew"


def read(text: str) -> Made:
    """The operation that the word's fields name, on the current device. Errors: LookupError, UsageError."""
    fields = fields_of(text, {"task": True, "solution": False}, "a KernelBench operation")
    return task(Path(fields["task"][0]), [Path(each) for each in fields.get("solution", [])])


def __getattr__(text: str) -> Made:
    """`getattr(module, "task=T.py;...")`: what `kernels.lookup` asks of a module."""
    if "=" not in text:
        raise AttributeError(text)
    return read(text)


def task(path: Path, solutions: Sequence[Path] = (), device: torch.device | None = None) -> Made:
    """The operation of the task in `path`. `solutions`: files with a `ModelNew`; of several each is named by its file.

    Errors: UsageError in one sentence that names what the file lacks.
    """
    on = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for each in (path, *solutions):
        if not each.is_file():
            raise UsageError(f"task {str(each)!r}: no such file")
    module = module_of(path, f"task {path.name!r}")
    baseline = _model(module, BASELINE, path, module, on)
    paths: dict[str, Callable[..., Any]] = {BASELINE: baseline}
    if not solutions:
        paths[CANDIDATE] = _alike(_model(module, CANDIDATE, path, module, on), baseline)
    for file in solutions:
        model = _model(module_of(file, f"solution {file.name!r}"), CANDIDATE, file, module, on)
        paths[CANDIDATE if len(solutions) == 1 else file.stem] = _alike(model, baseline)
    if len(paths) < 2 or len(paths) != 1 + max(1, len(solutions)):
        raise UsageError(f"task {path.name!r}: two solutions have one name; expected files of different names")
    inputs = [each.to(on) if isinstance(each, torch.Tensor) else each for each in _seeded(module, "get_inputs", path)]
    try:
        return made(paths, inputs, name=path.stem)
    except ValueError as error:
        raise UsageError(f"task {path.name!r}: {error}") from error


def _seeded(module: ModuleType, name: str, path: Path) -> list[Any]:
    """What a function of the task returns, from KernelBench's seed."""
    call = function_of(module, name, f"task {path.name!r}")
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        found = call()
    if not isinstance(found, list | tuple):
        raise UsageError(f"task {path.name!r}: {name} returns {type(found).__name__}; expected a list")
    return list(found)


def _model(holder: ModuleType, name: str, path: Path, module: ModuleType, device: torch.device) -> torch.nn.Module:
    """The model called `name` in the file `path`, made with the arguments of the task `module`."""
    kind = function_of(holder, name, f"{path.name!r}")
    arguments = _seeded(module, "get_init_inputs", path) if hasattr(module, "get_init_inputs") else []
    arguments = [each.to(device) if isinstance(each, torch.Tensor) else each for each in arguments]
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        try:
            found = kind(*arguments)
        except Exception as error:
            raise UsageError(f"{path.name!r}: {name} cannot be made ({type(error).__name__}: {error})") from error
    if not isinstance(found, torch.nn.Module):
        raise UsageError(f"{path.name!r}: {name} is {type(found).__name__}; expected a module of torch")
    for part in found.modules():
        if isinstance(part, DROPOUT):
            part.eval()
    return found.to(device).requires_grad_(False)


def _alike(model: torch.nn.Module, baseline: torch.nn.Module) -> torch.nn.Module:
    """`model` with the baseline's weights, where both name them alike and of one shape."""
    mine, theirs = model.state_dict(), baseline.state_dict()
    if mine.keys() == theirs.keys() and all(mine[name].shape == theirs[name].shape for name in mine):
        model.load_state_dict(theirs)
    return model
