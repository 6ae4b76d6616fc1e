"""`measure` and the honest clocks on a real GPU: every mode, a Triton kernel, a cold L2. Skips without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import rope_prof
from rope_prof.errors import UnavailableError
from rope_prof.testing import do_bench, timed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


@pytest.fixture
def example(repository: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """examples/rmsnorm_quant.py as a module."""
    monkeypatch.syspath_prepend(str(repository / "examples"))
    import rmsnorm_quant

    yield rmsnorm_quant
    sys.modules.pop("rmsnorm_quant", None)
    sys.modules.pop("rmsnorm_quant_triton", None)


def test_the_example_is_faster_in_one_kernel_in_every_mode(example: object) -> None:
    paths = [example.chain, example.fewer, example.triton]  # type: ignore[attr-defined]
    found = rope_prof.measure(paths, example.inputs, reference=example.exact, outputs=("values", "scale"), quick=True)  # type: ignore[attr-defined]
    assert found.run.machine.device == "cuda"
    told = "\n".join(f"{facts.key.name}: {facts.status}, {facts.reason}" for facts in found.run.keys)
    assert {(facts.key.path, facts.key.mode) for facts in found.run.keys if facts.status == "measured"} >= {
        (path, mode) for path in ("chain", "triton") for mode in ("eager", "compile", "graph")
    }, told
    triton = next(verdict for verdict in found.verdicts if verdict.path == "triton")
    assert triton.word == "FASTER", triton.sentence
    row = next(row for row in found.rows if (row.path, row.mode) == ("triton", "eager"))
    assert row.kernels_per_call == 1
    assert [output.name for output in row.accuracy.outputs] == ["values", "scale"]  # type: ignore[union-attr]


def test_inputs_on_two_devices_are_one_sentence() -> None:
    with pytest.raises(rope_prof.errors.UsageError, match=r"inputs\[0\] is on cuda:0 and inputs\[1\] on cpu"):  # type: ignore[attr-defined]
        rope_prof.measure([torch.add], (torch.ones(2, device="cuda"), torch.ones(2)))


def test_do_bench_times_a_call_alone_and_cold() -> None:
    x = torch.empty(1 << 26, device="cuda")  # 256 MiB
    copied = torch.empty_like(x)
    ms = do_bench(lambda: copied.copy_(x), return_mode="median")
    assert 0.3e12 < 2 * x.nbytes / ms * 1e3 < 12e12
    small = torch.empty(1 << 20, device="cuda")  # 4 MiB: within the L2, and read from memory all the same
    found = timed(lambda: small.sum(), rep_ms=50)
    assert found.clock == "device"
    assert found.figure.lo is not None
    hot = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    torch.cuda._sleep(20_000_000)
    hot[0].record()
    for _ in range(50):
        small.sum()
    hot[1].record()
    torch.cuda.synchronize()
    assert found.figure.median > 0.8 * hot[0].elapsed_time(hot[1]) / 50


def test_a_call_that_waits_has_no_device_time() -> None:
    x = torch.ones(8, device="cuda")
    with pytest.raises(UnavailableError, match="waits for the device"):
        do_bench(lambda: float(x.sum()), warmup=1, rep=1)
