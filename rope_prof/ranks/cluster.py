"""Traces over a running Dask cluster: the same `work.account`, submitted a few at a time to whoever has room.

Dask gives a dead worker's trace to another one. What this module adds is an end: where no worker is left, or the
scheduler is gone, it says so in one sentence, and the rows that have come stay where they were written.
"""

from __future__ import annotations

import json
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from threading import Event
from time import monotonic
from typing import Any, Final, TypeVar

from rope_prof import __version__
from rope_prof.errors import RopeProfError, UnavailableError
from rope_prof.ranks.task import Task, TraceDone
from rope_prof.ranks.work import account_alone, failed

#: Tasks with the cluster, for each thread of a worker: the one in hand and the next.
_QUEUED: Final = 2
_LOOK_S: Final = 0.2
_ADDRESS: Final = re.compile(r"(?:(?:tcp|tls|ws|wss|ucx)://)?(?:\[[^\]]+\]|[^:/\[\]]+):(\d{1,5})/?")

T = TypeVar("T")


class ClusterError(RopeProfError):
    """A Dask cluster cannot be reached, has lost its workers, or went away."""

    code = "cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running cluster: the address of its scheduler, or the file that the scheduler wrote (`--scheduler-file`)."""

    address: str | None = None
    scheduler_file: str | None = None
    patience_s: float = 60.0

    def run(self, tasks: Iterable[Task]) -> Iterator[TraceDone]:
        """Every task's answer, as each is ready.

        Errors: UnavailableError without the package distributed; ClusterError where the cluster cannot be reached,
        lacks rope_prof, is without workers for `patience_s`, or goes away.
        """
        waiting = deque(tasks)
        with self._client() as client:
            yield from self._answers(client, waiting)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        """The cluster stays."""

    def made(self, make: Callable[..., T], *words: object) -> T:
        """What `make` gives of them: in this process, which has the files."""
        return make(*words)

    def _answers(self, client: Any, waiting: deque[Task]) -> Iterator[TraceDone]:
        held: dict[Any, Task] = {}
        ready = Event()
        seen = monotonic()
        checked: set[str] = set()
        while waiting or held:
            by_worker = self._threads(client)
            self._check(client, sorted(set(by_worker) - checked))
            checked.update(by_worker)
            threads = sum(by_worker.values())
            seen = monotonic() if threads else seen
            if monotonic() - seen > self.patience_s:
                raise ClusterError(
                    f"the Dask cluster {self._name} has had no worker for {self.patience_s:g} s, "
                    f"{len(waiting) + len(held)} traces are left; start workers and run the same command again"
                )
            while waiting and len(held) < _QUEUED * threads:
                task = waiting.popleft()
                future = client.submit(account_alone, task, pure=False)
                future.add_done_callback(lambda _: ready.set())
                held[future] = task
            ready.wait(_LOOK_S)
            ready.clear()
            for future in [future for future in held if future.done()]:
                yield self._taken(client, future, held.pop(future), len(waiting) + len(held))

    def _taken(self, client: Any, future: Any, task: Task, left: int) -> TraceDone:
        """The answer; a lost worker's trace that Dask gave up is a failed row, a lost scheduler the end."""
        if future.status in ("cancelled", "lost") or client.status != "running":
            raise self._gone(left + 1)
        try:
            answer = future.result(timeout=self.patience_s)
        except Exception as error:
            if client.status != "running" or type(error).__name__ in ("CancelledError", "FutureCancelledError"):
                raise self._gone(left + 1) from None
            said = " ".join(str(error).split())[:300]
            return failed(task, f"Dask gave it up: {type(error).__name__}: {said}")
        finally:
            future.release()
        assert isinstance(answer, TraceDone)
        return answer

    def _threads(self, client: Any) -> dict[str, int]:
        """Threads of each worker there is. Errors: ClusterError where the scheduler is gone."""
        if client.status != "running":
            raise self._gone(None)
        try:
            return dict(client.nthreads())
        except Exception:
            raise self._gone(None) from None

    def _gone(self, left: int | None) -> ClusterError:
        rest = "" if left is None else f" with {left} traces left"
        return ClusterError(
            f"the scheduler {self._name} went away{rest}; what came before is written: run the same command again "
            "once it is back (or without --dask)"
        )

    @property
    def _name(self) -> str:
        return repr(self.address or self.scheduler_file)

    def _client(self) -> Any:
        distributed = _distributed()
        # A lost cluster is told once, by our own sentence.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        self._check_address()
        try:
            return distributed.Client(
                self.address,
                scheduler_file=self.scheduler_file,
                timeout=self.patience_s,
                set_as_default=False,
                heartbeat_interval="1s",
            )
        except (OSError, TimeoutError, ValueError, KeyError) as error:
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise ClusterError(
                f"no Dask scheduler at {self._name} ({said}); expected an address as tcp://host:8786"
            ) from None

    def _check_address(self) -> None:
        """Dask itself finds a wrong one only after two minutes. Errors: ClusterError."""
        address: object = self.address
        if self.scheduler_file is not None:
            try:
                with open(self.scheduler_file, "rb") as file:  # noqa: PTH123
                    address = json.load(file)["address"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                seen = "no scheduler file" if isinstance(error, FileNotFoundError) else "no address of a scheduler in"
                raise ClusterError(
                    f"{seen} {self.scheduler_file!r}; expected the one that `dask scheduler --scheduler-file` writes"
                ) from None
        match = _ADDRESS.fullmatch(str(address))
        if match is None or not 0 < int(match[1]) < 1 << 16:
            raise ClusterError(f"{address!r} is no address of a Dask scheduler; expected one as tcp://host:8786")

    def _check(self, client: Any, workers: list[str]) -> None:
        """Each of `workers` has this very version. Errors: ClusterError."""
        if not workers:
            return
        try:
            versions: dict[str, Any] = client.run(version_there, workers=workers, on_error="return")
        except Exception:
            raise self._gone(None) from None
        for worker, told in versions.items():
            if isinstance(told, OSError):  # it went again
                continue
            if told != __version__:
                has = f"rope_prof {told}" if isinstance(told, str) else f"no rope_prof ({told})"
                raise ClusterError(
                    f"the Dask worker {worker} has {has}; expected {__version__}: install it where the workers run"
                )


def version_there() -> str:
    """The version of rope_prof on a worker."""
    return __version__


def _distributed() -> Any:
    """The package, which ships no types that a checker without it could use."""
    try:
        return import_module("distributed")
    except ImportError:
        raise UnavailableError(
            "--dask needs the package distributed, which is not installed; install it: "
            "pip install 'rope-prof[fleet]', or leave --dask out to use this machine's cores"
        ) from None
