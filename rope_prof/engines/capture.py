"""A recording of a running server: start its profiler, let it serve, stop it whatever happens, find what it wrote.

Once a start was sent, a stop is sent too: after the time or the steps, on an error, on Ctrl-C, and where it is not
known whether the start took effect. A start that was refused is left alone: it is somebody else's recording.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rope_prof.engines.engine import ServingEngine, Wish, refusal
from rope_prof.engines.files import Stamps, Ticks, Written, stamps, written
from rope_prof.engines.http import Reply, RunningServer, ServerError
from rope_prof.errors import StoppedError

#: A start answers at once; a stop once every rank has written its file, which takes minutes where much was recorded.
START_S: Final = 60.0
SYSTEM: Final = Ticks(time.monotonic, time.sleep)
#: Between two looks whether the steps are over, so that Ctrl-C is seen.
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTraces:
    """What a server wrote. `front_end`: files without GPU work. `seconds`: from the start's answer to the stop."""

    folder: Path
    files: tuple[Path, ...]
    front_end: tuple[Path, ...]
    unfinished: tuple[Path, ...]
    seconds: float


def capture(
    server: RunningServer,
    engine: ServingEngine,
    wish: Wish,
    *,
    wait_s: float,
    told: Callable[[str], None],
    clock: Ticks = SYSTEM,
) -> ServedTraces:
    """Record `server` as wished. Errors: ServerError, StoppedError after Ctrl-C; in both the profiler is stopped."""
    folder = Path(wish.folder)
    before = stamps(folder)
    _start(server, engine, wish, wait_s)
    began = clock.now()
    told(f"{engine.title}'s profiler runs at {server.url}; it is stopped {_until(wish)}, Ctrl-C stops it now")
    try:
        _let_serve(engine, wish, before, clock)
    except KeyboardInterrupt:
        told("stopping the profiler")
        _stop(server, engine, wait_s, done=False)
        raise StoppedError(f"stopped; the profiler too, {where(server, wish)}") from None
    except BaseException:
        _stop(server, engine, wait_s, done=False)
        raise
    seconds = clock.now() - began
    try:
        _stop(server, engine, wait_s, done=wish.steps is not None)
        told("stopped; waiting for the files")
        files = written(folder, before, wait_s, clock)
    except KeyboardInterrupt:
        raise StoppedError(f"stopped; the profiler was told to stop, {where(server, wish)}") from None
    return _found(server, engine, wish, files, seconds)


def _start(server: RunningServer, engine: ServingEngine, wish: Wish, wait_s: float) -> None:
    try:
        reply = server.ask("POST", "/start_profile", engine.body(wish), timeout_s=START_S)
    except KeyboardInterrupt:
        _stop(server, engine, wait_s, done=False)
        raise StoppedError("stopped; the profiler too") from None
    except ServerError as error:
        if not error.sent:
            raise
        _stop(server, engine, wait_s, done=True)  # whether it began is not known
        raise
    if reply.status != 200:
        raise ServerError(f"{engine.title} at {server.url} {refusal(engine, reply)}")


def _let_serve(engine: ServingEngine, wish: Wish, before: Stamps, clock: Ticks) -> None:
    """Until the seconds are over, or the files of all steps are there."""
    until = clock.now() + wish.seconds
    while (left := until - clock.now()) > 0:
        clock.sleep(min(left, _LOOK_S) if wish.steps is not None else left)
        if wish.steps is not None and _enough(engine, wish, _new(before, stamps(Path(wish.folder)))):
            return


def _new(before: Stamps, now: Stamps) -> tuple[Path, ...]:
    return tuple(path for path, stamp in now.items() if before.get(path) != stamp)


def _enough(engine: ServingEngine, wish: Wish, files: tuple[Path, ...]) -> bool:
    """Whether the server has ended by itself: by stage, whether each stage has a file."""
    wanted = engine.stages if wish.by_stage else ("",)
    return all(any(stage in path.name and engine.front_end not in path.name for path in files) for stage in wanted)


def _stop(server: RunningServer, engine: ServingEngine, wait_s: float, *, done: bool) -> None:
    """Send the stop. `done`: it may have ended by itself, then a refusal is none."""
    undone = f"the profiler may still run: curl -X POST {server.url}/stop_profile"
    try:
        reply = server.ask("POST", "/stop_profile", timeout_s=wait_s)
    except ServerError as error:
        raise ServerError(f"{error}; {undone}") from error
    if reply.status != 200 and not (done and reply.status == engine.idle_stop):
        raise ServerError(f"{engine.title} at {server.url} did not stop its profiler ({_short(reply)}); {undone}")


def _short(reply: Reply) -> str:
    said = " ".join(reply.text.split())[:200]
    return f"{reply.status}: {said}" if said else str(reply.status)


def _found(server: RunningServer, engine: ServingEngine, wish: Wish, found: Written, seconds: float) -> ServedTraces:
    front_end = tuple(path for path in found.whole if engine.front_end in path.name)
    files = tuple(path for path in found.whole if path not in front_end)
    unfinished = tuple(path for path in found.unfinished if engine.front_end not in path.name)
    if not files and not unfinished:
        raise ServerError(f"no trace appeared in {wish.folder!r} here; {where(server, wish)}")
    return ServedTraces(
        folder=Path(wish.folder), files=files, front_end=front_end, unfinished=unfinished, seconds=seconds
    )


def where(server: RunningServer, wish: Wish) -> str:
    """Where the server wrote, and how to bring it here."""
    if server.is_here:
        return (
            f"the server wrote to {wish.folder!r} as it sees it; where it runs in a container, "
            f"`docker cp CONTAINER:{shlex.quote(wish.folder)} .`, then `rope_prof analyze` that folder"
        )
    place, name = shlex.quote(f"{server.host}:{wish.folder}"), shlex.quote(Path(wish.folder).name)
    fetch = f"`scp -r {place} .`, then `rope_prof analyze {name}`"
    return f"the server wrote to {wish.folder!r} on {server.host}: {fetch}"


def _until(wish: Wish) -> str:
    after = f"after {wish.seconds:g} s"
    return after if wish.steps is None else f"when {wish.steps} steps are written, or {after}"
