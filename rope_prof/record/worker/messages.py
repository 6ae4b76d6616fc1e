"""What the recorder asks of a worker and what it answers: one table of calls, each with the types of both sides."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import msgspec

from rope_prof.model.frozen import decodable
from rope_prof.model.run import Accuracy, Case, Ceiling, CeilingName, Key, Machine
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.loop.timing import Sample, Subject

#: Changes with anything below: two sides of different versions do not talk.
PROTOCOL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker measures with. `bench`: `module:function` that makes its bench of this setup.

    `operation`: the word by which it is found. `kernels`: a folder whose modules stand in for those of
    `rope_prof.kernels` (another revision's). `compiles`: a mode of its path needs the compiler.
    """

    bench: str
    device: str
    seed: int
    calls: int
    operation: str = "mrope"
    kernels: str | None = None
    profiler: str = "kineto"
    compiles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What a worker says of itself once it has made its bench."""

    protocol: int
    rope_prof: str
    pid: int
    machine: Machine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The numbers of a `timing.Subject`, which both sides keep alike."""

    name: str
    step: int
    one_step: bool
    takes_off: bool
    calls: int
    device_calls: int
    hold_ns: int
    waits: bool


def put(subject: Subject, size: Size) -> None:
    """Those numbers into `subject`, but for what it is: its name and how it steps."""
    for name in ("calls", "device_calls", "hold_ns", "waits", "takes_off"):
        setattr(subject, name, getattr(size, name))


def size_of(subject: Subject) -> Size:
    """The numbers of `subject`."""
    return Size(**{field.name: getattr(subject, field.name) for field in fields(Size)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A worker's turn in a round: sample the subject of `size`; `wake`: run one step of it ahead of the clock.

    `core`: the host's core that it launches from meanwhile; None leaves that to the system.
    """

    size: Size
    round: int
    wake: bool
    core: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The samples of a turn, the subject's numbers after it, and when it began and ended by the worker's clock."""

    samples: tuple[Sample, ...]
    size: Size
    began_ns: int
    ended_ns: int


class Ask(msgspec.Struct, frozen=True):
    """A call, and its number."""

    number: int
    call: str
    arguments: msgspec.Raw


class Done(msgspec.Struct, frozen=True, tag=True):
    """The call of this number has returned `value`."""

    number: int
    value: msgspec.Raw


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The call of this number has raised.

    `kind`: the class of an error of our own, whose message `line` is; else empty, and `line` says all. `memory`: it ran
    out. `poisoned`: the device no longer answers this process.
    """

    number: int
    kind: str
    line: str
    memory: bool
    poisoned: bool


Answer = Done | Raised


@dataclass(frozen=True, slots=True)
class CallMessage:
    """The types of a call's arguments (a tuple) and of its value."""

    takes: Any
    gives: Any


CALLS: dict[str, CallMessage] = {
    "launch_ns": CallMessage(tuple[str], float | None),
    "begin": CallMessage(tuple[Setup], Greeting),
    "path": CallMessage(tuple[str], tuple[str | None, str | None]),
    "open_case": CallMessage(tuple[Case], None),
    "check": CallMessage(tuple[Key], tuple[Accuracy, int]),
    "ready": CallMessage(tuple[Key], Size),
    "settle": CallMessage(tuple[Size], Size),
    "facts": CallMessage(tuple[Key], dict[str, Any]),
    "refill": CallMessage(tuple[int], None),
    "throttled": CallMessage(tuple[()], bool | None),
    "conditions": CallMessage(tuple[()], Conditions),
    "held_share": CallMessage(tuple[()], float),
    "ceilings": CallMessage(tuple[Case, int, tuple[CeilingName, ...]], tuple[tuple[Ceiling, Size | None], ...]),
    "settle_ceiling": CallMessage(tuple[Size], Size),
    "node_busy": CallMessage(tuple[Size], float | None),
    "turn": CallMessage(tuple[Turn], Taken),
    "listen": CallMessage(tuple[()], None),
    "capture": CallMessage(tuple[Size, Key, str], tuple[str, int]),
    "interpret": CallMessage(tuple[Key, int], Checked),
    "capture_light": CallMessage(tuple[Size, Key, str], str | None),
}


def packed(*arguments: Any) -> msgspec.Raw:
    """The arguments of a call as they travel."""
    return msgspec.Raw(msgspec.msgpack.encode(arguments))


def unpacked(kind: Any, raw: msgspec.Raw) -> Any:
    """What travelled as `raw`, as a value of `kind`. Errors: msgspec.ValidationError, msgspec.DecodeError."""
    return msgspec.msgpack.decode(raw, type=decodable(kind))
