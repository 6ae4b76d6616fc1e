"""A path makes its outputs in every call: of whole numbers alone too, and in one buffer if it likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rope_prof.kernels.lookup import operation

from rope_prof.record.worker.anew import require_anew
from rope_prof.record.worker.watch import DishonestPathError

ROWS = torch.arange(32.0).reshape(8, 4)


def rows_of(tokens: torch.Tensor) -> torch.Tensor:
    """What is looked up: rows of a table that all calls share."""
    return ROWS[tokens]


def doubled(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


def counted(x: torch.Tensor) -> torch.Tensor:
    """Whole numbers of floating ones."""
    return (8 * x).to(torch.int8)


def kept(function: Callable[..., torch.Tensor], *, copies: bool) -> Callable[..., torch.Tensor]:
    """`function` once for each address; `copies` of what it gave then."""
    known: dict[int, torch.Tensor] = {}

    def path(*arguments: torch.Tensor) -> torch.Tensor:
        place = arguments[0].data_ptr()
        if place not in known:
            known[place] = function(*arguments)
        return known[place].clone() if copies else known[place]

    return path


def in_one_buffer(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    buffers: list[torch.Tensor] = []

    def path(*arguments: torch.Tensor) -> torch.Tensor:
        found = function(*arguments)
        buffers[1:] = []
        buffers.append(torch.empty_like(found))
        return buffers[0].copy_(found)

    return path


def tried(path: Callable[..., Any], baseline: Callable[..., Any], *arguments: torch.Tensor) -> None:
    saved = [each.clone() for each in arguments]

    def refill() -> None:
        for each, was in zip(arguments, saved, strict=True):
            each.copy_(was)

    require_anew(path, baseline, arguments, arguments, refill)
    assert all(torch.equal(each, was) for each, was in zip(arguments, saved, strict=True))


TOKENS = torch.tensor([3, 1, 4, 1, 5])
VALUES = torch.tensor([[0.5, -1.0, 2.0], [3.0, 0.25, -7.0]])


@pytest.mark.parametrize(
    ("baseline", "argument"), [(rows_of, TOKENS), (doubled, VALUES), (counted, VALUES)], ids=["rows", "floats", "ints"]
)
@pytest.mark.parametrize("copies", [False, True])
def test_what_was_kept_is_named_of_whole_numbers_too(
    baseline: Callable[..., torch.Tensor], argument: torch.Tensor, copies: bool
) -> None:
    words = "ignores (values|whole numbers): the same" if copies else "come back as they were left"
    with pytest.raises(DishonestPathError, match=f"it returns what it made before.*{words}"):
        tried(kept(baseline, copies=copies), baseline, argument.clone())


@pytest.mark.parametrize(("baseline", "argument"), [(rows_of, TOKENS), (doubled, VALUES), (counted, VALUES)])
def test_one_buffer_that_every_call_writes_is_no_fault(
    baseline: Callable[..., torch.Tensor], argument: torch.Tensor
) -> None:
    tried(in_one_buffer(baseline), baseline, argument.clone())
    tried(baseline, baseline, argument.clone())


def test_a_path_in_place_is_held_to_nothing_more() -> None:
    def doubles(x: torch.Tensor) -> None:
        x.mul_(2)

    tried(doubles, doubled, VALUES.clone())


def test_angles_that_were_kept_of_positions_are_named() -> None:
    def turned(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return x * torch.cos(positions.double()).float()[:, None]

    angles: dict[int, torch.Tensor] = {}

    def path(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        place = positions.data_ptr()
        angles.setdefault(place, torch.cos(positions.double()).float()[:, None])
        return x * angles[place]

    with pytest.raises(DishonestPathError, match="ignores whole numbers"):
        tried(path, turned, VALUES.clone(), torch.tensor([0, 1]))
    tried(turned, turned, VALUES.clone(), torch.tensor([0, 1]))


def test_outputs_that_hang_on_no_value_and_numbers_that_bound_others_are_no_fault() -> None:
    def ones(x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x)

    tried(ones, ones, VALUES.clone())

    def sums(x: torch.Tensor, bounds: torch.Tensor) -> torch.Tensor:
        assert bool((bounds[1:] >= bounds[:-1]).all()), "sums of lengths are never turned"
        return torch.stack([x[a:b].sum() for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)])

    tried(sums, sums, torch.rand(9), torch.tensor([0, 4, 9]))
    tried(kept(ones, copies=True), ones, VALUES.clone())


def test_what_raises_on_other_values_refuses_them() -> None:
    def only_rising(tokens: torch.Tensor) -> torch.Tensor:
        if bool((tokens[1:] < tokens[:-1]).any()):
            raise ValueError("tokens must rise")
        return ROWS[tokens].clone()

    tried(only_rising, rows_of, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("name", ["mrope", "mrope-kv", "rmsnorm-quant", "silu-mul", "column-amax"])
def test_the_baselines_that_ship_are_honest(name: str) -> None:
    measured = operation(name)
    case = {axis.name: (axis.usual("cpu", quick=True) or axis.choices)[0] for axis in measured.axes}
    calls = measured.calls(case, 1, torch.device("cpu"), None, 0)
    baseline = measured.path(measured.paths[0]).call
    require_anew(baseline, baseline, calls[0].arguments, calls[0].fresh, lambda: measured.refill(calls, 7))
