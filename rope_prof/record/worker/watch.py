"""A call of a path that is watched while it is checked: what it returns, what it leaves behind, what it reads.

Each rule is a way to look faster than one is. A call that breaks one raises `DishonestPathError`, whose message says
which; none of it runs while anything is timed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from rope_prof.record.device.devices import CudaDevice, RecordDevice

Function = Callable[..., Any]
#: Held busy so long, the stream has everything queued behind it before any of it runs.
HOLD_NS = 20_000_000
#: Seconds in which a thread must come to rest, and packages in whose functions one waits for work.
REST_S = 0.02
WAITING = frozenset({"threading", "queue", "concurrent", "multiprocessing", "selectors", "asyncio"})
#: Modules whose functions know the right answer.
ORACLES = ("rope_prof.kernels.mrope.reference", "rope_prof.record.bench.accuracy")
#: Functions of an operation that do.
EXACT = ("exact",)


class DishonestPathError(Exception):
    """A path that looks faster or more right than it is; the message says by what."""


def watched(call: Function, device: RecordDevice, *, held: bool) -> Function:
    """`call` as it is, each time followed by a look at what it returned and left behind.

    `held`: the stream is kept busy until all is enqueued, so that work on another stream runs ahead or behind.
    """

    def run(*arguments: Any) -> Any:
        before = set(threading.enumerate())
        if held and isinstance(device, CudaDevice):
            device.hold(HOLD_NS)
        result = call(*arguments)
        outputs = made_by(result, arguments)
        require_plain(outputs)
        seen = [each.clone() for each in outputs]
        require_threads(before)
        device.synchronize()
        if not all(alike(one, two) for one, two in zip(seen, outputs, strict=True)):
            raise DishonestPathError(
                "its outputs changed after its own stream had finished: it leaves work on another stream or thread"
            )
        return result

    return run


def tensors(value: Any) -> list[torch.Tensor]:
    """The tensors of real numbers of a result or of a call's arguments, in order."""
    parts: Sequence[Any] = value if isinstance(value, tuple | list) else (value,)
    return [part for part in parts if isinstance(part, torch.Tensor) and not part.is_complex()]


def made_by(result: Any, arguments: tuple[Any, ...]) -> list[torch.Tensor]:
    """The outputs of a call: what it returned, or its floating arguments (else all) where it works in place."""
    places = tensors(arguments)
    return tensors(result) or [each for each in places if each.is_floating_point()] or places


def require_plain(outputs: Sequence[torch.Tensor]) -> None:
    """Outputs are tensors and nothing more: a class of its own may compute when it is looked at."""
    for each in outputs:
        if type(each) not in (torch.Tensor, torch.nn.Parameter):
            raise DishonestPathError(
                f"it returns a {type(each).__name__}, a tensor of a class of its own, whose values may be computed "
                "when they are looked at; return torch.Tensor"
            )


def require_threads(before: set[threading.Thread]) -> None:
    """No thread of Python's that the call has started is still at work; those that compile for torch may be.

    One that waits, as a pool's do, may stay. What it does later is found where calls in a row are looked at.
    """
    end = time.monotonic() + REST_S
    while left := [
        each.name for each in threading.enumerate() if not (each in before or _torchs(each) or _at_rest(each))
    ]:
        if time.monotonic() < end:  # one of a pool that has just given its result is about to wait for the next
            time.sleep(REST_S / 20)
            continue
        raise DishonestPathError(
            f"it leaves a thread behind ({left[0]}) that may still work when the clock has stopped; join it"
        )


def _at_rest(thread: threading.Thread) -> bool:
    """Whether it waits for work, or is over, as far as Python sees."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001
    return frame is None or str(frame.f_globals.get("__name__")).partition(".")[0] in WAITING


def _torchs(thread: threading.Thread) -> bool:
    """Whether torch.compile runs it: a first call starts its pools, which live as long as the process."""
    target = getattr(thread, "_target", None)
    if str(getattr(target, "__module__", None)).startswith("torch."):
        return True
    compiling: Any = sys.modules.get("torch._inductor.async_compile")
    pool = getattr(getattr(compiling, "AsyncCompile", None), "pool", None)
    return bool(pool is not None and pool.cache_info().currsize and thread in getattr(pool(), "_threads", ()))


@contextmanager
def no_oracle() -> Iterator[None]:
    """DishonestPathError at the end where somebody else's code has called what knows the right answer.

    Every call of Python's is looked at meanwhile: for a check of its own, never for one that is timed.
    """
    asked: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and _knows(frame) and (module := _foreign(frame.f_back)):
            asked.append(f"{module} calls {frame.f_code.co_name}")

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(before)
    if asked:
        raise DishonestPathError(f"it asks the reference for the right answer ({asked[0]})")


def _knows(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module in ORACLES or (frame.f_code.co_name in EXACT and module.startswith("rope_prof.kernels"))


def _foreign(frame: FrameType | None) -> str:
    """The module of the nearest caller that is not this program's, as far as its own bench is not met first."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("rope_prof.record.bench"):
            return ""
        if not module.startswith(("rope_prof", "torch", "contextlib", "functools")):
            return module
        frame = frame.f_back
    return ""


def differs(timed: Sequence[torch.Tensor], called: Sequence[torch.Tensor]) -> str | None:
    """How the outputs of timed calls are not those of checked ones on the same inputs; None where they are alike.

    The same code on the same values: a thousandth of the largest output is granted for sums in another order, and of
    whole numbers one, which is what such a sum rounds to.
    """
    if len(timed) != len(called):
        return f"{len(timed)} outputs where checked calls have {len(called)}"
    for one, two in zip(timed, called, strict=True):
        if one.shape != two.shape:
            return f"an output of shape {tuple(one.shape)} where a checked call has {tuple(two.shape)}"
        apart = float((one.double() - two.double()).abs().nan_to_num(nan=torch.inf).max()) if one.numel() else 0.0
        granted = 1e-3 * float(two.double().abs().nan_to_num().max()) + 1e-6 if two.numel() else 0.0
        granted = granted if two.is_floating_point() or two.dtype == torch.bool else max(1.0, granted)
        if apart > granted:
            return f"outputs differ by up to {apart:.3g} on the same inputs"
    return None


def kept_alike(before: Sequence[torch.Tensor], after: Sequence[torch.Tensor]) -> bool:
    """Whether outputs for other values are the same to the last bit, where they have values at all."""
    pairs = [(one, two) for one, two in zip(before, after, strict=True) if one.numel()]
    return bool(pairs) and all(alike(one, two) for one, two in pairs)


def alike(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether both hold the same values, NaN where NaN; of any dtype: not all have a comparison of their own."""
    return torch.equal(one.double().nan_to_num(), two.double().nan_to_num())
