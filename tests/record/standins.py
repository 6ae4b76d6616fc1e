"""A bench without torch for worker processes: `user:WHAT` is a path that does WHAT, at a stage of its work.

`user:hang!settle` hangs when it is settled, `user:leave!turn` ends Python in a timed call, `user:fine` is fine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rope_prof.errors import OperationError, RunError, UnavailableError
from rope_prof.model.run import Accuracy, Case, Ceiling, CeilingName, Key
from rope_prof.record.device.throttle import Conditions
from rope_prof.record.loop.timing import Subject
from rope_prof.record.worker.messages import Setup

RIGHT = Accuracy(max_error=0.01, limit=0.02, rounded_share=0.999, nans=0, dtype="bf16")
BENCH = "tests.record.standins:bench"


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def gone() -> None:
    os._exit(3)


def leave() -> None:
    sys.exit(4)


def interrupt() -> None:
    raise KeyboardInterrupt


def hang() -> None:
    time.sleep(600)


def fails() -> None:
    raise RuntimeError("no such layout\nsecond line")


def surrogates() -> None:
    raise ValueError("no file of the name caf\udce9")


class SpeechlessError(Exception):
    """One whose words cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def speechless() -> None:
    raise SpeechlessError


def memory() -> None:
    raise MemoryError("out of memory: tried to allocate 3 TiB")


def ours() -> None:
    raise UnavailableError("mode 'graph' needs an NVIDIA GPU")


def disk() -> None:
    raise RunError("cannot write 'x' (No space left on device)")


def spoils() -> None:
    raise OperationError("operation 'mrope': refill fails (RuntimeError: this process is in no state to do it)")


def prints() -> None:
    """Words on every descriptor that could be taken for an answer."""
    sys.stdout.write('{"wall_ns": 1}')
    for descriptor in range(1, 12):
        try:
            os.write(descriptor, b"RPw1\x00\x00\x00\x00")
        except OSError:
            continue


def child() -> None:
    """A process that the path leaves behind."""
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])


def meet() -> None:
    """Wait until another process has come here too."""
    place = Path(os.environ["ROPE_PROF_MEETING"])
    (place / str(os.getpid())).touch()
    until = time.monotonic() + 10
    while len(list(place.iterdir())) < 2:
        if time.monotonic() > until:
            raise RuntimeError("nobody came")
        time.sleep(0.005)


class Card:
    """Memory that processes share: a file for each in the folder `ROPE_PROF_CARD`, of the share that it holds."""

    def __init__(self) -> None:
        self.place = Path(os.environ["ROPE_PROF_CARD"]) if "ROPE_PROF_CARD" in os.environ else None

    def hold(self, share: float) -> None:
        assert self.place is not None
        (self.place / f"{os.getpid()}.new").write_text(str(share))
        (self.place / f"{os.getpid()}.new").rename(self.place / str(os.getpid()))

    def held(self, pid: int) -> float:
        """What that process holds, if it is still there."""
        own = self.place and self.place / str(pid)
        return float(own.read_text()) if own and own.exists() and Path(f"/proc/{pid}").exists() else 0.0

    def require(self, stage: str) -> None:
        """Memory at that stage of a path that holds little; a first check waits until another has filled the card."""
        if self.place is None or stage not in os.environ["ROPE_PROF_CARD_AT"].split(","):
            return
        until = time.monotonic() + 10
        while stage == "check" and not list(self.place.iterdir()) and time.monotonic() < until:
            time.sleep(0.005)
        if any(self.held(int(one.name)) > 0.5 for one in self.place.iterdir() if one.name != str(os.getpid())):
            raise MemoryError("out of memory: tried to allocate 1 GiB")


def keep() -> None:
    """Nearly all of the card, for as long as the process lives."""
    Card().hold(0.9)


def fill() -> None:
    """Piece by piece, until there is none left."""
    Card().hold(1.0)
    time.sleep(0.3)
    memory()


DEEDS: dict[str, Callable[[], None]] = {
    f.__name__: f
    for f in (
        segfault,
        killed,
        gone,
        leave,
        interrupt,
        hang,
        fails,
        memory,
        ours,
        disk,
        prints,
        child,
        meet,
        keep,
        fill,
        surrogates,
        speechless,
        spoils,
    )
}


class Bench:
    """A device whose calls take microseconds, and paths that do what their names say."""

    kind = "cpu"
    has_clock = False
    machine = None

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.clock = time.perf_counter_ns
        self.device = self
        self.broken = False
        self.ran = ""

    def synchronize(self) -> None:
        if self.broken:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")

    def interruptions(self) -> int:
        return 0

    def held(self, work: Callable[[], None], hold_ns: int) -> tuple[int, bool]:
        raise AssertionError((work, hold_ns))

    def at(self, stage: str, path: str) -> None:
        what, _, where = path.removeprefix("user:").partition("!")
        if path == "unfused":
            Card().require(stage)
        if where == stage and what == "poison":
            self.broken = True
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if where == stage and what in DEEDS:
            DEEDS[what]()

    def find_path(self, name: str) -> None:
        if name == "user:none":
            raise LookupError("path 'user:none': 'user' has no function 'none'")
        self.at("import", name)

    def open_case(self, case: Case) -> None:
        self.case = case

    def check(self, key: Key) -> tuple[Accuracy, int]:
        self.at("check", key.path)
        if "once" not in key.path or key.mode == "eager":
            self.at(f"check {key.mode}", key.path)
        return RIGHT, os.getpid()

    def ready(self, key: Key) -> Subject:
        self.at("ready", key.path)
        self.ran = key.path

        def work(calls: int) -> Callable[[], None]:
            def run() -> None:
                self.at("turn", key.path)
                self.at(f"turn {key.mode}", key.path)
                until = time.perf_counter_ns() + 1000 * calls
                while time.perf_counter_ns() < until:
                    pass

            return run

        return Subject(key.name, work, calls=4)

    def settle(self, subject: Subject) -> None:
        self.at("settle", subject.name.replace("@", ":", 1).split(".")[0])
        subject.calls = 5

    def facts(self, key: Key) -> dict[str, Any]:
        return {"in_place": False, "ring_buffers": key.case["tokens"]}

    def refill(self, number: int) -> None:
        self.number = number
        self.at("refill", self.ran)

    def throttled(self) -> bool | None:
        return None

    def conditions(self) -> Conditions:
        return Conditions(sm_clock_mhz=1980)

    def ceilings(
        self, case: Case, rank: int, names: Sequence[CeilingName] = ("copy",)
    ) -> Iterable[tuple[Ceiling, Subject | None]]:
        ceiling = Ceiling(name="copy", case=case, method="eager", rank=rank)
        if "copy" in names:
            yield ceiling, Subject(ceiling.key_name, lambda _: lambda: None, calls=3)

    def settle_ceiling(self, subject: Subject) -> None:
        subject.calls = 6

    def node_busy(self, subject: Subject) -> float | None:
        raise AssertionError(subject)

    def held_share(self) -> float:
        return Card().held(os.getpid())

    def listen(self) -> None: ...

    def capture(self, subject: Subject, key: Key, folder: Path) -> tuple[str, int]:
        self.at("capture", key.path)
        assert subject.name.split(".")[1:] == key.name.split(".")[1:]
        (folder / f"{key.name}.trace.json.gz").write_bytes(b"trace")
        return f"{key.name}.trace.json.gz", 28

    def capture_light(self, subject: Subject, key: Key, folder: Path) -> str | None:
        assert subject.name and key.name and folder.is_dir()
        return None

    def close(self) -> None: ...


def bench(setup: Setup) -> Bench:
    return Bench(setup)
