"""All packets of a file as columns: events with their times, tracks and words, and the values of their arguments.

Nothing is looked up yet: names are numbers of words, times are those of their own clocks. `ordinal` is the number of a
packet in the file; what one packet says carries it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from rope_prof.io.perfetto.blocks import Int64s
from rope_prof.io.perfetto.shapes import ArgKey, Shape

BEGIN, END = 1, 2
#: The values of an event; those of a render stage.
EVENT_FIELDS: Final = ("at", "track", "name_iid")
STAGE_FIELDS: Final = (
    *("at", "duration", "gpu", "queue_iid", "stage_iid", "kernel_iid", "name_iid", "context"),
    *(f"{side}_{dim}" for side in ("grid", "block") for dim in "xyz"),
)
#: Of packets that are read for their times alone, since the next packet's time may count from theirs.
OTHER_FIELDS: Final = ("at",)
TABLES: Final = {"events": EVENT_FIELDS, "stages": STAGE_FIELDS, "others": OTHER_FIELDS}
_NEVER: Final = np.iinfo(np.int64).max
#: Stands for a value that is not there.
ABSENT: Final = -(1 << 63)


@dataclass
class ScannedTable:
    """Columns of one kind of packet, in the file's order; `shape` numbers `Scan.shapes`."""

    ordinal: Int64s
    shape: npt.NDArray[np.int32]
    values: dict[str, Int64s]

    def __len__(self) -> int:
        return len(self.ordinal)


@dataclass(frozen=True, slots=True)
class ScannedArgument:
    """The values of one argument in some packets: numbers, or numbers of `Scan.texts`."""

    ordinal: Int64s
    values: npt.NDArray[Any]


@dataclass
class Scan:
    """What a file says, before anything is looked up."""

    shapes: list[Shape] = field(default_factory=list)
    texts: dict[bytes, int] = field(default_factory=dict)
    events: ScannedTable = field(default_factory=lambda: table_of(EVENT_FIELDS, [], [], []))
    stages: ScannedTable = field(default_factory=lambda: table_of(STAGE_FIELDS, [], [], []))
    others: ScannedTable = field(default_factory=lambda: table_of(OTHER_FIELDS, [], [], []))
    args: dict[tuple[int, ArgKey], list[ScannedArgument]] = field(default_factory=lambda: defaultdict(list))
    names: list[ScannedArgument] = field(default_factory=list)  # written out, not as the number of a word
    #: A sequence with defaults -> the first packet that tells them: from there on times may count from the last one's.
    stepped: dict[int, int] = field(default_factory=dict)
    rare: list[tuple[int, bytes]] = field(default_factory=list)
    resets: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    packets: int = 0
    counted: int = 0  # events and stages
    damaged: int = 0
    dropped: int = 0
    wanted: frozenset[str] | None = None  # the arguments that are read by their names; None: all

    def steps(self, sequence: int, ordinals: Int64s) -> npt.NDArray[np.bool_]:
        """Which of these packets of a sequence are read for their times."""
        return ordinals >= self.stepped.get(sequence, _NEVER)

    def step(self, sequence: int, ordinal: int) -> None:
        """A packet tells defaults."""
        self.stepped[sequence] = min(ordinal, self.stepped.get(sequence, ordinal))

    def text_list(self) -> list[str]:
        return [text.decode("utf-8", errors="replace") for text in self.texts]


#: What a block gives of one table: ordinals, shapes, values.
Part = tuple[Int64s, npt.NDArray[np.int32], dict[str, Int64s]]


def table_of(
    fields: tuple[str, ...],
    ordinals: list[Int64s],
    shapes: list[npt.NDArray[np.int32]],
    values: list[dict[str, Int64s]],
) -> ScannedTable:
    """The table of what blocks gave of it."""
    empty = np.zeros(0, np.int64)
    return ScannedTable(
        np.concatenate([empty, *ordinals]),
        np.concatenate([empty.astype(np.int32), *shapes]),
        {name: np.concatenate([empty, *(one[name] for one in values)]) for name in fields},
    )
