"""What to record: the options of `record` -> the planned keys. Pure; knows what a kind of device can do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from rope_prof.errors import OperationError, UnavailableError, UsageError
from rope_prof.model.kind import Kind
from rope_prof.model.run import L2, L2_STATES, MODES, AxisFacts, Case, Key, KeyFacts, Mode, OperationFacts, Value
from rope_prof.record.loop.describe import own_words

if TYPE_CHECKING:
    from rope_prof.kernels.operation import Axis, Operation


#: Calls that a capture holds at least, and a CUDA graph exactly: the layers of the 28B model.
GRAPH_CALLS = 28
#: Rounds at most where a precision is asked for and no number of rounds.
MOST_ROUNDS = 1000
#: The largest seed: what is drawn from it stays within the 64 bits of torch's generators.
MOST_SEED = 2**32 - 1
#: Axes that have an option of their own beside `--set`.
OWN_OPTIONS = ("model", "tp", "tokens", "dtype", "prompt")
CHECKED = "checked in fp32, not timed"

_ROUNDS = {"cuda": 60, "cpu": 15}
_QUICK_ROUNDS = {"cuda": 12, "cpu": 10}
_CALLS = {"cuda": GRAPH_CALLS, "cpu": 10}
_L2: dict[Kind, tuple[L2, ...]] = {"cuda": ("cold",), "cpu": ("hot",)}
SWEEP_MODES: tuple[Mode, ...] = ("eager", "graph")
SWEEP_BUDGET_S = 120.0
#: What captures: torch's profiler, or its newer one (`capture.profiler`).
PROFILERS = ("kineto", "monitor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed. Empty tuples and None mean the default of the device. Errors: UsageError for no seed.

    `values`: (axis, the words of its values) as `--set` has them, or an axis of an option's own.
    """

    operation: str = "mrope"
    values: tuple[tuple[str, tuple[str, ...]], ...] = ()
    paths: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    l2: tuple[str, ...] = ()
    calls: int | None = None
    rounds: int | None = None
    seed: int = 0
    quick: bool = False
    precision: float | None = None
    budget: float | None = None
    sweep: bool = False
    profiler: str = "kineto"

    def __post_init__(self) -> None:
        require_seed(self.seed)
        _known("profiler", (self.profiler,), PROFILERS)


def require_seed(seed: int) -> None:
    """UsageError for what no generator takes as a seed."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"seed {seed}; expected a whole number from 0 to {MOST_SEED}, as in --seed 1")


def parse_values(words: Iterable[str], **own: Iterable[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """`["tokens=1,64", "hidden=4096"]` -> axes with the words of their values, each once.

    `own`: axes that have an option of their own, with what was typed there, as `["1,64", "973"]`. Errors: UsageError
    for what has no `=` or no value.
    """
    found = {axis: _split(texts) for axis, texts in own.items()}
    for word in words:
        axis, _, text = (part.strip() for part in word.partition("="))
        values = tuple(filter(None, _split([text])))
        if not axis or not values:
            raise UsageError(f"cannot read --set {word!r}; expected AXIS=VALUE[,VALUE], as in --set tokens=1,64")
        found[axis] = found.get(axis, ()) + values
    return tuple((axis, tuple(dict.fromkeys(values))) for axis, values in found.items() if values)


def _split(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(part.strip() for text in texts for part in text.split(","))


def calls(options: Options, kind: Kind) -> int:
    """Calls that one capture holds, and on a GPU one sample at least."""
    if options.calls is not None and options.calls < 2:
        raise UsageError(f"calls {options.calls}; expected at least 2, since a period needs the next call")
    return options.calls or _CALLS[kind]


def rounds(options: Options, kind: Kind) -> int:
    """Rounds of interleaved samples: at most, where a precision is asked for."""
    if options.rounds is not None and options.rounds < 1:
        raise UsageError(f"rounds {options.rounds}; expected at least 1")
    if options.rounds is None and options.precision is not None:
        return MOST_ROUNDS
    return options.rounds or (_QUICK_ROUNDS if options.quick or options.sweep else _ROUNDS)[kind]


def budget_s(options: Options) -> float | None:
    """Seconds for the rounds of all cases; None for no bound."""
    if options.budget is not None and not 0 < options.budget < float("inf"):
        raise UsageError(f"budget {options.budget:g}; expected seconds above 0, as in --budget 60")
    if options.budget is None and options.sweep:
        return SWEEP_BUDGET_S
    return options.budget


def operation_of(options: Options) -> Operation:
    """The operation that was named. Errors: UsageError in one sentence for a word that names none, or one that lies."""
    from rope_prof.kernels.lookup import operation

    try:
        return operation(options.operation)
    except LookupError as error:
        raise UsageError(str(error)) from error


def facts_of(operation: Operation, source: str | None) -> OperationFacts:
    """What a run says of `operation`, which `source` finds again. Errors: UsageError for an axis of a taken name."""
    from rope_prof.analysis.run.sweep import TAKEN  # polars, with threads: after workers are forked

    taken = next((axis.name for axis in operation.axes if axis.name in TAKEN), None)
    if taken is not None:
        raise UsageError(
            f"operation {operation.name!r}: axes has {taken!r}, which is a column of every table; expected another name"
        )
    return OperationFacts(
        name=operation.name,
        baseline=operation.paths[0],
        swept=operation.swept,
        axes=tuple(AxisFacts(name=axis.name, form=axis.form, noun=axis.noun) for axis in operation.axes),
        outputs=tuple(output.name for output in operation.outputs),
        formula=operation.formula,
        source=source,
    )


def plan(
    options: Options,
    kind: Kind,
    *,
    triton: bool = True,
    find: Callable[[str], object] | None = None,
    operation: Operation | None = None,
) -> tuple[KeyFacts, ...]:
    """The keys to record on a device of `kind`, in the order of the table: `pending`, or `unavailable` with its reason.

    `triton`: whether Triton can be imported. `find` looks a user's own path up, by LookupError for a name that names
    nothing; by default in this process. `operation`: one that was made in a script, in the place of the named one.
    Errors: UsageError for words that name nothing; UnavailableError where nothing that was asked for can run.
    """
    if options.sweep and kind == "cpu":
        raise UnavailableError("--sweep needs an NVIDIA GPU; on a CPU name a few counts, as in --tokens 1,64,256")
    measured = operation or operation_of(options)
    facts = facts_of(measured, options.operation if operation is None else None)
    paths = _paths(options.paths, measured, find)
    _known("mode", options.modes, MODES)
    _known("L2 state", options.l2, L2_STATES)
    modes = tuple(mode for mode in MODES if mode in options.modes) or (SWEEP_MODES if options.sweep else ())
    states = tuple(state for state in L2_STATES if state in options.l2) or _L2[kind]
    planned = tuple(
        _planned(
            KeyFacts(key=Key(case=case, path=path, mode=mode, l2=l2), status="pending", triton=needs),
            kind,
            triton,
            _lacks(measured, case, path),
        )
        for case in _cases(options, kind, measured, facts)
        for l2 in states
        for path, needs in paths.items()
        for mode in modes or default_modes(path == facts.baseline, kind)
    )
    if all(one.status == "unavailable" for one in planned):
        raise UnavailableError(f"nothing to record: {planned[0].reason}")
    return planned


def _lacks(operation: Operation, case: Case, path: str) -> str | None:
    with own_words(operation.name, "lacks"):
        found = operation.lacks(dict(case.values), path)
    if found is not None and not isinstance(found, str):
        raise OperationError(f"operation {operation.name!r}: lacks gives {found!r}; expected words, or None")
    return found


def default_modes(baseline: bool, kind: Kind) -> tuple[Mode, ...]:
    """Modes of a path where none is asked for: all on a GPU; on a CPU those that the baseline has, and eager."""
    if kind == "cuda":
        return MODES
    return ("eager", "compile") if baseline else ("eager",)


def fitted(options: Options, kind: Kind) -> tuple[Options, str | None]:
    """`options` that go together, and a sentence where an axis that was not asked for had to give way.

    So `--tp 8` alone records a model whose heads eight ranks can share, which the usual one has not. Errors: UsageError
    where no choice of such an axis goes with what was asked.
    """
    operation = operation_of(options)
    facts = facts_of(operation, options.operation)
    try:
        _cases(options, kind, operation, facts)
    except UsageError as wrong:
        asked = {name for name, _ in options.values}
        free = ((axis.name, str(one)) for axis in operation.axes if axis.name not in asked for one in axis.choices)
        for name, choice in free:
            other = replace(options, values=(*options.values, (name, (choice,))))
            with suppress(UsageError):
                _cases(other, kind, operation, facts)
                return other, f"{wrong}; {name} {choice}, which goes with it, is recorded"
        raise
    return options, None


def _cases(options: Options, kind: Kind, operation: Operation, facts: OperationFacts) -> list[Case]:
    """Every combination of the axes' values, the swept one last; in a sweep those that go together."""
    asked = dict(options.values)
    names = [axis.name for axis in operation.axes]
    _known("axis", asked, names)
    values = {
        axis.name: _values(axis, asked[axis.name])
        if axis.name in asked
        else axis.usual(kind, quick=options.quick, sweep=options.sweep)
        for axis in operation.axes
    }
    ordered = sorted(names, key=lambda name: name == operation.swept)
    cases, wrong = [], None
    for one in itertools.product(*(values[name] for name in ordered)):
        case = facts.case(dict(zip(ordered, one, strict=True)))
        try:
            _check(operation, case)
        except ValueError as error:
            wrong = wrong or UsageError(str(error))
            if not options.sweep or all(name in asked for name in ordered[:-1]):
                raise wrong from error
        else:
            cases.append(case)
    if not cases and wrong is not None:
        raise wrong
    _require_names(cases)
    return cases


def _require_names(cases: Sequence[Case]) -> None:
    """Names of cases name files: each another, and of signs that may stand there. Errors: UsageError."""
    known: dict[str, Case] = {}
    for case in cases:
        strange = next((sign for sign in case.name if sign in "/\\#" or not sign.isprintable()), None)
        if strange is not None:
            raise UsageError(f"case {case.words!r} holds {strange!r}, and names files; expected values without it")
        other = known.setdefault(case.name, case)
        if other is not case:
            raise UsageError(
                f"cases {other.words!r} and {case.words!r} are both called {case.name!r}; expected values, or forms of "
                "axes, that differ in more than blanks and capitals"
            )


def _check(operation: Operation, case: Case) -> None:
    """Errors: ValueError, the operation's own sentence; OperationError where its code fails otherwise."""
    try:
        operation.check(dict(case.values))
    except ValueError:
        raise
    except Exception:
        with own_words(operation.name, "check"):
            raise


def _values(axis: Axis, words: Iterable[str]) -> tuple[Value, ...]:
    """The values on `axis`, each once. Errors: UsageError for what is none of its choices, or no such number."""
    counted = all(isinstance(value, int) for each in axis.defaults.values() for value in each)
    found: dict[Value, None] = {}
    for word in words:
        value = _whole_number(axis, word) if counted else word
        if axis.choices:
            _known(axis.name, (value,), axis.choices)
        found[value] = None
    return tuple(found)


def _whole_number(axis: Axis, word: str) -> int:
    digits = word.replace("_", "")
    if not (digits.isascii() and digits.isdigit()) or not axis.least <= int(digits) <= axis.most:
        option = f"--{axis.name} " if axis.name in OWN_OPTIONS else f"--set {axis.name}="
        usual = ",".join(map(str, axis.usual("cuda") or (axis.least,)))
        raise UsageError(
            f"{axis.name} {word!r}; expected whole numbers from {axis.least} to {axis.most}, as in {option}{usual}"
        )
    return int(digits)


def _paths(asked: Sequence[str], operation: Operation, find: Callable[[str], object] | None) -> dict[str, bool]:
    """Paths of the operation that were named, or all of them, and a user's own `module:function`: whether each needs
    Triton.
    """
    from rope_prof.kernels.paths import path_of

    ours = tuple(dict.fromkeys(name for name in asked if name in operation.paths))
    own = tuple(dict.fromkeys(name for name in asked if name not in operation.paths))
    found = {}
    for name in (ours or operation.paths) + own:
        try:
            if name in own:
                found[name] = bool(getattr((find or partial(path_of, operation))(name), "triton", False))
            else:
                found[name] = _needs_triton(operation, name)
        except LookupError as error:
            raise UsageError(str(error)) from error
    return found


def _needs_triton(operation: Operation, name: str) -> bool:
    """Whether the path called `name` needs Triton, as one that cannot be loaded without it does."""
    from rope_prof.kernels.paths import path_of

    with own_words(operation.name, f"path({name!r})"):
        try:
            return path_of(operation, name).triton
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "triton":
                raise
            return True


def _known(what: str, asked: Iterable[Value], names: Sequence[Value]) -> None:
    for word in asked:
        if word not in names:
            raise UsageError(f"unknown {what} {word!r}; expected {', '.join(map(repr, names))}")


def _planned(facts: KeyFacts, kind: Kind, triton: bool, reason: str | None) -> KeyFacts:
    key = facts.key
    if reason is not None:
        pass  # the operation's own word
    elif facts.triton and not triton:
        reason = f"path {key.path!r} needs Triton, which cannot be imported; install triton (Linux)"
    elif kind == "cpu" and key.l2 == "cold":
        reason = "L2 state 'cold' needs an NVIDIA GPU; a CPU's caches are left as they are: leave out --l2 cold"
    elif kind == "cpu" and key.mode == "graph":
        reason = "mode 'graph' needs an NVIDIA GPU; leave out --mode graph"
    elif kind == "cpu" and facts.triton and key.mode != "eager":
        reason = f"path {key.path!r} in mode {key.mode!r} needs an NVIDIA GPU; here it is checked in mode 'eager'"
    return facts if reason is None else replace(facts, status="unavailable", reason=reason)


def interpreted(facts: KeyFacts, kind: Kind) -> bool:
    """Whether that key is only checked, by Triton's interpreter: a Triton path without a GPU."""
    return kind == "cpu" and facts.triton
