"""Which arguments of events are read: by their names, as far as the file has told them so far.

A number of a name is skipped where every name that the file gave it is one that nobody reads, and where its sequence
was never cleared: whatever may still mean something is read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from rope_prof.io.perfetto.protos import message


class Notes:
    """Learns the names of arguments from the packets that tell them. `wanted` None: everything is read."""

    def __init__(self, wanted: frozenset[str] | None) -> None:
        self._wanted = wanted
        self._named: dict[tuple[int, int], set[str]] = defaultdict(set)

    def learn(self, sequence: int, packets: Iterable[bytes]) -> None:
        """The names that these packets of a sequence tell; what is damaged is told of by whoever reads the words."""
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        for packet in packets if self._wanted is not None else ():
            try:
                told = message("TracePacket").FromString(packet).interned_data.debug_annotation_names
            except DecodeError:
                continue
            for entry in told:
                self._named[sequence, entry.iid].add(entry.name)

    def reads(self, sequence: int, name: tuple[str, int | str], resets: Mapping[int, Sequence[int]]) -> bool:
        """Whether an argument is read whose name is a text (`name`) or a number in a table of words."""
        table, said = name
        if self._wanted is None or (isinstance(said, int) and table != "note"):
            return True
        if isinstance(said, str):
            return said in self._wanted
        told = self._named.get((sequence, said))
        return not told or len(resets.get(sequence, ())) > 1 or not told.isdisjoint(self._wanted)

    def skipped(self, resets: Mapping[int, Sequence[int]], most: int) -> list[tuple[int, int]]:
        """Up to so many (sequence, number of a name) that are not read, as `reads` tells it."""
        if self._wanted is None:
            return []
        unread = (one for one in self._named if not self.reads(one[0], ("note", one[1]), resets))
        return list(islice(unread, most))
