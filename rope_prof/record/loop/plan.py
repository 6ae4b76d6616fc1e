"""What to record: the options of `record` -> the planned keys. Pure; knows what a kind of device can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.model.kind import Kind
from rope_prof.model.run import L2, L2_STATES, MODES, Case, Key, KeyFacts, Mode

if TYPE_CHECKING:
    from rope_prof.kernels.mrope.shape import MropeShape


#: Calls that a capture holds at least, and a CUDA graph exactly: the layers of the 28B model.
GRAPH_CALLS = 28
#: Rounds at most where a precision is asked for and no number of rounds.
MOST_ROUNDS = 1000
#: The largest seed: what is drawn from it stays within the 64 bits of torch's generators.
MOST_SEED = 2**32 - 1
CHECKED = "checked in fp32, not timed"

_TOKENS = {"cuda": (1, 64, 973, 8192), "cpu": (1, 64, 256)}
_QUICK_TOKENS = {"cuda": (64, 973), "cpu": (64,)}
_ROUNDS = {"cuda": 60, "cpu": 15}
_QUICK_ROUNDS = {"cuda": 12, "cpu": 10}
_CALLS = {"cuda": GRAPH_CALLS, "cpu": 10}
_L2: dict[Kind, tuple[L2, ...]] = {"cuda": ("cold",), "cpu": ("hot",)}
#: A sweep: powers of four, both models, every number of ranks that divides the heads.
SWEEP_TOKENS = tuple(4**power for power in range(9))
SWEEP_TP = (1, 2, 4, 8)
SWEEP_MODES: tuple[Mode, ...] = ("eager", "graph")
SWEEP_BUDGET_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was typed. Empty tuples and None mean the default of the device. Errors: UsageError for no seed."""

    models: tuple[str, ...] = ()
    tp: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    dtypes: tuple[str, ...] = ("bf16",)
    paths: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    l2: tuple[str, ...] = ()
    prompt: str = "image"
    calls: int | None = None
    rounds: int | None = None
    seed: int = 0
    quick: bool = False
    precision: float | None = None
    budget: float | None = None
    sweep: bool = False

    def __post_init__(self) -> None:
        require_seed(self.seed)


def require_seed(seed: int) -> None:
    """UsageError for what no generator takes as a seed."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"seed {seed}; expected a whole number from 0 to {MOST_SEED}, as in --seed 1")


def parse_tokens(words: Iterable[str]) -> tuple[int, ...]:
    """`["1,64", "973"]` -> (1, 64, 973), each once. UsageError for what is no whole number of at least 1."""
    found: list[int] = []
    for word in (part.strip() for text in words for part in text.split(",")):
        digits = word.replace("_", "")
        if not (digits.isascii() and digits.isdigit()) or not 1 <= int(digits) <= 4_000_000:
            raise UsageError(f"tokens {word!r}; expected whole numbers from 1 to 4000000, as in --tokens 1,64,973")
        if int(digits) not in found:
            found.append(int(digits))
    return tuple(found)


def calls(options: Options, kind: Kind) -> int:
    """Calls that one capture holds, and one sample at least."""
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


def plan(
    options: Options, kind: Kind, *, triton: bool = True, find: Callable[[str], object] | None = None
) -> tuple[KeyFacts, ...]:
    """The keys to record on a device of `kind`, in the order of the table: `pending`, or `unavailable` with its reason.

    `triton`: whether Triton can be imported. `find` looks a user's own path up, by LookupError for a name that names
    nothing; by default in this process. Errors: UsageError for words that name nothing; UnavailableError where
    nothing that was asked for can run.
    """
    if options.sweep and kind == "cpu":
        raise UnavailableError("--sweep needs an NVIDIA GPU; on a CPU name a few counts, as in --tokens 1,64,256")
    paths = _paths(options.paths, find)
    modes = _modes(options.modes) or (SWEEP_MODES if options.sweep else ())
    planned = tuple(
        _planned(Key(case=case, path=path, mode=mode, l2=l2), kind, triton)
        for case in _cases(options, kind)
        for l2 in _l2(options.l2, kind)
        for path in paths
        for mode in modes or default_modes(path, kind)
    )
    if all(facts.status == "unavailable" for facts in planned):
        raise UnavailableError(f"nothing to record: {planned[0].reason}")
    return planned


def default_modes(path: str, kind: Kind) -> tuple[Mode, ...]:
    """Modes of `path` where none is asked for: all on a GPU; on a CPU those that it has."""
    if kind == "cuda":
        return MODES
    return ("eager", "compile") if path == "unfused" else ("eager",)


def models_of(options: Options) -> tuple[str, ...]:
    """The models that were asked for: 28b by default, both in a sweep."""
    return options.models or (("28b", "424b") if options.sweep else ("28b",))


def _cases(options: Options, kind: Kind) -> list[Case]:
    from rope_prof.kernels.mrope.inputs import DTYPES, PROMPTS
    from rope_prof.kernels.mrope.shape import PRESETS

    models = models_of(options)
    _known("model", models, tuple(PRESETS))
    _known("dtype", options.dtypes, tuple(DTYPES))
    _known("prompt", (options.prompt,), PROMPTS)
    if options.sweep and not options.tp:
        shards = [(model, ranks) for model in models for ranks in SWEEP_TP if _divides(PRESETS[model], ranks)]
    else:
        shards = [(model, ranks) for model in models for ranks in options.tp or (1,)]
    for model, ranks in shards:
        try:
            PRESETS[model].tp(ranks)
        except ValueError as error:
            raise UsageError(str(error)) from error
    usual = SWEEP_TOKENS if options.sweep else (_QUICK_TOKENS if options.quick else _TOKENS)[kind]
    tokens = options.tokens or usual
    return [
        Case(model=model, tp=ranks, tokens=count, dtype=dtype, prompt=options.prompt)
        for model, ranks in shards
        for dtype in options.dtypes
        for count in tokens
    ]


def _paths(asked: Sequence[str], find: Callable[[str], object] | None) -> tuple[str, ...]:
    """Ours that were named, or all of ours; a user's own `module:function` joins them."""
    from rope_prof.kernels.mrope.paths import NAMES, path

    ours = tuple(dict.fromkeys(name for name in asked if name in NAMES))
    own = tuple(dict.fromkeys(name for name in asked if name not in NAMES))
    for name in own:
        try:
            (find or path)(name)
        except LookupError as error:
            raise UsageError(str(error)) from error
    return (ours or NAMES) + own


def _modes(asked: Sequence[str]) -> tuple[Mode, ...]:
    _known("mode", asked, MODES)
    return tuple(mode for mode in MODES if mode in asked)


def _known(what: str, asked: Iterable[str], names: Sequence[str]) -> None:
    for word in asked:
        if word not in names:
            raise UsageError(f"unknown {what} {word!r}; expected {', '.join(map(repr, names))}")


def _divides(shape: MropeShape, ranks: int) -> bool:
    try:
        shape.tp(ranks)
    except ValueError:
        return False
    return True


def _l2(asked: Sequence[str], kind: Kind) -> tuple[L2, ...]:
    _known("L2 state", asked, L2_STATES)
    return tuple(state for state in L2_STATES if state in asked) or _L2[kind]


def _planned(key: Key, kind: Kind, triton: bool) -> KeyFacts:
    from rope_prof.kernels.mrope.paths import NAMES

    is_triton = key.path in NAMES and key.path != "unfused"
    reason = None
    if is_triton and not triton:
        reason = f"path {key.path!r} needs Triton, which cannot be imported; install triton (Linux)"
    elif kind == "cpu" and key.l2 == "cold":
        reason = "L2 state 'cold' needs an NVIDIA GPU; a CPU's caches are left as they are: leave out --l2 cold"
    elif kind == "cpu" and key.mode == "graph":
        reason = "mode 'graph' needs an NVIDIA GPU; leave out --mode graph"
    elif kind == "cpu" and is_triton and key.mode != "eager":
        reason = f"path {key.path!r} in mode {key.mode!r} needs an NVIDIA GPU; here it is checked in mode 'eager'"
    return KeyFacts(key=key, status="unavailable" if reason else "pending", reason=reason)


def interpreted(key: Key, kind: Kind) -> bool:
    """Whether `key` is only checked, by Triton's interpreter: one of our Triton paths without a GPU."""
    from rope_prof.kernels.mrope.paths import NAMES

    return kind == "cpu" and key.path in NAMES and key.path != "unfused"
