"""The fields of Kineto's events that are read, as typed structs, and the decoders of lists of them.

Two grades: `decode_list` takes what profilers write, `decode_loose_list` also what has fields of other types.
"""

from __future__ import annotations

from typing import Final

import msgspec

Scalar = int | float | str | None
ABSENT: Final = msgspec.Raw(b"")


class Args(msgspec.Struct, gc=False):
    """The args that are read, of any event, in the spellings of 2021 and later; JSON values stay text."""

    device: Scalar = None
    stream: Scalar = None
    correlation: Scalar = None
    external: Scalar = msgspec.field(name="External id", default=None)
    external_2021: Scalar = msgspec.field(name="external id", default=None)
    registers: Scalar = msgspec.field(name="registers per thread", default=None)
    shared: Scalar = msgspec.field(name="shared memory", default=None)
    graph: Scalar = msgspec.field(name="graph id", default=None)
    graph_node: Scalar = msgspec.field(name="graph node id", default=None)
    bytes: Scalar = None
    copy_kind: Scalar = msgspec.field(name="copy kind", default=None)
    source: Scalar = msgspec.field(name="src kind", default=None)
    target: Scalar = msgspec.field(name="dst kind", default=None)
    collective: Scalar = msgspec.field(name="Collective name", default=None)
    group: Scalar = msgspec.field(name="Process Group Name", default=None)
    sequence: Scalar = msgspec.field(name="Sequence number", default=None)
    forward_thread: Scalar = msgspec.field(name="Fwd thread id", default=None)
    grid: msgspec.Raw = ABSENT
    block: msgspec.Raw = ABSENT
    dims: msgspec.Raw = msgspec.field(name="Input Dims", default=ABSENT)
    types: msgspec.Raw = msgspec.field(name="Input type", default=ABSENT)


#: Those of `Args` that stay JSON text.
TEXT_ARGS: Final = ("grid", "block", "dims", "types")
NO_ARGS: Final = Args()


class Event(msgspec.Struct, gc=False, tag_field="ph", tag="X"):
    """A complete event, as far as it is read; times stay text until they are needed."""

    cat: str | None = None
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = ABSENT
    dur: msgspec.Raw = ABSENT
    args: Args | None = None


class MemoryArgs(msgspec.Struct, gc=False):
    """The args of an allocation or a release; files of 2021 have no totals."""

    bytes: Scalar = msgspec.field(name="Bytes", default=None)
    allocated: Scalar = msgspec.field(name="Total Allocated", default=None)
    reserved: Scalar = msgspec.field(name="Total Reserved", default=None)
    device: Scalar = msgspec.field(name="Device Id", default=None)
    kind: Scalar = msgspec.field(name="Device Type", default=None)


NO_MEMORY: Final = MemoryArgs()


class Instant(msgspec.Struct, gc=False, tag_field="ph", tag="i"):
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = ABSENT
    args: msgspec.Raw = ABSENT


class OldInstant(msgspec.Struct, gc=False, tag_field="ph", tag="I"):
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = ABSENT
    args: msgspec.Raw = ABSENT


class Allocation(msgspec.Struct, gc=False):
    """An instant that tells of memory."""

    name: Scalar
    pid: Scalar
    tid: Scalar
    ts: msgspec.Raw
    args: MemoryArgs
    dur: msgspec.Raw = msgspec.Raw(b"0")


class Metadata(msgspec.Struct, gc=False, tag_field="ph", tag="M"):
    """Of a process or thread: nothing of it is read."""


class ArrowStart(msgspec.Struct, gc=False, tag_field="ph", tag="s"):
    """Arrows are over a third of a file's events: nothing of them is read."""


class ArrowEnd(msgspec.Struct, gc=False, tag_field="ph", tag="f"):
    """As `ArrowStart`."""


class CounterEvent(msgspec.Struct, gc=False, tag_field="ph", tag="C"):
    """A sample of power, a clock or a counter: nothing of it is read."""


class Loose(msgspec.Struct, gc=False):
    """Any event, its args as text: for what the strict types refuse."""

    ph: str = ""
    cat: str | None = None
    name: Scalar = ""
    pid: Scalar = None
    tid: Scalar = None
    ts: msgspec.Raw = ABSENT
    dur: msgspec.Raw = ABSENT
    args: msgspec.Raw = ABSENT


AnyEvent = Event | CounterEvent | ArrowStart | ArrowEnd | Metadata | Instant | OldInstant
decode_list: Final = msgspec.json.Decoder(list[AnyEvent]).decode
decode_loose_list: Final = msgspec.json.Decoder(list[Loose]).decode
_decode_memory: Final = msgspec.json.Decoder(MemoryArgs).decode


def memory_args(raw: msgspec.Raw) -> MemoryArgs:
    """The args of an instant that tells of memory; none where they cannot be read."""
    try:
        return _decode_memory(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NO_MEMORY


decode_loose: Final = msgspec.json.Decoder(Loose).decode
