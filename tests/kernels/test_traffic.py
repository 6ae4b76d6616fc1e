"""Bytes and flops: the published figures, and the chain's kernels counted by the profiler's own eyes."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.mrope.inputs import make_inputs
from rope_prof.kernels.mrope.shape import ERNIE_28B, ERNIE_424B, MropeShape
from rope_prof.kernels.mrope.traffic import least_bytes, least_flops, path_bytes, unfused_traffic
from rope_prof.kernels.mrope.unfused import unfused
from torch.utils._python_dispatch import TorchDispatchMode

from tests.kernels.shapes import small


@pytest.mark.parametrize(("shape", "a_token"), [(ERNIE_28B, 12_288), (ERNIE_424B, 36_864), (ERNIE_28B.tp(4), 3_072)])
def test_least_bytes_of_a_token_in_bf16(shape: MropeShape, a_token: int) -> None:
    assert least_bytes(shape, 1, 2) == a_token
    assert least_bytes(shape, 973, 2) == 973 * a_token
    assert least_bytes(shape, 973, 4) == 2 * 973 * a_token
    assert least_bytes(shape, 0, 2) == 0


def test_the_tail_that_is_not_turned_is_not_moved() -> None:
    assert least_bytes(small(5, 1, rotary_dim=56), 1, 2) == 2 * 6 * 56 * 2


def test_six_flops_a_pair() -> None:
    assert least_flops(ERNIE_28B, 10) == 6 * 10 * 24 * 64


class _Operators(TorchDispatchMode):
    """The dispatched operators that launch a kernel on a GPU: those that return new memory."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.names.append(func._schema.name)
        return out


def test_the_chain_is_25_kernels_and_the_traffic_lists_each() -> None:
    x = make_inputs(ERNIE_28B, 3)
    with _Operators() as seen:
        unfused(x.q, x.k, x.positions, x.cos_sin_cache, ERNIE_28B)
    kernels = unfused_traffic(ERNIE_28B, 3, 2)
    assert len(kernels) == len(seen.names) == 25
    assert len({k.name for k in kernels}) == 25


@pytest.mark.parametrize("tokens", [1, 973])
def test_the_chain_moves_several_times_the_least(tokens: int) -> None:
    chain = path_bytes("unfused", ERNIE_28B, tokens, 2)
    assert chain == sum(k.read_bytes + k.write_bytes for k in unfused_traffic(ERNIE_28B, tokens, 2))
    assert chain > 4 * least_bytes(ERNIE_28B, tokens, 2)


def test_traffic_grows_with_tokens_alone() -> None:
    one, many = unfused_traffic(ERNIE_28B, 1, 2), unfused_traffic(ERNIE_28B, 50, 2)
    assert [(50 * k.read_bytes, 50 * k.write_bytes) for k in one] == [(k.read_bytes, k.write_bytes) for k in many]


def test_the_gather_reads_and_writes_three_fp32_rows_a_token() -> None:
    gather = unfused_traffic(ERNIE_28B, 1, 2)[0]
    assert (gather.read_bytes, gather.write_bytes) == (3 * 128 * 4 + 3 * 8, 3 * 128 * 4)


def test_fused_paths_move_the_least_and_an_unknown_path_is_unknown() -> None:
    assert path_bytes("fused", ERNIE_28B, 7, 2) == path_bytes("per-token", ERNIE_28B, 7, 2) == 7 * 12_288
    assert path_bytes("mine:rope", ERNIE_28B, 7, 2) is None
    assert path_bytes("unfused", small(order="chunked"), 7, 2) is None


def test_dtypes_have_their_item_size() -> None:
    assert {torch.bfloat16.itemsize, torch.float16.itemsize} == {2} and torch.float32.itemsize == 4
