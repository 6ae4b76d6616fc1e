"""`rope_prof.testing`: triton's words with honest clocks, under a fake GPU and on the CPU itself."""

from __future__ import annotations

import inspect
import statistics
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import torch

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.fusion.one_call import timed
from rope_prof.testing import Benchmark, do_bench, perf_report, summarised
from tests.record.test_timing import World

FLUSH_NS = 40_000


@dataclass
class FakeGpu(World):
    """A device with an L2 that a flush overwrites; a call reads it cold unless it ran since."""

    cold: bool = True

    def flush(self) -> None:
        self.launch(2_000, FLUSH_NS)
        self.cold = True

    def call(self, host_ns: int = 6_000, cold_ns: int = 3_000, hot_ns: int = 1_000) -> None:
        self.launch(host_ns, cold_ns if self.cold else hot_ns)
        self.cold = False


def test_on_a_gpu_every_sample_is_cold_and_free_of_the_launch_and_of_the_flush() -> None:
    gpu = FakeGpu()
    found = timed(gpu.call, warmup_ms=1, rep_ms=2, device=gpu, clock=gpu.clock)  # type: ignore[arg-type]
    assert set(found.samples_ms) == {0.003}
    assert found.clock == "device"
    assert (found.figure.lo, found.figure.median, found.figure.hi) == (0.003, 0.003, 0.003)
    assert "device clock" in str(found)


def test_a_call_that_waits_for_the_device_has_no_device_time() -> None:
    gpu = FakeGpu()

    def waits() -> None:
        gpu.call()
        gpu.synchronize()

    with pytest.raises(UnavailableError, match="waits for the device"):
        timed(waits, warmup_ms=0, rep_ms=1, device=gpu, clock=gpu.clock)  # type: ignore[arg-type]


def test_rep_bounds_the_samples_and_there_are_enough_for_an_interval() -> None:
    gpu = FakeGpu(has_clock=False)
    short = timed(gpu.call, warmup_ms=0, rep_ms=0, device=gpu, clock=gpu.clock)  # type: ignore[arg-type]
    assert len(short.samples_ms) == 6
    assert short.figure.lo is not None
    assert short.clock == "wall"
    long = timed(gpu.call, warmup_ms=0, rep_ms=5, device=gpu, clock=gpu.clock)  # type: ignore[arg-type]
    assert len(long.samples_ms) > 40


def test_gradients_do_not_add_up_from_call_to_call() -> None:
    x = torch.ones(3, requires_grad=True)
    seen = []

    def backward() -> None:
        (2 * x).sum().backward()
        assert x.grad is not None
        seen.append(float(x.grad[0]))

    do_bench(backward, warmup=0, rep=1, grad_to_none=[x])
    assert set(seen) == {2.0}


def test_the_signature_is_tritons() -> None:
    triton = pytest.importorskip("triton.testing", reason="triton is not installed")
    ours, theirs = (
        [(p.name, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (do_bench, triton.do_bench)
    )
    assert ours == theirs
    fields = [(p.name, p.default) for p in inspect.signature(triton.Benchmark).parameters.values()]
    assert [(p.name, p.default) for p in inspect.signature(Benchmark).parameters.values()] == fields


@pytest.mark.parametrize("mode", ["min", "max", "mean", "median", "all"])
@pytest.mark.parametrize("quantiles", [None, [0.5], [0.2, 0.5, 0.8]])
def test_the_answers_are_tritons(mode: str, quantiles: list[float] | None) -> None:
    triton = pytest.importorskip("triton.testing", reason="triton is not installed")
    samples = [3.0, 1.0, 2.0, 7.0, 5.0]
    assert summarised(samples, quantiles, mode) == pytest.approx(triton._summarize_statistics(samples, quantiles, mode))


def test_do_bench_runs_on_this_machine() -> None:
    x = torch.ones(1000)
    samples = do_bench(lambda: x + 1, warmup=1, rep=2, return_mode="all")
    assert len(samples) >= 6
    assert all(0 < ms < 1000 for ms in samples)
    assert statistics.median(samples) >= min(samples)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"fn": 3}, "fn is int; expected something to call"),
        ({"return_mode": "p50"}, "return_mode 'p50'; expected 'min'"),
        ({"quantiles": [50]}, "quantiles hold 50; expected numbers from 0 to 1"),
    ],
)
def test_words_that_mean_nothing_are_one_sentence(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        do_bench(**({"fn": lambda: None} | fields))  # type: ignore[arg-type]


def grid(**changes: object) -> Benchmark:
    fields = {
        "x_names": ["n"],
        "x_vals": [64, 1024],
        "line_arg": "path",
        "line_vals": ["a", "b"],
        "line_names": ["chain", "fused"],
        "plot_name": "chain-or-fused",
        "args": {"scale": 2.0},
        "ylabel": "ms",
    }
    return Benchmark(**(fields | changes))  # type: ignore[arg-type]


def fake_ms(n: int, path: str, scale: float) -> tuple[float, float, float]:
    ms = scale * n / (1 if path == "a" else 4)
    return ms, 0.9 * ms, 1.1 * ms


def test_a_sweep_is_a_frame_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = perf_report(grid())(fake_ms)
    frame = mark.run(print_data=True, save_path=tmp_path, return_df=True)
    assert frame.columns[:3] == ["n", "chain (ms)", "chain-min (ms)"]
    assert frame["fused (ms)"].to_list() == [32.0, 512.0]
    assert pl.read_csv(tmp_path / "chain-or-fused.csv").equals(frame)
    picture = (tmp_path / "chain-or-fused.svg").read_text()
    assert "chain" in picture
    assert "fused" in picture
    assert 'src="chain-or-fused.svg"' in (tmp_path / "results.html").read_text()
    printed = capsys.readouterr().out
    assert printed.startswith("chain-or-fused:")
    assert "512.0" in printed


def test_one_value_stands_for_all_names_and_two_grids_give_two_frames() -> None:
    both = [grid(x_names=["n", "m"], plot_name="square"), grid(x_names=["n", "m"], x_vals=[(2, 3)], plot_name="oblong")]
    frames = perf_report(both)(lambda n, m, path, scale: scale * n * m).run(return_df=True)  # noqa: ARG005
    assert [frame["chain (ms)"].to_list() for frame in frames] == [[2 * 64 * 64, 2 * 1024 * 1024], [12]]
    assert perf_report(grid())(fake_ms).run() is None


def test_tritons_own_grid_is_taken_as_it_is() -> None:
    triton = pytest.importorskip("triton.testing", reason="triton is not installed")
    fields = {name: getattr(grid(), name) for name in Benchmark.__slots__}
    frame = perf_report(triton.Benchmark(**fields))(fake_ms).run(return_df=True)
    assert frame["chain (ms)"].to_list() == [128.0, 2048.0]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"line_names": ["chain"]}, "1 line_names for 2 line_vals"),
        ({"x_vals": [(1, 2)]}, r"x_vals holds \(1, 2\); expected 1 values, for n"),
    ],
)
def test_a_grid_that_does_not_fit_together_names_the_field(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        perf_report(grid(**changes))(fake_ms).run()


def test_a_picture_without_a_notebook_or_without_numbers_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="show_plots needs a notebook"):
        perf_report(grid())(fake_ms).run(show_plots=True)
    words = perf_report(grid(x_vals=["a"]))(lambda **_: 1.0)
    with pytest.raises(UsageError, match="'n' holds no numbers"):
        words.run(save_path=tmp_path)
    with pytest.raises(UsageError, match="returned 2 values for line 'chain'"):
        perf_report(grid())(lambda **_: (1.0, 2.0)).run()
