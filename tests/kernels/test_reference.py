"""The oracle against the formula written out by hand, and the eager chain against the oracle."""

from __future__ import annotations

import math
from itertools import permutations
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rope_prof.kernels.mrope.inputs import make_inputs
from rope_prof.kernels.mrope.paths import path
from rope_prof.kernels.mrope.reference import error, reference
from rope_prof.kernels.mrope.shape import MropeShape, Order, Pairing
from rope_prof.kernels.mrope.unfused import unfused

from tests.kernels.shapes import ORDERS, PAIRINGS, small

every_layout = pytest.mark.parametrize(
    ("order", "pairing", "rotary_dim"), [(o, p, r) for o in ORDERS for p in PAIRINGS for r in (128, 56)]
)

#: Six pairs; t, h, w rows 5, 7, 11 of one token. The row that turns each pair, written out.
BY_HAND: dict[Order, tuple[tuple[int, int, int], tuple[int, ...]]] = {
    "ernie": ((2, 2, 2), (7, 11, 7, 11, 5, 5)),
    "chunked": ((1, 2, 3), (5, 7, 7, 11, 11, 11)),
    "interleaved": ((4, 1, 1), (5, 7, 11, 5, 5, 5)),
}


@pytest.mark.parametrize("pairing", PAIRINGS)
@pytest.mark.parametrize("order", ORDERS)
def test_six_pairs_by_hand(order: Order, pairing: Pairing) -> None:
    sections, rows = BY_HAND[order]
    shape = MropeShape(
        model="six", q_heads=1, kv_heads=1, hidden=16, layers=1, head_dim=16, rotary_dim=12,
        sections=sections, order=order, pairing=pairing, theta=100.0,
    )  # fmt: skip
    x = [float(n * n - 20) for n in range(16)]
    want = list(x)
    for i, position in enumerate(rows):
        first, second = (2 * i, 2 * i + 1) if pairing == "interleaved" else (i, i + 6)
        angle = position * 100.0 ** (-2 * i / 12)
        want[first] = x[first] * math.cos(angle) - x[second] * math.sin(angle)
        want[second] = x[second] * math.cos(angle) + x[first] * math.sin(angle)
    got = reference(torch.tensor([x], dtype=torch.float64), torch.tensor([[5], [7], [11]]), shape)
    assert got[0].tolist() == pytest.approx(want, rel=1e-13, abs=1e-12)


@every_layout
def test_the_unfused_chain_agrees_with_the_oracle(order: Order, pairing: Pairing, rotary_dim: int) -> None:
    shape = small(5, 1, order, pairing, rotary_dim)
    x = make_inputs(shape, 33, torch.float64, prompt="random")
    exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
    found = error(unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape), exact)
    assert found.nans == 0
    assert found.max_error < 2**-24 * 12  # the table's rounding alone, on values of at most 6 in a pair


@every_layout
def test_a_mix_up_of_any_two_rows_is_seen(order: Order, pairing: Pairing, rotary_dim: int) -> None:
    shape = small(2, 1, order, pairing, rotary_dim)
    x = make_inputs(shape, 9, torch.float32, prompt="random")
    exact = reference(x.q, x.positions, shape)
    for rows in list(permutations(range(3)))[1:]:
        wrong, _ = unfused(x.q, x.k, x.positions[list(rows)], x.cos_sin_cache, shape)
        assert error((wrong,), (exact,)).max_error > 0.5


@settings(max_examples=30)
@given(
    order=st.sampled_from(ORDERS),
    pairing=st.sampled_from(PAIRINGS),
    heads=st.sampled_from([(5, 1), (8, 1), (7, 2)]),
    rotary_dim=st.sampled_from([128, 56]),
    seed=st.integers(0, 99),
)
def test_a_rotation_keeps_lengths_adds_up_and_leaves_the_tail(
    order: Order, pairing: Pairing, heads: tuple[int, int], rotary_dim: int, seed: int
) -> None:
    shape = small(*heads, order, pairing, rotary_dim)
    x = make_inputs(shape, 4, torch.float64, prompt="random", seed=seed)
    once = reference(x.q, x.positions, shape)
    torch.testing.assert_close(once.norm(dim=1), x.q.norm(dim=1))
    torch.testing.assert_close(reference(once, -x.positions, shape), x.q)
    twice = reference(once, x.positions, shape)
    torch.testing.assert_close(twice, reference(x.q, 2 * x.positions, shape))
    tail = (slice(None), slice(None), slice(rotary_dim, None))
    assert torch.equal(once.view(4, heads[0], 128)[tail], x.q.reshape(4, heads[0], 128)[tail])


@every_layout
def test_one_row_means_text(order: Order, pairing: Pairing, rotary_dim: int) -> None:
    shape = small(3, 2, order, pairing, rotary_dim)
    x = make_inputs(shape, 7, torch.float32)
    row = torch.arange(7)
    rows = row.expand(3, -1)
    assert torch.equal(reference(x.q, row, shape), reference(x.q, rows, shape))
    for one, three in zip(
        unfused(x.q, x.k, row, x.cos_sin_cache, shape), unfused(x.q, x.k, rows, x.cos_sin_cache, shape), strict=True
    ):
        assert torch.equal(one, three)


def test_position_zero_changes_nothing() -> None:
    shape = small()
    x = make_inputs(shape, 3, torch.float32)
    nowhere = torch.zeros_like(x.positions)
    assert torch.equal(reference(x.q, nowhere, shape), x.q.to(torch.float64))
    assert torch.equal(unfused(x.q, x.k, nowhere, x.cos_sin_cache, shape)[0], x.q)


@pytest.mark.parametrize("tokens", [0, 1])
def test_no_token_and_one(tokens: int) -> None:
    shape = small()
    x = make_inputs(shape, tokens, torch.bfloat16)
    exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
    found = error(unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape), exact)
    assert found.nans == 0 and found.max_error < 0.1


def test_the_chain_returns_new_tensors_and_leaves_its_inputs() -> None:
    shape = small()
    x = make_inputs(shape, 5)
    before = x.qkv.clone()
    q, k = unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape)
    assert torch.equal(x.qkv, before) and q.is_contiguous() and k.is_contiguous()
    assert path("unfused").in_place is False


def test_the_oracle_rounded_once_is_without_fault() -> None:
    shape = small()
    x = make_inputs(shape, 5)
    exact = reference(x.q, x.positions, shape)
    found = error((exact.to(torch.bfloat16),), (exact,))
    assert found.rounded_share == 1.0 and found.nans == 0
    assert found.max_error <= float(exact.abs().max()) * 2**-8


def test_a_wrong_output_is_seen_as_wrong() -> None:
    exact = torch.tensor([[1.0, -2.0, 3.0, 0.5]], dtype=torch.float64)
    out = exact.to(torch.float32)
    out[0, 1] = 2.0
    assert error((out,), (exact,)) == type(error((), ()))(max_error=4.0, rounded_share=0.75, nans=0)
    out[0, 2] = float("nan")
    assert error((out,), (exact,)).nans == 1 and error((out,), (exact,)).rounded_share == 0.5


def test_an_infinite_output_is_an_infinite_error() -> None:
    exact = torch.ones(1, 2, dtype=torch.float64)
    assert error((torch.tensor([[1.0, math.inf]]),), (exact,)).max_error > 1e300


def test_a_wrong_path_of_a_user_is_seen_as_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forgets_to_turn.py").write_text("def rope(q, k, positions, table, shape):\n    return q, k\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    shape = small()
    x = make_inputs(shape, 9, torch.float32, prompt="random")
    exact = tuple(reference(part, x.positions, shape) for part in (x.q, x.k))
    wrong = path("forgets_to_turn:rope").call(x.q, x.k, x.positions, x.cos_sin_cache, shape)
    right = unfused(x.q, x.k, x.positions, x.cos_sin_cache, shape)
    assert wrong is not None
    assert error(wrong, exact).max_error > 2 * error(right, exact).max_error


def test_an_output_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the path returned \(1, 2\); expected \(1, 3\)"):
        error((torch.zeros(1, 2),), (torch.zeros(1, 3, dtype=torch.float64),))
