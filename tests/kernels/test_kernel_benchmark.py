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
from rope_prof.kernels.mrope_kv.cache import quantised, write_slots
from rope_prof.kernels.mrope_kv.inputs import make_kv_ring
from rope_prof.kernels.mrope_kv.reference import reference as kv_reference

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
    import peers_kv

    monkeypatch.setattr(peers, "find_spec", lambda _: None)
    assert peers.installed() == ({}, dict.fromkeys(("sglang", "vllm", "flashinfer", "liger_kernel"), "not installed"))
    found, failed = peers.installed(peers_kv.WRITERS)
    assert found == {}
    assert peers.missing(failed) == [
        "peer sglang, text: not installed",
        "peer vllm: not installed",
        "peer vllm, text: not installed",
        "peer flashinfer, text: not installed",
    ]


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
    assert set(found) == {"sglang"} and not failed.keys() & found.keys()
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
    assert set(found) == {"vllm"} and not failed.keys() & found.keys()
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
    unloaded = "installed, but does not load: "
    assert failed["flashinfer"].startswith(f"{unloaded}AttributeError: ")
    assert failed["sglang"].startswith(f"{unloaded}ModuleNotFoundError: ")


def turn_and_put(
    q: Any, k: Any, v: Any, k_rows: Any, v_rows: Any, table: Any, row: Any, slots: Any, neox: bool
) -> None:
    """What SGLang's kernel does, with its own arguments: heads apart, a pool of slots, one row of positions."""
    assert k_rows.shape[1:] == v_rows.shape[1:] == (128,) and table.dtype == torch.float32 and row.dim() == 1
    assert neox is False
    new = unfused(q.flatten(1), k.flatten(1), row.expand(3, -1), table, SHAPE)
    q.copy_(new[0].view_as(q)), k.copy_(new[1].view_as(k))
    k_rows[slots], v_rows[slots] = k.flatten(1), v.flatten(1)


def put(k: Any, v: Any, k_cache: Any, v_cache: Any, slots: Any, word: str, k_scale: Any, v_scale: Any) -> None:
    """vLLM's `reshape_and_cache_flash`: k and v with heads apart, fp8 as bytes."""
    assert (word == "fp8") is (k_cache.dtype == torch.uint8)
    for cache, rows, scale in ((k_cache, k, k_scale), (v_cache, v, v_scale)):
        kept = cache.view(torch.float8_e4m3fn) if word == "fp8" else cache
        write_slots(kept, "NHD", slots, quantised(rows, scale, kept.dtype))


def rotate(row: Any, q: Any, k: Any, head_dim: int, table: Any, neox: bool) -> None:
    """vLLM's `rotary_embedding`, in place, with a table of q's dtype."""
    assert (head_dim, neox, table.dtype) == (128, False, q.dtype)
    new = unfused(q, k, row.expand(3, -1), table.float(), SHAPE)
    q.copy_(new[0]), k.copy_(new[1])


def append(
    q: Any, k: Any, q_rest: None, k_rest: None, v: Any, table: Any, row: Any, caches: Any, pages: Any, ends: Any,
    requests: Any, places: Any, *, is_neox: bool, quant_scale_kv: float, page_size: int, kv_layout: str,
    enable_pdl: bool,
) -> Any:  # fmt: skip
    """FlashInfer's, by pages: a token goes to its request's page of that place."""
    assert (is_neox, page_size, kv_layout, enable_pdl) == (False, 4, "NHD", True) and row.dtype == torch.int32
    assert q_rest is k_rest is None and not requests.any() and ends.tolist() == [0, len(pages)]
    new_q, new_k = unfused(q.flatten(1), k.flatten(1), row.long().expand(3, -1), table, SHAPE)
    for cache, rows in zip(caches, (new_k.view_as(k), v), strict=True):
        at = pages[places // page_size].long(), (places % page_size).long()
        cache.view(torch.uint8)[at] = (rows * quant_scale_kv).to(torch.float8_e4m3fn).view(torch.uint8)
    return new_q.to(torch.float8_e4m3fn), None


def installed_writers(peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    import peers_kv

    def in_place(*given: Any, is_neox: bool) -> None:
        turn_and_put(*given, is_neox)

    monkeypatch.setattr(peers_kv, "vllm_embedding", lambda: lambda q, k, p, t, s: unfused(q, k, p, t, s))
    install(monkeypatch, "sglang.kernels.ops.attention.rope", apply_rope_inplace_with_kvcache=in_place)
    install(monkeypatch, "vllm._custom_ops", reshape_and_cache_flash=put)
    install(monkeypatch, "vllm._custom_ops", rotary_embedding=rotate)
    install(monkeypatch, "flashinfer.rope", rope_quantize_fp8_append_paged_kv_cache=append)
    return peers.installed({name: (package, build) for name, (package, build) in peers_kv.WRITERS.items()})


@pytest.mark.parametrize("prompt", ["text", "random"])
@pytest.mark.parametrize("kind", ["same", "fp8"])
def test_peers_that_write_the_cache_do_so_where_they_are_installed(
    peers: ModuleType, monkeypatch: pytest.MonkeyPatch, prompt: Any, kind: Any
) -> None:
    """Every one is right for text; with three rows of positions only vLLM's chain is."""
    found, failed = installed_writers(peers, monkeypatch)
    assert failed == {}
    wanted = {"same": ["sglang, text", "vllm", "vllm, text"], "fp8": ["vllm", "vllm, text", "flashinfer, text"]}[kind]
    assert [name for name, call in found.items() if kind in call.kinds] == wanted
    for name in wanted:
        (each,) = make_kv_ring(SHAPE, 6, 1, torch.float32, kind=kind, page_size=4, prompt=prompt)
        each.v_scale.copy_(each.k_scale) if kind == "fp8" else None  # FlashInfer has one for both
        exact = kv_reference(*each.arguments(SHAPE))
        made = found[name](*each.arguments(SHAPE))
        q = each.q if made is None else made.float().view_as(each.q)
        near = (q.double() - exact[0]).abs().max() < (1e-5 if name != "flashinfer, text" else 0.3)
        written = all(
            (cache.double() - want).abs().max() <= (1e-5 if kind == "same" else 0.07 * want.abs().max())
            for cache, want in ((each.k_cache, exact[1]), (each.v_cache, exact[2]))
        )
        assert (bool(near) and written) is (prompt == "text" or name == "vllm"), name


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
            "compiled rope": 44.0, "compiled fused": 50.0, "compiled bound": 46.0,
            "compiled bound, packed": 42.0}  # fmt: skip
    wall = {"model": "28b", "tokens": 64, "us": {name: {"median": value} for name, value in host.items()}}
    shares = {"28b same": {"q": {"rounded_share": 0.99999}}}
    lines = kernels_kv.summary({"peers_failed": {}, "device": [point, fp8], "accuracy": shares, "wall": [wall]})
    assert "served 10.00x, rope-then-index 5.00x, rope-then-write 1.50x" in lines[0]
    assert lines[2] == "of the same-bytes pass, N >= 973: geometric mean 1.053, 1.053 to 1.053"
    assert lines[3] == "the served chain over fused: geometric mean 10.000, 10.000 to 10.000"
    assert lines[4] == (
        "wall 28b N=64: add_ 5.00 µs, compiled 40.00; of it: rope 0.800, fused 1.100, bound 0.900, "
        "bound, packed 0.700, compiled rope 1.100, compiled fused 1.250, compiled bound 1.150, "
        "compiled bound, packed 1.050"
    )
    assert lines[5] == "correctly rounded, 28b same: q 99.999 %"
