"""One clear sentence for every wrong argument; the operator's schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from rope_prof.kernels.mrope.fused import check_call, check_positions, fused, mrope_
from rope_prof.kernels.mrope.inputs import Inputs, make_inputs

from tests.kernels.shapes import small

SHAPE = small(5, 1)

WRONG: dict[str, tuple[type[Exception], Callable[[Inputs], dict[str, Any]]]] = {
    "q is torch.float64; expected bfloat16, float16 or float32": (TypeError, lambda x: {"q": x.q.double()}),
    "k is torch.float16; expected torch.bfloat16, as q": (TypeError, lambda x: {"k": x.k.half()}),
    "cos_sin_cache is torch.bfloat16; expected torch.float32 (float64 angles rounded once)": (
        TypeError, lambda x: {"table": x.cos_sin_cache.bfloat16()}),
    "positions is torch.float32; expected torch.int64": (TypeError, lambda x: {"positions": x.positions.float()}),
    "k is on meta; expected cpu, where q is": (ValueError, lambda x: {"k": x.k.to("meta")}),
    "positions is on meta; expected cpu, where q is": (ValueError, lambda x: {"positions": x.positions.to("meta")}),
    "cos_sin_cache is on meta; expected cpu, where q is": (
        ValueError, lambda x: {"table": x.cos_sin_cache.to("meta")}),
    "q is (4, 5, 128); expected [N, 5 * 128] with the same N for q and k": (
        ValueError, lambda x: {"q": x.q.reshape(4, 5, 128)}),
    "q is (4, 512); expected [N, 5 * 128] with the same N for q and k": (ValueError, lambda x: {"q": x.q[:, :512]}),
    "k is (3, 128); expected [N, 1 * 128] with the same N for q and k": (ValueError, lambda x: {"k": x.k[:3]}),
    "q has last stride 4; expected 1 (a view of the packed qkv)": (
        ValueError, lambda x: {"q": x.q.t().contiguous().t()}),
    "q requires grad; this in-place operator is for inference: call it under torch.no_grad()": (
        ValueError, lambda x: {"q": x.q.clone().requires_grad_()}),
    "positions is (2, 4); expected (3, 4) rows t, h, w, or (4,)": (
        ValueError, lambda x: {"positions": x.positions[:2]}),
    "positions is (3, 3); expected (3, 4) rows t, h, w, or (4,)": (
        ValueError, lambda x: {"positions": x.positions[:, :3]}),
    "positions has last stride 3; expected 1": (
        ValueError, lambda x: {"positions": x.positions.t().contiguous().t()}),
    "cos_sin_cache is (1024, 64); expected contiguous [positions, 128] = [cos | sin]": (
        ValueError, lambda x: {"table": x.cos_sin_cache[:, :64].contiguous()}),
    "cos_sin_cache is (512, 128); expected contiguous [positions, 128] = [cos | sin]": (
        ValueError, lambda x: {"table": x.cos_sin_cache[::2]}),
    "cos_sin_cache is (131072,); expected contiguous [positions, 128] = [cos | sin]": (
        ValueError, lambda x: {"table": x.cos_sin_cache.flatten()}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("call_of", "sentence"),
    [(check_call, s) for s in WRONG] + [(fused, s) for s in WRONG if "meta" not in s and "grad" not in s],
)
def test_a_wrong_argument_is_one_sentence_and_touches_nothing(call_of: Callable[..., None], sentence: str) -> None:
    """Eager calls on a GPU run the check itself; off a GPU `fused` goes by the dispatcher, which takes meta tensors to
    the fake implementation and runs the operator with grad mode off."""
    kind, change = WRONG[sentence]
    x = make_inputs(SHAPE, 4)
    call = {"q": x.q, "k": x.k, "positions": x.positions, "table": x.cos_sin_cache} | change(x)
    before = x.qkv.clone()
    with pytest.raises(kind) as raised:
        call_of(*call.values(), SHAPE)
    assert str(raised.value) == sentence
    assert torch.equal(x.qkv, before)


@pytest.mark.parametrize(
    ("positions", "sentence"),
    [
        ([[0, 1], [0, 9], [0, 1]], "position 9 of token 1 (row h) is outside the table; expected 0 to 8;"),
        ([[0, -1], [0, 9], [0, 1]], "position -1 of token 1 (row t) is outside the table; expected 0 to 8;"),
        ([3, 9], "position 9 of token 1 is outside the table; expected 0 to 8;"),
    ],
)
def test_a_position_outside_is_named_with_its_token(positions: list[Any], sentence: str) -> None:
    with pytest.raises(IndexError) as raised:
        check_positions(torch.tensor(positions), 9)
    assert str(raised.value) == f"{sentence} build a longer cos_sin_cache or mend the positions"


def test_a_table_beyond_what_32_bits_count_is_refused() -> None:
    """Where a row begins is counted in 32 bits: beyond, a position inside the table would be read in front of it."""
    rows = 2**31 // SHAPE.rotary_dim
    q, k, positions = (torch.empty(size, device="meta") for size in ((4, 640), (4, 128), (3, 4)))
    for more, allowed in ((-1, True), (0, False)):
        given = q, k, positions.long(), torch.empty(rows + more, SHAPE.rotary_dim, device="meta"), SHAPE
        if allowed:
            check_call(*given)
        else:
            with pytest.raises(ValueError, match="cos_sin_cache has 2147483648 elements; expected fewer than 2\\^31"):
                check_call(*given)


def test_positions_inside_pass() -> None:
    check_positions(torch.tensor([[0, 8], [0, 8], [8, 0]]), 9)
    check_positions(torch.empty(3, 0, dtype=torch.int64), 9)


def test_the_operator_declares_that_it_writes_q_and_k_alone() -> None:
    schema = torch.ops.rope_prof.mrope_.default._schema
    written = {a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write}
    assert written == {"q", "k"} and schema.returns == []
    assert schema.name == "rope_prof::mrope_" and mrope_._qualname == "rope_prof::mrope_"


def test_fake_tensors_pass_through_the_operator() -> None:
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        fused(
            torch.empty(7, 640), torch.empty(7, 128), torch.empty(3, 7, dtype=torch.int64), torch.empty(9, 128), SHAPE
        )
