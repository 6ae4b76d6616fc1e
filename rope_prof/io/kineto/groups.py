"""The events of one frame, batch by batch, as lists of field values: what is decoded goes while it is in the cache.

Beside the values it counts how many events are known to have each key that `kineto_repeats` searches for: a value that
stands for none (null, an empty name) proves nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from rope_prof.io.kineto.structs import NO_ARGS, TEXT_ARGS

Take = Callable[[list[Any]], list[Any]]


def _texts(raws: list[Any]) -> list[bytes]:
    """The bytes of JSON values; all at once is three times as fast as `bytes` of each. No JSON holds the separator."""
    texts = b"\0".join(raws).split(b"\0") if raws else []
    return texts if len(texts) == len(raws) else list(map(bytes, raws))


#: Field -> its values: a comprehension of a fixed attribute is twice as fast as `attrgetter`.
_EVENT: Final[dict[str, Take]] = {
    "name": lambda events: [event.name for event in events],
    "pid": lambda events: [event.pid for event in events],
    "tid": lambda events: [event.tid for event in events],
    "ts": lambda events: [event.ts for event in events],
    "dur": lambda events: [event.dur for event in events],
}
_JOINS: Final[dict[str, Take]] = {
    "device": lambda args: [one.device for one in args],
    "stream": lambda args: [one.stream for one in args],
    "correlation": lambda args: [one.correlation for one in args],
}
#: Other keys of args whose repetition is searched for: key -> field.
_SEARCHED_ARGS: Final = {
    "graph id": "graph",
    "graph node id": "graph_node",
    "registers per thread": "registers",
    "shared memory": "shared",
    "grid": "grid",
    "block": "block",
    "bytes": "bytes",
}
_EXTERNAL: Final[dict[str, Take]] = {
    "external": lambda args: [one.external if one.external is not None else one.external_2021 for one in args],
}
_GPU: Final[dict[str, Take]] = {
    "registers": lambda args: [one.registers for one in args],
    "shared": lambda args: [one.shared for one in args],
    "graph": lambda args: [one.graph for one in args],
    "graph_node": lambda args: [one.graph_node for one in args],
    "bytes": lambda args: [one.bytes for one in args],
    "copy_kind": lambda args: [one.copy_kind for one in args],
    "source": lambda args: [one.source for one in args],
    "target": lambda args: [one.target for one in args],
    "collective": lambda args: [one.collective for one in args],
    "group": lambda args: [one.group for one in args],
    "grid": lambda args: _texts([one.grid for one in args]),
    "block": lambda args: _texts([one.block for one in args]),
}
_OP: Final[dict[str, Take]] = {
    "sequence": lambda args: [one.sequence for one in args],
    "forward_thread": lambda args: [one.forward_thread for one in args],
    "dims": lambda args: _texts([one.dims for one in args]),
    "types": lambda args: _texts([one.types for one in args]),
}
#: Frame -> the fields of args that it holds. An operator joins nothing: a piece where one does takes the longer way.
_ARGS: Final[dict[str, dict[str, Take]]] = {
    "gpu": _JOINS | _EXTERNAL | _GPU,
    "call": _JOINS,
    "op": _EXTERNAL | _OP,
    "range": _JOINS,
    "overhead": _JOINS,
    "": _JOINS,
}
_TEXTS: Final = ("ts", "dur")


@dataclass
class Group:
    """The complete events of one frame in the file's order; the empty frame is that of what is not read."""

    frame: str
    events: list[Any] = field(default_factory=list)  # those that are not settled yet
    kinds: list[str] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    known: Counter[str] = field(default_factory=Counter)  # of the keys of events
    joins: Counter[str] = field(default_factory=Counter)  # of those of args
    count: int = 0

    def settle(self) -> None:
        """Take the fields of the events added since, and let the events go."""
        events, self.events = self.events, []
        if not events:
            return
        self.count += len(events)
        args = [event.args for event in events]
        without = args.count(None)
        without_cat = 0 if self.frame else [event.cat for event in events].count(None)
        self.known.update(ph=len(events), cat=len(events) - without_cat, args=len(events) - without)
        for name, take in _EVENT.items():
            values = take(events)
            self.known[name] += _present(name, values)
            self._hold(name, values)
        if without:
            args = [one or NO_ARGS for one in args]
        for name, take in _ARGS[self.frame].items():
            values = take(args)
            if name in _JOINS:
                self.joins[name] += len(values) - values.count(None)
            self._hold(name, values)
        for key, name in _SEARCHED_ARGS.items() if self.frame != "op" else ():
            values = _GPU[name](args)
            self.joins[key] += len(values) - values.count(b"" if name in TEXT_ARGS else None)
        self.joins["External id"] += len(args) - [one.external for one in args].count(None)

    def _hold(self, name: str, values: list[Any]) -> None:
        if self.frame:
            self.columns.setdefault(name, []).extend(values)


def _present(name: str, values: list[Any]) -> int:
    if name in _TEXTS:
        return len(values) if all(values) else sum(map(bool, values))
    return len(values) - values.count("" if name == "name" else None)
