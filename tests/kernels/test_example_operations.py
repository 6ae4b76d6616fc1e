"""The operations that ship as examples: right by their float64 reference, and honest about their bytes and layouts."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.lookup import OURS, operation
from rope_prof.kernels.operation import Path

from rope_prof.errors import OperationError
from rope_prof.record.bench.accuracy import judged, limits, run_once
from rope_prof.record.bench.claims import require_bytes, require_calls
from rope_prof.record.bench.copies import copied
from rope_prof.record.bench.layouts import layout_errors

CPU = torch.device("cpu")
EXAMPLES = [name for name in OURS if name != "mrope"]


def case_of(name: str) -> dict[str, str | int]:
    values = {axis.name: axis.usual("cpu", quick=True)[0] for axis in operation(name).axes}
    return values | {"tokens": 5, "hidden": 96}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_chain_is_right_in_every_layout_and_tells_its_bytes(name: str) -> None:
    found, case = operation(name), case_of(name)
    calls = found.calls(case, 2, CPU, None, seed=1)
    require_calls(calls, 2, found, CPU)
    known, chain = limits(found, case, calls[0]), found.path(found.paths[0]).call
    ran = copied(calls[0])
    out = run_once(chain, ran, found)
    accuracy = judged(out, found, case, calls[0], known, "bf16")
    assert not accuracy.wrong
    assert [one.name for one in accuracy.outputs] == [output.name for output in found.outputs]
    assert layout_errors(chain, calls[0], out, found, known.errors)[1] == ()
    least = found.moved_bytes(case, None)
    assert least is not None and require_bytes(found, case, "fused", ran, out) == least


@pytest.mark.parametrize("name", EXAMPLES)
def test_new_values_depend_on_the_seed_alone(name: str) -> None:
    found, case = operation(name), case_of(name)
    calls = found.calls(case, 2, CPU, None, seed=1)
    found.refill(calls, 7)
    seven = calls[1].fresh[0].clone()
    found.refill(calls, 8)
    assert not torch.equal(calls[1].fresh[0], seven)
    found.refill(calls, 7)
    assert torch.equal(calls[1].fresh[0], seven)


def test_a_path_that_takes_a_row_stride_for_granted_is_wrong_in_that_layout() -> None:
    found, case = operation("silu-mul"), case_of("silu-mul")
    (call,) = found.calls(case, 1, CPU, torch.float32, seed=1)

    def flat(x: torch.Tensor) -> torch.Tensor:
        rows = x.as_strided(x.shape, (x.shape[1], 1))  # wrong where x is cut out of wider rows
        return found.path("unfused").call(rows)

    known = limits(found, case, call)
    tried, wrong = layout_errors(flat, call, run_once(flat, copied(call), found), found, known.errors)
    assert tried == 3
    assert [(one.argument, one.layout) for one in wrong] == [
        ("x", "cut out of wider rows"),
        ("x", "strided along its last dimension"),
    ]
    assert "'out' is up to" in wrong[0].reason


def test_a_path_that_refuses_a_layout_is_not_wrong() -> None:
    found, case = operation("silu-mul"), case_of("silu-mul")
    (call,) = found.calls(case, 1, CPU, torch.float32, seed=1)

    def strict(x: torch.Tensor) -> torch.Tensor:
        if not x.is_contiguous():
            raise ValueError("contiguous alone")
        return found.path("unfused").call(x)

    out = run_once(strict, copied(call), found)
    assert layout_errors(strict, call, out, found, limits(found, case, call).errors) == (3, ())


def test_each_output_has_its_own_limit_and_dtype() -> None:
    found, case = operation("rmsnorm-quant"), case_of("rmsnorm-quant")
    (call,) = found.calls(case, 1, CPU, None, seed=1)
    known = limits(found, case, call)
    quantised, scale = run_once(found.path("unfused").call, copied(call), found)
    off = judged((quantised, scale * 1.1), found, case, call, known, "bf16")
    assert [one.wrong for one in off.outputs] == [False, True]
    assert (off.max_error, off.limit) == (off.outputs[1].max_error, off.outputs[1].limit)
    with pytest.raises(TypeError, match="returned 'quantised' in float32; expected int8, as the baseline 'unfused'"):
        judged((quantised.float(), scale), found, case, call, known, "bf16")
    with pytest.raises(TypeError, match=r"returned Tensor; expected 2 tensors \(quantised, scale\)"):
        run_once(lambda x, *_: x, call, found)


class Lying:
    """`silu-mul` but for what the test replaces."""

    def __init__(self, **lies: object) -> None:
        self.lies = lies

    def __getattr__(self, name: str) -> object:
        return self.lies.get(name, getattr(operation("silu-mul"), name))


@pytest.mark.parametrize(
    ("least", "moved", "sentence"),
    [
        (-1, None, "of any path is -1; expected a whole number of bytes"),
        (10**9, 10**9, "of any path is 1,000,000,000 bytes; expected at most"),
        (100, 50, "of path 'fused' is 50 bytes; expected at least the least, 100"),
        (None, 7, "of path 'fused' is 7 bytes; expected at least its outputs"),
    ],
)
def test_bytes_that_cannot_be_true_name_the_field(least: int | None, moved: int | None, sentence: str) -> None:
    lying = Lying(moved_bytes=lambda _, path: least if path is None else moved)
    case = case_of("silu-mul")
    (call,) = operation("silu-mul").calls(case, 1, CPU, None, seed=1)
    out = run_once(operation("silu-mul").path("unfused").call, call, operation("silu-mul"))
    with pytest.raises(OperationError, match=f"operation 'silu-mul': moved_bytes {sentence}"):
        require_bytes(lying, case, "fused", call, out)  # type: ignore[arg-type]


def test_a_reference_of_another_shape_or_dtype_names_the_field() -> None:
    case = case_of("silu-mul")
    (call,) = operation("silu-mul").calls(case, 1, CPU, None, seed=1)
    for exact, sentence in (
        (lambda *_: (torch.zeros(3, dtype=torch.float64),), r"exact gives 'out' of shape \(3,\), the baseline"),
        (lambda *_: (torch.zeros(5, 96),), "exact gives 'out' in float32; expected float64"),
        (lambda *_: (), r"exact gives 0 values \(\); expected 1 tensor \(out\)"),
    ):
        with pytest.raises(OperationError, match=sentence):
            limits(Lying(exact=exact), case, call)  # type: ignore[arg-type]


def test_inputs_on_another_device_name_the_field() -> None:
    with pytest.raises(OperationError, match="calls gives 0 calls; expected the 1"):
        require_calls((), 1, operation("silu-mul"), CPU)
    (call,) = operation("silu-mul").calls(case_of("silu-mul"), 1, CPU, None, seed=1)
    with pytest.raises(OperationError, match="calls puts tensor 0 of the arguments on cpu; expected cuda:0"):
        require_calls([call], 1, operation("silu-mul"), torch.device("cuda:0"))


def test_calls_that_share_memory_are_not_cold() -> None:
    first, second = operation("silu-mul").calls(case_of("silu-mul"), 2, CPU, None, seed=1)
    require_calls([first, second], 2, operation("silu-mul"), CPU)
    with pytest.raises(OperationError, match="calls gives two calls the same memory in 'fresh'"):
        require_calls([first, first], 2, operation("silu-mul"), CPU)


def test_paths_are_found_by_name_alone() -> None:
    for name in EXAMPLES:
        assert isinstance(operation(name).path("unfused"), Path)
        expected = ", ".join(map(repr, operation(name).paths))
        with pytest.raises(LookupError, match=f"unknown path 'other'; expected {expected}"):
            operation(name).path("other")
