"""Recording on every rank at once, as torchrun starts them: one barrier, a folder a rank, gathered into one run.

Ranks talk over gloo (a CPU's sockets), so that neither the GPU nor its links know of the recording. A rank that dies
makes torchrun end the others with SIGTERM: each keeps what it has, says so, and gathers what all have written.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Final

from rope_prof.errors import RopeProfError, RunError, UsageError
from rope_prof.io.run.ranks import STOPPED, Gathered, gather, is_taken, rank_folder, write_ended
from rope_prof.io.run.writer import writing
from rope_prof.model.run import Run
from rope_prof.record.loop.protocols import Progress
from rope_prof.record.loop.rounds import ALONE_ROUNDS

#: All ranks must have come so far, and must have ended, within it.
PATIENCE: Final = timedelta(hours=2)
#: What a survivor waits so that the others have said how they ended.
_GRACE_S: Final = 1.0


class LostRankError(RopeProfError):
    """A rank died or ended early; the message names it and says what is kept."""

    code = "lost-rank"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """This process among the ranks, as torchrun says it."""

    rank: int
    size: int
    local: int

    def device_name(self, asked: str) -> str:
        """`auto` and `cuda` mean the GPU of this rank on its host."""
        import torch

        if asked == "cuda" or (asked == "auto" and torch.cuda.is_available()):
            return f"cuda:{self.local}"
        return asked


def place() -> Place | None:
    """This process's place; None where torchrun did not start it. Errors: UsageError for words that are no numbers."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    words = {name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    for name, text in words.items():
        if not text.isdigit():
            raise UsageError(f"{name} is {text!r}; expected a number, as torchrun sets it")
    return Place(rank=int(words["RANK"]), size=int(words["WORLD_SIZE"]), local=int(words["LOCAL_RANK"]))


def ranked(run: Run, here: Place) -> Run:
    """The plan of `run` as that of rank `here`."""
    alone = {} if run.settings.get("sweep") else {"alone_rounds": ALONE_ROUNDS}
    return replace(
        run,
        keys=tuple(replace(facts, key=replace(facts.key, rank=here.rank)) for facts in run.keys),
        ceilings=tuple(replace(ceiling, rank=here.rank) for ceiling in run.ceilings),
        settings={**run.settings, "world_size": here.size, **alone},
    )


@contextmanager
def joined(here: Place) -> Iterator[None]:
    """The process group of all ranks, and SIGTERM as an interruption."""
    import torch.distributed as dist

    before = signal.signal(signal.SIGTERM, _interrupt)
    dist.init_process_group("gloo", timeout=PATIENCE, rank=here.rank, world_size=here.size)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        dist.destroy_process_group()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def agreed(run: Run, folder: Path, held: ExitStack) -> tuple[Run, Path]:
    """The first rank's folder and time of creation, on every rank; the first one is its writer until `held` closes.

    Errors: RunError on all where it is taken.
    """
    import torch.distributed as dist

    why = _claimed(folder, held) if dist.get_rank() == 0 else None
    said: list[object] = [str(folder.absolute()), run.created, why]
    dist.broadcast_object_list(said, src=0)
    name, created, refused = said
    if refused is not None:
        raise RunError(str(refused))
    return replace(run, created=str(created)), Path(str(name))


def _claimed(folder: Path, held: ExitStack) -> str | None:
    """Become the writer of `folder`, which holds no run; the sentence on why not."""
    try:
        held.enter_context(writing(folder))
    except RunError as error:
        return str(error)
    return f"{str(folder)!r} already holds a run; choose another folder with -o" if is_taken(folder) else None


def record_rank(run: Run, device: object, folder: Path, here: Place, progress: Progress) -> Gathered:
    """Record `run`, the plan of this rank, at once with the others, and gather what all have written.

    Errors: what `record_run` raises on this rank; LostRankError where another was lost.
    """
    import torch.distributed as dist

    from rope_prof.record.session import record_run

    own = rank_folder(folder, here.rank)
    try:
        dist.barrier()
        others = None if run.settings.get("sweep") else OtherRanks(here)
        record_run(run, device, own, progress, others=others)  # type: ignore[arg-type]
        dist.barrier()  # all are whole
    except (Exception, KeyboardInterrupt) as error:
        raise _lost(folder, here, error) from error
    if here.rank == 0:
        gathered = gather(folder, here.size)
    dist.barrier()
    return gathered if here.rank == 0 else Gathered(size=here.size, lost={}, folder=folder)


@dataclass(frozen=True, slots=True)
class OtherRanks:
    """The other ranks, met at barriers of gloo: who waits there sleeps."""

    here: Place

    def meet(self) -> None:
        """Wait until every rank has come here."""
        import torch.distributed as dist

        dist.barrier()

    def in_turn(self, work: Callable[[], None]) -> None:
        """Call `work` on every rank, one after the other, while the others wait."""
        for rank in range(self.here.size):
            self.meet()
            if rank == self.here.rank:
                work()
        self.meet()


def _lost(folder: Path, here: Place, error: BaseException) -> LostRankError:
    """Say how this rank ended, give the others time to do so, gather; the sentence on who is lost."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what is left takes a second or two
    write_ended(folder, here.rank, _words(error))
    time.sleep(_GRACE_S)
    sentence = gather(folder, here.size).sentence()
    return LostRankError(sentence or f"rank {here.rank} ended after it was whole")


def _words(error: BaseException) -> str:
    """What a rank says of its own end: an error of its own, or that it was ended with the others."""
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "InterruptedRecordingError":
        return STOPPED
    said = " ".join(str(error).split())[:200]
    if "onnection" in said:  # gloo: the peer of a barrier is gone
        return STOPPED
    return f"{type(error).__name__}: {said}"
