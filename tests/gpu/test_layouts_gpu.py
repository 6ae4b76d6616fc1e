"""Every path of every operation that ships, on every layout of its arguments, on a real GPU. Skips without one."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.lookup import OURS, operation
from rope_prof.kernels.operation import Operation

import rope_prof
from rope_prof.record.bench.accuracy import limits, run_once
from rope_prof.record.bench.copies import copied, tensors_of
from rope_prof.record.bench.layouts import layout_errors

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def smallest(found: Operation) -> dict[str, str | int]:
    """The first value of every axis, and rows enough that a stride between them counts."""
    case = {axis.name: axis.usual("cuda", quick=True)[0] for axis in found.axes}
    return case | ({"tokens": 64} if "tokens" in case else {})


@pytest.mark.parametrize("name", OURS)
def test_paths_are_right_on_every_layout_or_refuse_it_aloud(name: str) -> None:
    found, device = operation(name), torch.device("cuda")
    case = smallest(found)
    (given,) = found.calls(case, 1, device, None, seed=1)
    known = limits(found, case, given)
    asked = sum(len(argument.layouts) for argument in found.arguments)
    told = []
    for path in found.paths:
        call = found.path(path).call
        out = run_once(call, copied(given), found)
        tried, wrong = layout_errors(call, given, out, found, known.errors)
        told += [f"{path}: {one}" for one in wrong]
        assert 0 < tried <= max(asked, 3 * len(tensors_of(given)))
    assert not told, "\n".join(told)


def test_a_path_that_takes_a_row_stride_for_granted_is_wrong_though_right_on_its_inputs() -> None:
    def flat(x: torch.Tensor) -> torch.Tensor:
        return x.as_strided(x.shape, (x.shape[1], 1)) * 2

    x = torch.randn(64, 128, device="cuda")
    found = rope_prof.measure({"twice": lambda x: x + x, "flat": flat}, x, modes="eager", rounds=3, progress=False)
    assert found.verdicts[0].word == "WRONG", found.headline
    assert "cut out of wider rows" in str(found.verdicts[0].reason)
