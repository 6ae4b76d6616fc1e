"""Whether a path makes its outputs in every call, of the values that its arguments have now. Pure but for its calls.

A path may give one buffer again and again, as servers do: what lies there must have been written by the call. It is
held to that in two ways: outputs are overwritten ahead of a call, and values are turned end for end where they lie,
those that are a call's own, then whole numbers (positions, tokens, slots), which no refill changes. One that knows
values again by some of their elements is given others that differ in few.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from rope_prof.kernels.operation import Call
from rope_prof.record.bench.values import bits, bounds
from rope_prof.record.loop.describe import broke_device
from rope_prof.record.worker.watch import DishonestPathError, alike, kept_alike, made_by, tensors

Function = Callable[..., Any]
Arguments = tuple[Any, ...]
#: What outputs are overwritten with, in each byte or word: no dtype has it as 0, 1 or -1.
MARK = 0x3A
#: One in so many elements changes places, by chance: outputs of whole numbers tell of many alone, fingerprints of few.
ONE_IN = (4, 32, 256)


def outputs(call: Function, arguments: Arguments) -> list[torch.Tensor]:
    """Copies of what a call makes of `arguments`."""
    return [each.clone() for each in made_by(call(*arguments), arguments)]


def require_anew(
    call: Function, baseline: Function, arguments: Arguments, own: Sequence[torch.Tensor], refill: Callable[[], None]
) -> None:
    """DishonestPathError where `call` gives of other values, or over what was overwritten, what it gave before.

    `own`: the tensors that are this call's own. `refill` puts the values back that paths in place have changed. What
    raises on other values refuses them, which is its right.
    """
    refill()
    before = outputs(call, arguments)
    _require_written(call, arguments, before, refill)
    numbers = [each for each in tensors(arguments) if not each.is_floating_point() and not bounds(each)]
    for what, chosen in (("values", [each for each in own if each.is_floating_point()]), ("whole numbers", numbers)):
        try:
            kept = _kept(call, arguments, before, chosen, refill)
            same = kept and not _kept(baseline, arguments, None, chosen, refill)
        except DishonestPathError:
            raise
        except Exception as error:
            if broke_device(error):
                raise
            same = False
        if same:
            raise DishonestPathError(
                f"it returns what it made before, or ignores {what}: the same outputs for others in one place"
            )
    refill()


def _require_written(
    call: Function, arguments: Arguments, before: Sequence[torch.Tensor], refill: Callable[[], None]
) -> None:
    refill()
    owned = {each.untyped_storage().data_ptr() for each in tensors(arguments)}
    with torch.inference_mode():
        for each in tensors(call(*arguments)):
            if each.untyped_storage().data_ptr() not in owned and 0 not in each.stride():
                bits(each).fill_(MARK)
    refill()
    for was, now in zip(before, outputs(call, arguments), strict=False):
        marked = bits(torch.empty_like(now)).fill_(MARK)
        if now.numel() and torch.equal(bits(now), marked) and not alike(was, now):
            raise DishonestPathError("it returns what it made before: its outputs come back as they were left")


def _kept(
    call: Function,
    arguments: Arguments,
    before: Sequence[torch.Tensor] | None,
    chosen: Sequence[torch.Tensor],
    refill: Callable[[], None],
) -> bool:
    """Whether `call` gives the same with `chosen` turned end for end; False where that changes none of them."""
    if before is None:
        refill()
        before = outputs(call, arguments)
    refill()
    with _turned(chosen) as changed:
        return changed and kept_alike(before, outputs(call, arguments))


@contextmanager
def _turned(chosen: Sequence[torch.Tensor]) -> Iterator[bool]:
    """`chosen` with the values of each in the other order, by rows where that makes others; whether any changed."""
    places = [bits(each) for each in chosen if each.dim() and each.numel() and 0 not in each.stride()]
    saved = [each.clone() for each in places]
    try:
        for place, was in zip(places, saved, strict=True):
            by_rows = was.flip(0)
            place.copy_(by_rows if not torch.equal(by_rows, was) else was.flip(-1))
        yield any(not torch.equal(place, was) for place, was in zip(places, saved, strict=True))
    finally:
        for place, was in zip(places, saved, strict=True):
            place.copy_(was)


def exchange(calls: Sequence[tuple[Call, Call]]) -> None:
    """Give of each pair the first the second's values, but for a part of its floating ones, which have changed places.

    Which of them, and how many (`ONE_IN`), is drawn for each tensor, by what no path can know.
    """
    for place, was, floats in _places(calls):
        values = was.reshape(-1).clone()
        if floats and len(values) > 1:
            draws = torch.Generator(device=values.device).manual_seed(secrets.randbits(63))
            count = max(2, len(values) // secrets.choice(ONE_IN))
            chosen = torch.randint(len(values), (count,), generator=draws, device=values.device)
            values[chosen] = values[chosen.roll(1)]
        place.copy_(values.view(place.shape))


def put_back(calls: Sequence[tuple[Call, Call]]) -> None:
    """Give of each pair the first the second's values."""
    for place, was, _ in _places(calls):
        place.copy_(was)


def _places(calls: Sequence[tuple[Call, Call]]) -> Iterator[tuple[torch.Tensor, torch.Tensor, bool]]:
    for live, before in calls:
        for place, was in zip(live.fresh, before.fresh, strict=True):
            if place.numel() and 0 not in place.stride():
                yield bits(place), bits(was), place.is_floating_point()
