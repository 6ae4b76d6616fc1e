"""Functions of torch's operators in float64: casts on the way are none, weights of their own widen with the rest."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.float64 import compiled, eager, in_float64


def test_a_cast_on_the_way_does_not_round() -> None:
    def chain(x: torch.Tensor) -> torch.Tensor:
        return (x.float() * (1 / 3)).to(torch.bfloat16).float().to(x.dtype)

    x = torch.randn(100, dtype=torch.bfloat16)
    exact = in_float64(chain)(x)
    assert exact.dtype == torch.float64
    assert torch.equal(exact, x.double() * (1 / 3))


def test_norm_and_attention_agree_with_the_formula() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(4, 8, 16, dtype=torch.bfloat16), torch.randn(16, dtype=torch.bfloat16)

    def chain(x: torch.Tensor) -> torch.Tensor:
        y = torch.nn.functional.rms_norm(x, (16,), weight, 1e-6)
        scores = torch.softmax((y @ y.transpose(-1, -2)).float(), dim=-1).to(x.dtype)
        return torch.nn.functional.scaled_dot_product_attention(y, y, scores @ y)

    d, w = x.double(), weight.double()
    y = d * torch.rsqrt(d.pow(2).mean(-1, keepdim=True) + 1e-6) * w
    attended = torch.softmax(y @ y.transpose(-1, -2), dim=-1) @ y
    wanted = torch.softmax(y @ y.transpose(-1, -2) / 4, dim=-1) @ attended
    torch.testing.assert_close(in_float64(chain)(x), wanted, rtol=1e-12, atol=1e-12)


def test_a_modules_weights_widen_with_it_and_stay_as_they_are() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.SiLU()).bfloat16()
    x = torch.randn(3, 8, dtype=torch.bfloat16)
    wanted = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.SiLU())
    wanted.load_state_dict(module.state_dict())
    torch.testing.assert_close(in_float64(module)(x), wanted.double()(x.double()), rtol=1e-12, atol=1e-12)
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}


def test_whole_numbers_stay_whole_and_quantisation_to_floats_is_not_yet_rounded() -> None:
    def quantised(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        scale = x.abs().amax(-1, keepdim=True).float() / 127
        return (x / scale).round().to(torch.int8), (x / 3).to(torch.float8_e4m3fn), scale

    x = torch.tensor([[1.0, -0.3]], dtype=torch.bfloat16)
    whole, small, scale = in_float64(quantised)(x)
    assert (whole.dtype, small.dtype, scale.dtype) == (torch.int8, torch.float64, torch.float64)
    assert torch.equal(small, x.double() / 3)


def test_what_is_made_inside_is_wide_and_what_is_written_in_place_is_kept() -> None:
    def made(x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(x.shape, dtype=torch.float16)
        out += x
        return out.mul_(torch.arange(1, 3, dtype=torch.float16))

    x = torch.full((2,), 1 / 3, dtype=torch.float32)
    assert torch.equal(in_float64(made)(x), x.double() * torch.tensor([1.0, 2.0], dtype=torch.float64))


def test_reading_the_bits_of_a_float_is_refused() -> None:
    with pytest.raises(TypeError, match="reads the bits"):
        in_float64(lambda x: x.view(torch.int16))(torch.ones(2, dtype=torch.bfloat16))


def test_what_was_compiled_is_found_again() -> None:
    def plain(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    module = torch.nn.Linear(2, 2)
    assert eager(torch.compile(plain)) is plain
    assert eager(torch.compile(module)) is module
    assert eager(plain) is plain
    assert compiled(torch.compile(module))
    assert not compiled(module)
