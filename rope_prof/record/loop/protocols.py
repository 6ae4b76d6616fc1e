"""What the recorder asks of the things around it: a bench that touches a device, somebody who says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rope_prof.model.kind import Kind
from rope_prof.model.run import CEILINGS, Accuracy, Case, Ceiling, CeilingName, Key
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.timing import Clock, Device, Subject


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of one key: its accuracy, or why there is none."""

    accuracy: Accuracy | None
    reason: str | None


class Checks(Protocol):
    """Checks that were begun elsewhere."""

    def results(self) -> dict[str, Checked]:
        """name of key -> what came of it. Waits for them."""

    def close(self) -> None:
        """End them."""


class Progress(Protocol):
    """Where the recorder says what runs and what is left."""

    def total(self, steps: int) -> None:
        """How many steps there are in all."""

    def step(self, what: str, done: int = 0) -> None:
        """`what` runs now; `done` more steps are behind."""


class Others(Protocol):
    """The other ranks of a recording on several: what is done at once with them, and what one does alone."""

    def meet(self) -> None:
        """Wait until every rank has come here."""

    def in_turn(self, work: Callable[[], None]) -> None:
        """Call `work` on every rank, one after the other, while the others wait."""


class Bench(Protocol):
    """All that touches a device: a GPU's, a CPU's, or a test's."""

    @property
    def kind(self) -> Kind:
        """cuda or cpu."""

    @property
    def clock(self) -> Clock:
        """The host's clock, in ns."""

    @property
    def device(self) -> Device:
        """The device under the clock."""

    def open_case(self, case: Case) -> None:
        """Make the input of `case`; the one before is freed."""

    def check_ahead(self, keys: Sequence[Key]) -> None:
        """`check` will be asked of `keys`, all of the open case: it may begin with them."""

    def check(self, key: Key) -> tuple[Accuracy, int]:
        """(accuracy on the very input, ns of the first call with its compilation)."""

    def ready(self, key: Key) -> Subject:
        """`key` of the open case, to be called."""

    def settle(self, subject: Subject) -> None:
        """Warm it up and size its samples."""

    def facts(self, key: Key) -> dict[str, Any]:
        """Fields of KeyFacts that the key and its open case give: in_place, bytes_moved, ring_*."""

    def refill(self, number: int) -> None:
        """Ahead of each round: new values in the buffers of the open case."""

    def throttled(self) -> bool | None:
        """Whether the device's clock is held down; None where it does not say."""

    def conditions(self) -> Conditions:
        """Clocks, temperature and power of the device right now."""

    def start_checks(self, keys: tuple[Key, ...]) -> None:
        """Begin to check, elsewhere, keys that cannot run here."""

    def finish_checks(self) -> dict[str, Checked]:
        """Wait for them."""

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = CEILINGS
    ) -> Iterable[tuple[Ceiling, Subject | None]]:
        """What the device itself can do, on the input of the open `case`; without a subject where it cannot."""

    def settle_ceiling(self, subject: Subject) -> None:
        """Warm a ceiling up and size its samples."""

    def node_busy(self, subject: Subject) -> float | None:
        """ns that a node of the graph of `subject` is busy, by a profiler."""

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        """Record a trace into `folder`: (its file name, the calls that it holds)."""

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        """A trace without the host's operators: its file name; None where there is no such thing."""

    def renew(self) -> None:
        """Go on in fresh processes; UsageError where all runs in one."""

    def close(self) -> None:
        """Free all; end what was started."""
