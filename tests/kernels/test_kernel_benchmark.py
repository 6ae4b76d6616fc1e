"""The benchmark's pure parts, its peers by stand-in modules, and its refusal without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from rope_prof.kernels.mrope.inputs import Inputs, make_inputs
from rope_prof.kernels.mrope.reference import error, reference
from rope_prof.kernels.mrope.unfused import unfused

from tests.kernels.shapes import small

SHAPE = small(5, 1)


@pytest.fixture(scope="module", autouse=True)
def benchmarks(repository: Path) -> None:
    """`kernels` and `peers` of the folder benchmarks/ by their own names."""
    sys.path.insert(0, str(repository / "benchmarks"))


@pytest.fixture
def peers() -> ModuleType:
    import peers

    return peers


@pytest.fixture
def kernels(repository: Path) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("kernels_benchmark", repository / "benchmarks/kernels.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def x() -> Inputs:
    return make_inputs(SHAPE, 6, torch.float32, prompt="random")


def install(monkeypatch: pytest.MonkeyPatch, name: str, **names: object) -> None:
    """A stand-in module, with its parents, as `import_module` and `find_spec` see an installed one."""
    parts = name.split(".")
    for depth in range(1, len(parts) + 1):
        full = ".".join(parts[:depth])
        if full not in sys.modules:
            module = ModuleType(full)
            module.__spec__ = ModuleSpec(full, None, is_package=True)
            module.__path__ = []
            monkeypatch.setitem(sys.modules, full, module)
    for key, value in names.items():
        monkeypatch.setattr(sys.modules[name], key, value, raising=False)


def test_no_peer_is_found_where_none_is_installed(peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert peers.installed() == ({}, {})


@pytest.mark.parametrize("place", ["sglang.srt.layers.rotary_embedding", "sglang.kernels.ops.attention.rotary_triton"])
def test_sglang_is_called_with_a_cast_table_and_its_own_section_order(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, x: Inputs, place: str
) -> None:
    seen: list[Any] = []
    install(
        monkeypatch, place,
        triton_ernie45_rope_fused_inplace=lambda *arguments: seen.append(arguments),
    )  # fmt: skip
    found, failed = peers.installed()
    assert set(found) == {"sglang"} and failed == {}
    half = x.q.bfloat16(), x.k.bfloat16()
    assert found["sglang"](*half, x.positions, x.cos_sin_cache, SHAPE) is None
    q, k, table, positions, section, head_dim, rotary_dim, neox = seen[0]
    assert (q is half[0]) and (k is half[1]) and positions is x.positions
    assert torch.equal(table, x.cos_sin_cache.bfloat16())
    assert (section, head_dim, rotary_dim, neox) == ([22, 22, 20], 128, 128, False)


def test_vllm_is_built_once_and_its_eager_path_called(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, x: Inputs
) -> None:
    built: list[Any] = []

    class Embedding:
        def __init__(self, *arguments: object, mrope_section: list[int]) -> None:
            built.append((*arguments, mrope_section))

        def to(self, _device: object) -> Embedding:
            return self

        def forward_native(self, positions: torch.Tensor, q: torch.Tensor, k: torch.Tensor) -> Any:
            return unfused(q, k, positions, x.cos_sin_cache, SHAPE)

    install(
        monkeypatch, "vllm.model_executor.layers.rotary_embedding.ernie45_vl_rope", Ernie4_5_VLRotaryEmbedding=Embedding
    )
    found, failed = peers.installed()
    assert set(found) == {"vllm"} and failed == {}
    for _ in range(2):
        out = found["vllm"](x.q, x.k, x.positions, x.cos_sin_cache, SHAPE)
        assert torch.equal(out[0], unfused(x.q, x.k, x.positions, x.cos_sin_cache, SHAPE)[0])
    assert built == [(128, 128, 1024, 500_000.0, False, torch.float32, [22, 22, 20])]


def test_flashinfer_gets_one_row_and_is_seen_as_wrong_on_images(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, x: Inputs
) -> None:
    def one_row(positions: Any, q: Any, k: Any, head_dim: int, table: Any, neox: bool) -> None:
        assert (positions.shape, head_dim, neox) == ((6,), 128, False)
        for part, new in zip((q, k), unfused(q, k, positions, table, SHAPE), strict=True):
            part.copy_(new)

    install(monkeypatch, "flashinfer", apply_rope_with_cos_sin_cache_inplace=one_row)
    found, _ = peers.installed()
    for positions, wrong in ((x.positions[0].expand(3, -1), False), (x.positions, True)):
        q, k = x.q.clone(), x.k.clone()
        exact = tuple(reference(part, positions, SHAPE) for part in (q, k))
        found["flashinfer"](q, k, positions, x.cos_sin_cache, SHAPE)
        assert (error((q, k), exact).max_error > 1e-3) is wrong


def test_liger_kernel_is_called_with_heads_first_and_gives_rows_back(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, x: Inputs
) -> None:
    def apply(q: Any, k: Any, cos: Any, sin: Any, section: list[int], unsqueeze: int) -> Any:
        assert q.shape == (1, 5, 6, 128) and k.shape == (1, 1, 6, 128)
        assert cos.shape == sin.shape == (3, 1, 6, 128)
        assert (section, unsqueeze) == ([20, 22, 22], 1)
        return q + 1, k + 2

    install(monkeypatch, "liger_kernel.ops.qwen2vl_mrope", LigerQwen2VLMRopeFunction=SimpleNamespace(apply=apply))
    found, _ = peers.installed()
    q, k = found["liger_kernel"](x.q, x.k, x.positions, x.cos_sin_cache, SHAPE)
    assert torch.equal(q, x.q + 1) and torch.equal(k, x.k + 2)


def test_a_peer_that_does_not_load_is_reported_with_its_reason(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "flashinfer")
    install(monkeypatch, "sglang")
    found, failed = peers.installed()
    assert found == {}
    assert failed["flashinfer"].startswith("AttributeError: ") and failed["sglang"].startswith("ModuleNotFoundError: ")


def test_spread_is_the_median_and_the_outer_tenths(kernels: ModuleType) -> None:
    assert kernels.spread([float(n) for n in range(11, 0, -1)]) == kernels.Spread(median=6.0, p10=2.0, p90=10.0, n=11)
    assert kernels.spread([3.0] * 4) == kernels.Spread(3.0, 3.0, 3.0, 4)


def test_the_geometric_mean_of_ratios_turns_round_with_them(kernels: ModuleType) -> None:
    ratios = [0.5, 3.0, 8.0]
    assert kernels.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert kernels.geometric_mean([1 / r for r in ratios]) == pytest.approx(1 / kernels.geometric_mean(ratios))


def device_point(tokens: int, fused: float, limit: float, overlapped: float) -> dict[str, Any]:
    us = {"per-token": 20.0, "fused": fused, "mul_": 99.0, "scale a": limit, "scale a overlap": overlapped}
    return {
        "model": "28b", "tokens": tokens, "limit": "scale a", "limit_overlap": "scale a overlap",
        "us": {name: {"median": value} for name, value in us.items()},
    }  # fmt: skip


def test_the_summary_states_each_target_from_the_medians(kernels: ModuleType) -> None:
    wall = {"add_": {"median": 10.0}, "fused": {"median": 5.0}, "unfused": {"median": 300.0}}
    lines = kernels.summary(
        {
            "device": [
                device_point(1, 2.0, 1.0, 1.0),
                device_point(973, 4.0, 4.0, 2.0),
                device_point(8192, 1.0, 0.5, 1.0),
            ],
            "wall": [{"model": "28b", "tokens": 973, "us": wall}],
        }
    )
    assert lines == [
        "fused over per-token, device: geometric mean 10.00x, least 5.00x at ('28b', 973)",
        "fused over the in-place pass, N >= 973: geometric mean 1.4142, worst 2.0000 at ('28b', 8192)",
        "fused over the in-place pass with overlapped launches, N >= 973: geometric mean 1.4142, "
        "worst 2.0000 at ('28b', 973)",
        "eager wall 28b N=973: fused 5.00 µs = 0.500 of add_ (10.00 µs), unfused 60.0x slower",
    ]


def test_the_summary_says_nothing_of_paths_that_were_not_run(kernels: ModuleType) -> None:
    point = device_point(973, 4.0, 4.0, 2.0)
    del point["us"]["fused"]
    wall = {"add_": {"median": 10.0}, "per-token": {"median": 5.0}}
    assert kernels.summary({"device": [point], "wall": [{"model": "28b", "tokens": 1, "us": wall}]}) == []


def test_without_a_gpu_it_refuses_in_one_sentence(repository: Path, tmp_path: Path) -> None:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, str(repository / "benchmarks/kernels.py"), "-o", str(tmp_path / "x.json")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == "" and not list(tmp_path.iterdir())
    assert done.stderr == "no GPU is available to torch; this benchmark needs an NVIDIA GPU\n"


def test_the_summary_of_the_cache_write_says_each_ratio_and_the_means() -> None:
    import kernels_kv

    us = {"fused": 2.0, "fused-settled": 1.5, "pass 1x512x4xTrue": 1.9, "served": 20.0, "rope-then-index": 10.0,
          "rope-then-write": 3.0}  # fmt: skip
    point = {"model": "28b", "tokens": 973, "cache": "same", "limit": "pass 1x512x4xTrue",
             "us": {name: {"median": value} for name, value in us.items()}}  # fmt: skip
    fp8 = point | {"cache": "fp8"}
    host = {"add_": 5.0, "rope": 4.0, "fused": 5.5, "bound": 4.5, "bound, packed": 3.5, "compiled add_": 40.0,
            "compiled rope": 44.0, "compiled fused": 50.0}  # fmt: skip
    wall = {"model": "28b", "tokens": 64, "us": {name: {"median": value} for name, value in host.items()}}
    shares = {"28b same": {"q": {"rounded_share": 0.99999}}}
    lines = kernels_kv.summary({"device": [point, fp8], "accuracy": shares, "wall": [wall]})
    assert "served 10.00x, rope-then-index 5.00x, rope-then-write 1.50x" in lines[0]
    assert lines[2] == "of the same-bytes pass, N >= 973: geometric mean 1.053, 1.053 to 1.053"
    assert lines[3] == "the served chain over fused: geometric mean 10.000, 10.000 to 10.000"
    assert lines[4] == (
        "wall 28b N=64: add_ 5.00 µs, compiled 40.00; of it: rope 0.800, fused 1.100, bound 0.900, "
        "bound, packed 0.700, compiled rope 1.100, compiled fused 1.250"
    )
    assert lines[5] == "correctly rounded, 28b same: q 99.999 %"
