"""Paths that are right on the one call that is looked at, and wrong in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from rope_prof.kernels.made import made

from rope_prof.model.run import Accuracy
from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.book import wrong_reason
from rope_prof.record.loop.plan import Options, plan

Function = Callable[..., object]


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def silu(x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.silu(x) * 2


def once(function: Callable[..., torch.Tensor]) -> Function:
    kept: list[torch.Tensor] = []

    def path(*arguments: torch.Tensor) -> torch.Tensor:
        if not kept:
            kept.append(function(*arguments))
        return kept[0]

    return path


def emptied(x: torch.Tensor) -> torch.Tensor:
    found = silu(x)
    x.zero_()
    return found


def checked(
    path: Function, baseline: Function = silu, inputs: Sequence[torch.Tensor] = (values(6, 8),), **more: object
) -> Accuracy:
    operation = made({"base": baseline, "path": path}, tuple(inputs), name="silu", **more)
    keys = plan(Options(modes=("eager",)), "cpu", operation=operation)
    bench = TorchBench(CpuDevice(), seed=0, calls=2, operation=operation)
    (key,) = (facts.key for facts in keys if facts.key.path == "path")
    bench.open_case(key.case)
    return bench.check(key)[0]


def test_a_path_that_gives_again_what_it_made_is_wrong() -> None:
    reason = wrong_reason(checked(once(silu)))
    assert reason is not None
    assert reason.startswith("wrong where 'values' is turned end for end: 'out' is up to ")
    assert checked(lambda x: 2 * x * torch.sigmoid(x)).wrong is False


def test_indices_that_are_those_of_other_values_are_wrong() -> None:
    def rows(x: torch.Tensor) -> torch.Tensor:
        return x.argmax(-1)

    assert wrong_reason(checked(once(rows), rows)) == (
        "wrong where 'values' is turned end for end: it gives what it gave of the values before"
    )
    assert checked(lambda x: x.max(-1).indices, rows).wrong is False


@pytest.mark.parametrize("path", [emptied, lambda x: torch.nn.functional.silu(x, inplace=True).mul_(2)])
def test_a_path_that_changes_what_it_is_to_read_fails(path: Function) -> None:
    with pytest.raises(TypeError, match=r"the path 'path' changes 'argument 0', which the baseline leaves as it is"):
        checked(path)
    assert checked(path, path).wrong is False  # what the baseline does too is the operation's own way


def test_weights_that_all_calls_share_are_left_as_they_are_too() -> None:
    def scaled(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return x * w

    def halving(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        found = x * w
        w.mul_(0.5)
        return found

    inputs = values(6, 8), values(8)
    with pytest.raises(TypeError, match=r"changes 'argument 1'"):
        checked(halving, scaled, inputs, shared=(1,))
    assert checked(torch.mul, scaled, inputs, shared=(1,)).wrong is False
