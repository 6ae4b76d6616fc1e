"""`rope_prof.measure`: callables and inputs -> an operation -> the very recorder that `record` runs -> a verdict.

Nothing is timed or judged here: keys are planned, rounds are taken, outputs are checked and captures are made by
`rope_prof.record`, in this process, since a callable of a script cannot be sent to another. What `torch.compile` needs
set for the recording is set back.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.fusion.inputs import device_of, sets_of
from rope_prof.fusion.measured import MeasuredFusion
from rope_prof.fusion.paths import NamedPath, named
from rope_prof.fusion.progress import shown
from rope_prof.io.run.writer import writing
from rope_prof.kernels.float64 import compiled
from rope_prof.kernels.lookup import required
from rope_prof.kernels.made import Made, made
from rope_prof.kernels.operation import Output
from rope_prof.model.run import KeyFacts, Run
from rope_prof.record.bench.subjects import WARM_POOL
from rope_prof.record.device.devices import RecordDevice, find_device
from rope_prof.record.loop.plan import Options, plan
from rope_prof.record.loop.stopping import parse_precision
from rope_prof.record.session import fresh_run, record_run

Paths = Mapping[str, Callable[..., Any]] | Sequence[Callable[..., Any]]
_One = TypeVar("_One", str, int)
HERE = "its paths are callables of a script"


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """What a path, the compiler or the profiler warns of is shown, not raised: it decides over no path.

    A test session that turns warnings into errors would else fail whoever is first to import a part of torch.
    """
    with warnings.catch_warnings():
        kept = [("default" if each[0] == "error" else each[0], *each[1:]) for each in warnings.filters]
        warnings.filters[:] = kept  # type: ignore[index]
        warnings.simplefilter("default", append=True)  # which also says that they have changed
        yield


@_warnings_shown()
def measure(
    paths: Paths,
    inputs: Any,
    *,
    reference: Callable[..., Any] | None = None,
    name: str = "fusion",
    modes: Sequence[str] = (),
    l2: Sequence[str] = (),
    rounds: int | None = None,
    precision: str | float | None = None,
    budget: float | None = None,
    quick: bool = False,
    seed: int = 0,
    outputs: Sequence[str] = (),
    tolerance: float = 0.0,
    shared: Collection[int] | int = (),
    least_bytes: int | None = None,
    progress: bool | None = None,
) -> MeasuredFusion:
    """Whether the later of `paths` are right, and faster than the first, on `inputs`; by how much, and why.

    `paths`: name -> callable, or what `rope_prof.path` decorates: functions, modules, what torch.compile made.
    `inputs`: the arguments of one call (a tensor, a tuple), what makes them, or case -> either; all on the one device
    that is measured. `reference`: called with every floating tensor in float64; without one the first path is, with all
    its arithmetic in float64. `outputs`: names of the tensors that a path returns; `tolerance`: what each may err, as a
    share of its largest value, beside twice what the first path errs. `shared`: places of arguments that every call
    reads alike, as weights are: they stay in the cache. `modes`, `l2`, `rounds`, `precision` ("1%"), `budget` (in s),
    `quick`, `seed`: as of `record`. `progress`: whether a bar is shown; by default on a terminal and in a notebook.

    Errors: UsageError in one sentence for what does not go together; UnavailableError where nothing could be measured.
    """
    modes, l2, outputs = (_several(*each, str) for each in (("modes", modes), ("l2", l2), ("outputs", outputs)))
    shared = _several("shared", shared, int)
    listed = named(paths)
    sets = sets_of(inputs, seed)
    device = device_of(sets, {one.said.name: one.call for one in listed})
    operation = _operation(listed, sets, name, reference, outputs, tolerance, shared, least_bytes)
    on = find_device(str(device))
    options = Options(
        modes=modes,
        l2=l2,
        rounds=rounds,
        seed=seed,
        quick=quick,
        precision=parse_precision(str(precision)) if precision is not None else None,
        budget=budget,
    )
    run = _planned(options, on, operation, listed)
    return MeasuredFusion(_recorded(run, on, operation, progress), operation.judge)


def _several(what: str, given: Any, kind: type[_One]) -> tuple[_One, ...]:
    """`given` as a tuple: one of `kind` alone, or several. Errors: UsageError that names `what`."""
    several = (given,) if isinstance(given, kind) else tuple(given) if isinstance(given, Collection) else (None,)
    if not all(isinstance(each, kind) for each in several):
        word = "words" if kind is str else "places, counted from 0"
        raise UsageError(f"{what} is {given!r}; expected {word}, in a tuple")
    return several


def _operation(
    listed: Sequence[NamedPath],
    sets: Any,
    name: str,
    reference: Callable[..., Any] | None,
    outputs: Sequence[str],
    tolerance: float,
    shared: Collection[int],
    least_bytes: int | None,
) -> Made:
    """The operation that the script describes. Errors: UsageError that names the field."""
    written = dict.fromkeys(one.said.writes for one in listed if one.said.writes)
    if len(written) > 1:
        raise UsageError(f"paths write into the arguments at {' and at '.join(map(str, written))}; expected one place")
    try:
        operation = made(
            {one.said.name: one.call for one in listed},
            sets,
            name=name,
            reference=reference,
            outputs=tuple(Output(name=each, tolerance=tolerance) for each in outputs),
            in_place=[one.said.name for one in listed if one.said.writes],
            written=next(iter(written), ()),
            shared=shared,
            least_bytes=least_bytes,
            tolerance=tolerance,
        )
        required(operation, name)
    except (ValueError, LookupError) as error:
        raise UsageError(str(error)) from error
    return operation


def _planned(options: Options, device: RecordDevice, operation: Made, listed: Sequence[NamedPath]) -> Run:
    """The run with the keys of every case that has arguments, and of every mode that makes sense of a path."""
    cases = [
        replace(options, values=tuple((axis, (str(value),)) for axis, value in case.items()))
        for case in operation.cases
    ]
    run = fresh_run(cases[0], device, operation.name, isolation=HERE, operation=operation)
    triton = run.machine.triton is not None
    keys = list(run.keys)
    for one in cases[1:]:
        keys += plan(one, device.kind, triton=triton, operation=operation)
    said = {one.said.name: one for one in listed}
    return replace(
        run, keys=tuple(_able(facts, said[facts.key.path], device) for facts in keys if _sensible(facts, said))
    )


def _sensible(facts: KeyFacts, said: Mapping[str, NamedPath]) -> bool:
    """Whether that mode says anything of the path: what torch.compile made is not compiled once more."""
    return facts.key.mode != "compile" or not compiled(said[facts.key.path].call)


def _able(facts: KeyFacts, one: NamedPath, device: RecordDevice) -> KeyFacts:
    """The key, unavailable where its path needs a GPU and there is none."""
    if one.said.needs != "cuda" or device.kind == "cuda":
        return facts
    return replace(facts, status="unavailable", reason=f"path {one.said.name!r} needs an NVIDIA GPU")


def _recorded(run: Run, device: RecordDevice, operation: Made, progress: bool | None) -> Path:
    """A folder with the recording, which goes with the process. Errors: UnavailableError where nothing was measured."""
    folder = Path(tempfile.mkdtemp(prefix="rope_prof-measured-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    compiles = any(facts.key.mode == "compile" for facts in run.keys)
    with _compiler_as_it_was() if compiles else nullcontext(), shown(progress) as bar, writing(folder):
        keys = record_run(run, device, folder, bar, operation=operation).keys
    if not any(facts.status in {"measured", "wrong"} for facts in keys):
        why = next((facts.reason for facts in keys if facts.reason), "no key was planned")
        raise UnavailableError(f"nothing could be measured: {why}")
    return folder


@contextmanager
def _compiler_as_it_was() -> Iterator[None]:
    """What the recording sets of torch.compile's configuration, and as it was afterwards."""
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    places: list[tuple[Any, str]] = [
        (dynamo, "fail_on_recompile_limit_hit"),
        (inductor.cpp, "enable_kernel_profile"),
        (inductor.cpp, "vec_isa_ok"),
        (inductor, "cpp_cache_precompile_headers"),
        (inductor, "compile_threads"),
    ]
    before = [(owner, field, getattr(owner, field)) for owner, field in places if hasattr(owner, field)]
    pool = os.environ.get(WARM_POOL)
    try:
        yield
    finally:
        for owner, field, value in before:
            setattr(owner, field, value)
        if pool is None:
            os.environ.pop(WARM_POOL, None)
