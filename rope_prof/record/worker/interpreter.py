"""The process that checks Triton paths in Triton's interpreter (`bench.interpret`): it is asked here, and waited for.

It is a worker as any other, of which nothing else is asked; it runs while paths compile, never while one is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rope_prof.model.run import Key
from rope_prof.record.loop.describe import ToldError
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.worker.process import Start, WorkerProcess


def alone() -> WorkerProcess:
    """A process that is started for it, where there is none to fork one from."""
    return WorkerProcess(Start(preload=("rope_prof.record.bench.interpret",)))


class Interpreter:
    """The process at work on `keys`, all of which it is asked for at once. `begin` starts it."""

    def __init__(self, keys: Iterable[Key], seed: int, begin: Callable[[], WorkerProcess] = alone) -> None:
        self._waiting = list(keys)
        self._found: dict[str, Checked] = {}
        self._process: WorkerProcess | None = None
        try:
            for key in self._waiting:
                self._process = self._process or begin()
                self._process.tell("interpret", key, seed)
        except ToldError as error:
            self._fail(error)

    def results(self) -> dict[str, Checked]:
        """name of key -> what came of it. Waits for the process, and ends it."""
        try:
            while self._waiting and self._process is not None:
                self._found[self._waiting[0].name] = self._process.told("interpret")
                del self._waiting[0]
        except ToldError as error:
            self._fail(error)
        self.close()
        return self._found

    def _fail(self, error: ToldError) -> None:
        """What is not known by now will not be."""
        self._found |= {key.name: Checked(None, f"the interpreter: {error}") for key in self._waiting}
        self._waiting.clear()

    def close(self) -> None:
        """End the process if it still runs."""
        if self._process is not None:
            self._process.end()
