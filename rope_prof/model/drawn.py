"""What a Perfetto file of ours says of itself, so that it can be read back: whose each track is, and the traces' facts.

One JSON text among the file's metadata (`KEY`). The events carry what is theirs; here is what tracks leave out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec

from rope_prof.model.frozen import decodable
from rope_prof.model.trace import Finding, Trace

KEY: Final = "rope_prof.drawn"
VERSION: Final = 1
#: A duration as the trace has it, where a slice cannot be that long: negative, or none at all.
WRITTEN_NS: Final = "duration as written"
NONE: Final = "none"
#: The name of a range as the trace has it, where what is drawn is for people.
WRITTEN_NAME: Final = "name as written"
#: Of a trace's metadata, what an analysis asks for.
ASKED_METADATA: Final = ("deviceProperties", "distributedInfo", "device", "totals")


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTrack:
    """Which frame of which side's trace the events of a track belong to, and where they ran."""

    side: int
    frame: str  # gpu | nodes | calls | ranges | ops | overheads
    device: str | None = None
    stream: int | None = None
    process: int | None = None
    thread: int | None = None


@dataclass(slots=True)
class DrawnTracks:
    """Grows while tracks are drawn. `sides`: label, how far its times were moved (None: not all alike), facts."""

    sides: list[dict[str, Any]] = field(default_factory=list)
    tracks: dict[int, DrawnTrack] = field(default_factory=dict)

    def begin(self, label: str, trace: Trace, shift_ns: int | None) -> None:
        """Another side: what is drawn next is its own."""
        facts = {
            "format": trace.format,
            "events": trace.events,
            "findings": [asdict(found) for found in trace.findings],
            "window_end": trace.window_end,
            "window_end_ns": trace.window_end_ns,
            "base_time_ns": trace.base_time_ns,
            "device_names": trace.device_names,
            "metadata": {key: trace.metadata[key] for key in ASKED_METADATA if key in trace.metadata},
            "own": trace.own,
        }
        self.sides.append({"label": label, "shift_ns": shift_ns, "facts": facts})

    def track(self, number: int, frame: str, **place: Any) -> None:
        """A track of the side that was begun last."""
        self.tracks[number] = DrawnTrack(side=len(self.sides) - 1, frame=frame, **place)

    def as_text(self) -> str:
        tracks = {str(n): [t.side, t.frame, t.device, t.stream, t.process, t.thread] for n, t in self.tracks.items()}
        return json.dumps({"version": VERSION, "sides": self.sides, "tracks": tracks}, ensure_ascii=False)


_Number = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
_Frame = Literal["gpu", "nodes", "calls", "ranges", "ops", "overheads"]


class _Event(TypedDict):
    kind: Literal["gpu", "host"]
    name: str
    start_ns: _Number | None
    dur_ns: _Number | None


class _Found(msgspec.Struct):
    code: str
    detail: str
    count: _Number
    events: list[_Event]
    do: str


class _Facts(TypedDict):
    format: str
    events: _Number
    findings: list[_Found]
    window_end: bool | None
    window_end_ns: _Number | None
    base_time_ns: _Number | None
    device_names: dict[str, str]
    metadata: dict[str, Any]
    own: dict[str, Any] | None


class _Side(TypedDict):
    label: str
    shift_ns: _Number | None
    facts: _Facts


class _Told(msgspec.Struct):
    version: Literal[1]
    sides: list[_Side]
    tracks: dict[_Number, tuple[_Number, _Frame, str | None, _Number | None, _Number | None, _Number | None]]


def read_drawn(text: str) -> DrawnTracks | None:
    """What such a text says; None for one of another version, or that is damaged."""
    try:
        told = msgspec.json.decode(text, type=decodable(_Told))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    tracks = {
        number: DrawnTrack(side=side, frame=frame, device=device, stream=stream, process=process, thread=thread)
        for number, (side, frame, device, stream, process, thread) in told.tracks.items()
    }
    if any(not 0 <= track.side < len(told.sides) for track in tracks.values()):
        return None
    return DrawnTracks([_side(side) for side in told.sides], tracks)


def _side(told: _Side) -> dict[str, Any]:
    findings = (Finding(**msgspec.structs.asdict(one)) for one in told["facts"]["findings"])
    facts = told["facts"] | {"findings": tuple(replace(one, events=tuple(one.events)) for one in findings)}
    return told | {"facts": facts}
