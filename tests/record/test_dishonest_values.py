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
    assert reason == "wrong where 'values' is turned end for end: it returns what it made before, of other values"
    assert checked(lambda x: 2 * x * torch.sigmoid(x)).wrong is False


@pytest.mark.parametrize(
    "key",
    [
        lambda x: x.data_ptr(),
        lambda x: (x.data_ptr(), x._version, x.shape, x.stride()),  # noqa: SLF001
        id,
    ],
    ids=["address", "version", "tensor"],
)
@pytest.mark.parametrize("copies", [False, True])
def test_a_path_that_keeps_what_it_made_by_place_or_version_is_wrong(key: Function, copies: bool) -> None:
    kept: dict[object, torch.Tensor] = {}

    def path(x: torch.Tensor) -> torch.Tensor:
        if key(x) not in kept:
            kept[key(x)] = silu(x)
        return kept[key(x)].clone() if copies else kept[key(x)]

    assert wrong_reason(checked(path)) == (
        "wrong where 'values' is turned end for end: it returns what it made before, of other values"
    )


def test_indices_that_are_those_of_other_values_are_wrong() -> None:
    def rows(x: torch.Tensor) -> torch.Tensor:
        return x.argmax(-1)

    assert wrong_reason(checked(once(rows), rows)) == (
        "wrong where 'values' is turned end for end: it returns what it made before, of other values"
    )
    assert checked(lambda x: x.max(-1).indices, rows).wrong is False


def turned(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return x * torch.cos(at.double()).float()[:, None]


def test_a_path_that_takes_its_positions_for_granted_is_wrong() -> None:
    def in_order(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return turned(x, torch.arange(at.numel()))

    inputs = values(6, 8), torch.arange(6)
    for shared in ((), (1,)):
        assert checked(lambda *given: turned(*given).clone(), turned, inputs, shared=shared).wrong is False
        assert wrong_reason(checked(in_order, turned, inputs, shared=shared)) == (
            "wrong where 'argument 1' is turned end for end: its outputs are those of before, as if it were not read"
        )


def test_a_path_that_keeps_its_positions_by_their_place_is_said_to() -> None:
    angles: dict[int, torch.Tensor] = {}

    def path(x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        return turned(x, angles.setdefault(at.data_ptr(), at.clone()))

    inputs = values(6, 8), torch.tensor([0, 1, 1, 2, 3, 4])
    assert wrong_reason(checked(path, turned, inputs)) == (
        "wrong where 'argument 1' is turned end for end: it returns what it made before, of other values"
    )


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


def test_garbage_under_the_limit_of_the_largest_value_is_wrong() -> None:
    x = values(64, 64)
    x[:, 5] = 3e4

    def tripled(x: torch.Tensor) -> torch.Tensor:
        return 3 * x

    def outliers(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x.abs() > 100, 3 * x, torch.zeros_like(x))

    reason = wrong_reason(checked(outliers, tripled, (x.bfloat16(),)))
    assert reason == "98.4 % of 'out' err by over a quarter of their value; the limit is 5 %"
    assert checked(lambda x: x + x + x, tripled, (x.bfloat16(),)).wrong is False


def test_indices_are_no_more_often_off_than_the_baselines_are() -> None:
    weights = values(64, 512)

    def rounded(x: torch.Tensor) -> torch.Tensor:
        return (x.bfloat16() @ weights.bfloat16()).argmax(-1)

    x = values(256, 64)
    found = checked(lambda x: torch.full((len(x),), 256), rounded, (x,))
    assert found.max_error <= found.limit  # the baseline takes another index somewhere, which may lie anywhere
    assert "of 'out' err by over a quarter of their value" in (wrong_reason(found) or "")
    assert checked(lambda x: (x @ weights).argmax(-1), rounded, (x,)).wrong is False


def test_a_reference_without_numbers_makes_nothing_right() -> None:
    found = checked(lambda x: 7 * x, reference=lambda x: silu(x) * torch.nan)
    assert wrong_reason(found) == (
        "48 outputs are NaN or infinite where the reference is not, or it is where they are not"
    )


def test_a_baseline_that_overflows_grants_no_infinite_error() -> None:
    def squares(x: torch.Tensor) -> torch.Tensor:
        return (x * x).sum(-1) / 512

    x = (values(64, 512) * 3000).half()
    found = checked(lambda x: torch.zeros_like(x[:, 0]), squares, (x,))
    assert found.wrong
    assert found.max_error < float("inf")
    assert found.limit < float("inf")
    assert checked(lambda x: x.float() * x.float(), lambda x: x.float() ** 2, (x,)).wrong is False
    assert checked(lambda x: x * x, lambda x: x**2, (x,)).wrong is False  # infinite where fp16 has no such number
