"""What one recording is: machine, cases, keys and the facts of each key. No files, no statistics.

A **key** is case x path x mode x L2 state x rank; it names every sample, file and range. Statistics (medians,
intervals, speedups) are never stored: `rope_prof.analysis` computes them from the samples and the traces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import msgspec

from rope_prof.model.frozen import Frozen
from rope_prof.units import counted

SCHEMA_VERSION = 2

Value = str | int
Mode = Literal["eager", "compile", "graph"]
L2 = Literal["cold", "hot"]
Clock = Literal["wall", "device"]
Why = Literal["precision", "budget", "rounds"]
WHYS: tuple[Why, ...] = ("precision", "budget", "rounds")
Status = Literal["pending", "measured", "checked", "wrong", "unavailable", "failed"]
CeilingName = Literal["copy", "in_place", "empty_launch", "graph_node"]
CEILINGS: tuple[CeilingName, ...] = ("copy", "in_place", "empty_launch", "graph_node")
L2_STATES: tuple[L2, ...] = ("cold", "hot")
MODES: tuple[Mode, ...] = ("eager", "compile", "graph")
#: Two processes whose queued launches are this many times apart have channels of the device of one kind.
ALIKE = 1.025


class AxisFacts(Frozen, kw_only=True):
    """One field of a case: `form` makes its part of a key's name, `noun` its words in sentences."""

    name: str
    form: str = "{}"
    noun: str = ""

    @property
    def title(self) -> str:
        """What the axis itself is called: `TP` of the form `TP {}`, else its name."""
        return self.form.removesuffix(" {}") if self.form.endswith(" {}") else self.name

    def phrase(self, value: Value) -> str:
        """`64 tokens`, `image prompt`; its form where it has no noun."""
        if not self.noun:
            return self.form.format(value)
        return counted(value, self.noun) if isinstance(value, int) else f"{value} {self.noun}"


def heads(axes: Iterable[AxisFacts], taken: Collection[str]) -> dict[str, str]:
    """Name of an axis -> what it is called beside the words `taken`: its title, or `axis NAME` if that is had."""
    by_name = {axis.name: axis.title for axis in axes}
    titles = list(by_name.values())
    own = {title for title in titles if titles.count(title) == 1}.difference(taken)
    return {name: title if title in own else f"axis {name}" for name, title in by_name.items()}


class OperationFacts(Frozen, kw_only=True):
    """What was measured, as views and analysis know it: they import no operation.

    `baseline`: the path that all others are held against. `swept`: the axis of whole numbers that charts run over.
    `outputs`: the names of what a call gives. `formula`: how the bytes of a path are counted, in words.
    `source`: what `--operation` said, by which a recording finds it again; None where it was made in a script.
    """

    name: str
    baseline: str
    swept: str
    axes: tuple[AxisFacts, ...]
    outputs: tuple[str, ...] = ()
    formula: str = ""
    source: str | None = None

    @property
    def swept_axis(self) -> AxisFacts:
        """The axis called `swept`."""
        return next(axis for axis in self.axes if axis.name == self.swept)

    def case(self, values: Mapping[str, Value]) -> Case:
        """The case of these values, one an axis. Errors: KeyError for an axis without one."""
        return Case(values=tuple((axis.name, values[axis.name]) for axis in self.axes), operation=self)


@dataclass(frozen=True, kw_only=True)
class Case:
    """The input of a call: one value an axis, in the order of the operation's axes."""

    values: tuple[tuple[str, Value], ...]
    operation: OperationFacts = field(compare=False, repr=False)

    def __getitem__(self, axis: str) -> Value:
        """The value on `axis`. Errors: KeyError."""
        for name, value in self.values:
            if name == axis:
                return value
        raise KeyError(axis)

    def but(self, **values: Value) -> Case:
        """The case that differs in these values alone."""
        return self.operation.case(dict(self.values) | values)

    @cached_property
    def name(self) -> str:
        """`28b-tp1-n973-bf16-image`: unique, safe in a file name, sorts by nothing."""
        pairs = zip(self.operation.axes, self.values, strict=True)
        return "-".join(axis.form.format(value).lower().replace(" ", "") for axis, (_, value) in pairs)

    @property
    def words(self) -> str:
        """`28b · TP 1 · 973 tokens · bf16 · image prompt`."""
        pairs = zip(self.operation.axes, self.values, strict=True)
        return " · ".join(axis.phrase(value) for axis, (_, value) in pairs)

    @property
    def swept(self) -> int:
        """The value on the swept axis."""
        return int(self[self.operation.swept])

    @property
    def family(self) -> tuple[tuple[str, Value], ...]:
        """What it shares with the other cases of one sweep: every value but the swept one."""
        return tuple((name, value) for name, value in self.values if name != self.operation.swept)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Names every sample, file and range of one measurement."""

    case: Case
    path: str
    mode: Mode
    l2: L2
    rank: int = 0

    @property
    def is_baseline(self) -> bool:
        """Whether its path is the one that all others are held against."""
        return self.path == self.case.operation.baseline

    @property
    def side(self) -> str:
        """`fused eager`: its path and mode in a sentence."""
        return f"{self.path} {self.mode}"

    @property
    def words(self) -> str:
        """`fused eager, 28b · TP 1 · 973 tokens · bf16 · image prompt`: what a recording says it is at."""
        return f"{self.side}, {self.case.words}"

    @cached_property
    def name(self) -> str:
        """`fused.eager.cold.28b-tp1-n973-bf16-image.r0`; a user's `module:function` keeps its colon as `@`."""
        return f"{self.path.replace(':', '@')}.{self.mode}.{self.l2}.{self.case.name}.r{self.rank}"


class Machine(Frozen, kw_only=True):
    """What the run was recorded on; `None` where the machine has no such thing, or an older version did not ask.

    `commit` is that of the code that was measured, `dirty` whether it had changes that are in no commit; `load` the
    host's load average over the minute before; `host` tells hosts apart and names none.
    """

    device: Literal["cuda", "cpu"]
    device_name: str
    python: str
    platform: str
    cpu_name: str
    cpu_cores: int
    torch: str
    triton: str | None = None
    cuda: str | None = None
    driver: str | None = None
    capability: str | None = None
    multiprocessors: int | None = None
    l2_bytes: int | None = None
    memory_bytes: int | None = None
    commit: str | None = None
    dirty: bool | None = None
    load: float | None = None
    host: str | None = None
    untested: tuple[str, ...] = ()  # versions that this program was not tried with: `torch 2.16.0, tried with …`


class OutputAccuracy(Frozen, kw_only=True):
    """One output of a path against the float64 reference: as `Accuracy`, of this tensor alone.

    `far_share`: of its elements, those that err by over a quarter of their own value; `far_limit`: as many as may.
    """

    name: str
    dtype: str
    max_error: float
    limit: float
    rounded_share: float
    nans: int
    far_share: float = 0.0
    far_limit: float = 1.0

    @property
    def wrong(self) -> bool:
        """A NaN, a maximum error over the limit, or too many elements that are far off."""
        return self.nans > 0 or not self.max_error <= self.limit or self.far_share > self.far_limit


class LayoutError(Frozen, kw_only=True):
    """What came of a path where one argument lay in memory in another way: wrong values, by `reason`."""

    argument: str
    layout: str
    reason: str


class Accuracy(Frozen, kw_only=True):
    """One path against the float64 reference on the very input that was measured.

    `max_error` is the largest absolute error, `limit` twice the baseline's own on that input: of all outputs together
    in runs of version 1, else of the output nearest its limit. `rounded_share`: the share of all elements that are the
    correctly rounded ones, `nans` those that are NaN or infinite where the reference is not, or the other way.
    `outputs`: each by itself. `layouts`: how many other layouts of the arguments were tried; `layout_errors`: those
    that the path got wrong, and other values where it was wrong there.
    """

    max_error: float
    limit: float
    rounded_share: float
    nans: int
    dtype: str
    outputs: tuple[OutputAccuracy, ...] = ()
    layouts: int = 0
    layout_errors: tuple[LayoutError, ...] = ()

    @property
    def wrong(self) -> bool:
        """A NaN, an error over the limit of its output, or wrong values in another layout: shown, never ranked."""
        own = self.nans > 0 or not self.max_error <= self.limit
        return own or any(output.wrong for output in self.outputs) or bool(self.layout_errors)


class Stopped(Frozen, kw_only=True):
    """Why the rounds of a key ended, after how many: precise enough, its time spent, or all of them done.

    `width`: of the interval `of` its ratio to the baseline, or of its own median, over the centre; None where it has no
    interval. `asked`: the precision as a share, or the seconds of its case.
    """

    why: Why
    rounds: int
    width: float | None = None
    of: Literal["ratio", "median"] = "ratio"
    asked: float | None = None


class KeyFacts(Frozen, kw_only=True):
    """The facts of one key. `status` says how far it came; `reason` why, where it is not `measured`.

    `measured`: timed, and captured (a sweep times alone). `checked`: right, but not timed on this device (the Triton
    paths without a GPU).
    `wrong`: fails the accuracy check. `unavailable`: the device lacks the mode or the path. `failed`: an error,
    out of memory for one. `pending`: planned, not yet run (a run cut short is resumed from here).
    `triton`: its path needs Triton, and a GPU or an interpreter. `stopped`: why its rounds ended. `light_trace`: the
    capture at the lowest overhead that still links kernels to ranges: no operators of the host.
    """

    key: Key
    status: Status
    reason: str | None = None
    accuracy: Accuracy | None = None
    in_place: bool = False
    triton: bool = False
    bytes_moved: int | None = None
    ring_buffers: int | None = None
    ring_bytes: int | None = None
    captured_calls: int | None = None
    first_call_ns: int | None = None
    trace: str | None = None
    light_trace: str | None = None
    stopped: Stopped | None = None


class Ceiling(Frozen, kw_only=True):
    """What the card itself can do, sampled by one `method` in the very rounds of its case, under `key_name`.

    `copy`: a large device-to-device copy; `in_place`: one pass over the rotated views that reads and writes each byte
    and computes nothing to speak of; `empty_launch`: one kernel that does nothing, launched; `graph_node`: one such
    kernel in a long chain of a CUDA graph (`calls` of its samples counts nodes, `busy_ns` is its traced own time).
    `bytes_moved`: read and written by one call; None where it moves none.
    """

    name: CeilingName
    case: Case
    method: str
    rank: int = 0
    bytes_moved: int | None = None
    busy_ns: float | None = None
    status: Status = "pending"
    reason: str | None = None

    @property
    def key_name(self) -> str:
        """`ceiling.copy.eager.28b-tp1-n973-bf16-image.r0`: its name in the samples."""
        return f"ceiling.{self.name}.{self.method}.{self.case.name}.r{self.rank}"


class Run(Frozen, kw_only=True):
    """One recording. `command` is what was typed; `seed` orders the rounds and fills the inputs."""

    schema_version: int
    name: str
    created: str
    rope_prof: str
    command: str
    seed: int
    machine: Machine
    operation: OperationFacts
    keys: tuple[KeyFacts, ...]
    settings: dict[str, str | int | float | bool | None] = msgspec.field(default_factory=dict)
    complete: bool = False
    ceilings: tuple[Ceiling, ...] = ()

    def facts(self, name: str) -> KeyFacts:
        """The facts of the key called `name`; KeyError if the run has none."""
        for facts in self.keys:
            if facts.key.name == name:
                return facts
        raise KeyError(name)

    @property
    def ranks(self) -> int:
        """How many processes recorded it at once."""
        return int(self.settings.get("world_size") or 1)

    def going_on(self, folder: str = "RUN") -> str:
        """What to do about what a cut recording in `folder` lacks: ranks measured one after another are no ranks."""
        if self.ranks > 1:
            return f"record anew on all {self.ranks} ranks: such a run is not resumed"
        return f"go on with `python -m rope_prof record --resume -o {folder}`"
