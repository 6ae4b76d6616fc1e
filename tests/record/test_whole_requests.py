"""Whole requests on the tiny model: the patch reaches every layer and goes again; what is recorded reads back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[model]'")

from rope_prof.kernels.mrope.reference import reference

from rope_prof.analysis.requests.requests import agreements, request_rows, step_parts
from rope_prof.cli import main
from rope_prof.errors import UnavailableError, UsageError
from rope_prof.io.run.folder import read_run
from rope_prof.io.trace.read import read_trace
from rope_prof.model.end_to_end import Memory
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.requests import model as end_to_end_model
from rope_prof.record.requests.accuracy import deviation, either_way, nearest, oracle, prompt_logits
from rope_prof.record.requests.measure import ModelOptions, check_start, record_model
from rope_prof.record.requests.model import TextModel, build, image_tokens, make_request, require_memory, weights
from rope_prof.record.requests.patch import APPLY, patched
from rope_prof.record.requests.steps import StepEngine, static_cache

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning")

DEVICE = CpuDevice()
TINY = ModelOptions(preset="tiny", paths=("unfused", "fused"), prompt_tokens=97, decode_tokens=5, rounds=6)


@pytest.fixture(scope="module", autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def built() -> TextModel:
    return build("tiny", None, DEVICE, seed=0)


@pytest.fixture
def engine(built: TextModel) -> StepEngine:
    return StepEngine(built, make_request(built, 97, DEVICE, seed=0), decode_tokens=8)


def modeling(built: TextModel) -> Any:
    return sys.modules[type(built.model.layers[0].self_attn).__module__]


def test_the_prompt_has_one_image_among_text(engine: StepEngine) -> None:
    request = engine.request
    images = request.images[0].bool()
    rows = request.positions[:, 0]
    assert 0 < int(images.sum()) < request.tokens
    assert (rows[0, ~images] == rows[1, ~images]).all()
    assert (rows[0, ~images] == rows[2, ~images]).all()
    assert not (rows[0, images] == rows[2, images]).all(), "with equal rows a mix-up of axes would be invisible"


def test_text_alone_has_no_image_tokens() -> None:
    assert not image_tokens(torch.arange(5).expand(3, -1)).any()


@pytest.mark.parametrize("name", ["stock", "unfused"])
def test_a_path_runs_once_in_every_layer(engine: StepEngine, name: str) -> None:
    with patched(engine.built.model, engine.built.shape) as patch:
        patch.use(name)
        engine.prefill()
        assert patch.calls == engine.built.shape.layers


def test_the_unfused_path_gives_the_stock_model_s_logits_but_for_rounding(engine: StepEngine) -> None:
    stock = prompt_logits(engine)
    with patched(engine.built.model, engine.built.shape) as patch:
        patch.use_call(oracle(nearest))
        exact = prompt_logits(engine)
        patch.use("unfused")
        unfused = prompt_logits(engine)
    assert deviation(stock, exact).rms < 0.05 * float(exact.std())
    assert deviation(unfused, exact).rms < 0.2 * float(exact.std())
    assert torch.equal(prompt_logits(engine), stock)


def test_a_path_in_place_reaches_the_model(engine: StepEngine) -> None:
    def in_place(q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, _: torch.Tensor, shape: Any) -> None:
        for x in (q, k):
            x.copy_(reference(x, positions, shape))

    with patched(engine.built.model, engine.built.shape) as patch:
        patch.use_call(oracle(nearest))
        exact = prompt_logits(engine)
        patch.use_call(in_place)
        assert torch.equal(prompt_logits(engine), exact)


def test_a_wrong_rope_is_seen_in_the_logits(engine: StepEngine) -> None:
    """Rows h and w swapped: the mistake that equal rows would hide."""

    def swapped(q: torch.Tensor, k: torch.Tensor, positions: torch.Tensor, table: torch.Tensor, shape: Any) -> Any:
        return oracle(nearest)(q, k, positions[[0, 2, 1]], table, shape)

    with patched(engine.built.model, engine.built.shape) as patch:
        patch.use_call(oracle(nearest))
        exact = prompt_logits(engine)
        patch.use_call(oracle(either_way(torch.Generator().manual_seed(0))))
        spread = deviation(prompt_logits(engine), exact).rms
        patch.use_call(swapped)
        assert deviation(prompt_logits(engine), exact).rms > 2 * spread


def test_whatever_happens_the_stock_rope_is_back(engine: StepEngine) -> None:
    module, before = modeling(engine.built), getattr(modeling(engine.built), APPLY)

    def broken(*_: Any) -> None:
        raise RuntimeError("a broken path")

    with (
        pytest.raises(RuntimeError, match="a broken path"),
        patched(engine.built.model, engine.built.shape) as patch,
    ):
        patch.use_call(broken)
        engine.prefill()
    assert getattr(module, APPLY) is before
    assert "forward" not in vars(engine.built.model.rotary_emb)


def test_random_rounding_is_right_on_average_and_one_place_off_at_most() -> None:
    exact = torch.linspace(-3, 3, 1001, dtype=torch.float64) / 7
    generator = torch.Generator().manual_seed(0)
    rounded = either_way(generator)
    drawn = torch.stack([rounded(exact, torch.bfloat16) for _ in range(400)]).double()
    near = exact.to(torch.bfloat16)
    below = torch.nextafter(near, torch.full_like(near, -torch.inf)).double()
    above = torch.nextafter(near, torch.full_like(near, torch.inf)).double()
    assert ((drawn >= below) & (drawn <= above)).all()
    step = (above - below) / 2
    assert ((drawn.mean(0) - exact).abs() / step).max() < 0.15


def test_a_rounded_value_stays_what_it_is() -> None:
    exact = torch.randn(100).to(torch.bfloat16)
    assert torch.equal(either_way(torch.Generator())(exact.double(), torch.bfloat16), exact)


def test_rewinding_decodes_the_same_again_and_the_static_cache_agrees(engine: StepEngine) -> None:
    logits, cache = engine.prefill()
    tokens, made = engine.decode(logits, cache, 4)
    engine.rewind(cache)
    assert cache.get_seq_length() == engine.request.tokens
    again, _ = engine.decode(logits, cache, 4)
    assert [int(t) for t in again] == [int(t) for t in tokens]
    engine.rewind(cache)
    static = static_cache(engine, cache)
    first = engine.forward(static, logits.argmax(-1, keepdim=True), torch.full((3, 1, 1), engine.request.next_position))
    torch.testing.assert_close(first.float(), made[0].float(), rtol=0, atol=0.05 * float(made[0].float().std()))


def test_recorded_it_reads_back(tmp_path: Path) -> None:
    said: list[str] = []
    found = check_start(TINY, DEVICE)
    run = record_model(TINY, DEVICE, tmp_path, found, said.append)
    assert run.complete
    assert {one.path: one.status for one in run.paths} == {
        "stock": "measured",
        "unfused": "measured",
        "fused": "unavailable",
    }
    from rope_prof.io.run.requests import read_end_to_end

    read = read_end_to_end(tmp_path)
    assert read is not None
    assert read.facts == run
    rows = {(row.path, row.mode): row for row in request_rows(read.facts, read.samples)}
    gain = rows["stock", "eager"].request_gain
    assert gain is not None
    assert gain.n == TINY.rounds
    assert rows["fused", "eager"].token_ns is None
    assert all(one.rms <= one.allowed for one in agreements(read.facts))
    for phase in ("prefill", "decode"):
        path = read.trace_path("unfused", phase)
        assert path is not None
        parts = step_parts(read_trace(path), "unfused", phase)
        assert parts is not None
        assert parts.rope_calls == parts.layers == parts.steps * run.model.layers
        assert parts.rope_kernels > 0


def test_the_command_writes_a_run_that_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "run")
    words = ["model", "--preset", "tiny", "--path", "unfused", "--tokens", "64", "--decode", "3", "--rounds", "2"]
    assert main([*words, "--no-profiles", "--device", "cpu", "-o", folder]) == 0
    out, said = capsys.readouterr()
    assert "needs about" in said
    assert "first token ms" in out
    run = read_run(Path(folder))
    assert run.run.complete
    assert run.end_to_end is not None
    assert main(["show", folder, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["end_to_end"]["model"]["preset"] == "tiny"
    assert {row["path"] for row in document["end_to_end"]["rows"]} == {"stock", "unfused"}
    assert main(["show", folder]) == 0
    assert "first token ms" in capsys.readouterr().out


def test_a_profile_of_ranges_alone_holds_no_operators(tmp_path: Path) -> None:
    """As on a GPU, where a whole model's operators would stretch the host's time."""
    from torch.autograd import profiler as autograd_profiler

    from rope_prof.record.capture.ranges import ranges_alone
    from rope_prof.record.requests.profile import in_ranges

    start = autograd_profiler._enable_profiler
    call = in_ranges("unfused.decode.rope")(torch.add)
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True)
    profiler.prepare_trace()
    with ranges_alone(SimpleNamespace(kind="cuda")):  # type: ignore[arg-type]
        profiler.start_trace()
    assert autograd_profiler._enable_profiler is start
    for _ in range(3):
        call(torch.ones(2), 1)
    profiler.stop_trace()
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    trace = read_trace(tmp_path / "trace.json")
    assert trace.ranges["name"].to_list() == [f"unfused.decode.rope#{k}" for k in range(3)]
    assert trace.ops.height == 0


def test_memory_that_is_not_there_is_said_before_the_start() -> None:
    with pytest.raises(
        UnavailableError, match=r"needs about 2\.00 GiB of device memory; 1\.00 GiB of 4\.00 GiB are free"
    ):
        require_memory(Memory(need_bytes=2 << 30, free_bytes=1 << 30, total_bytes=4 << 30))


def test_out_of_memory_in_the_midst_falls_back_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    found = check_start(TINY, DEVICE)
    monkeypatch.setattr("rope_prof.record.requests.measure.make_request", full)
    with pytest.raises(UnavailableError, match="nothing smaller was measured instead"):
        record_model(TINY, DEVICE, tmp_path, found, lambda _: None)
    assert not list(tmp_path.iterdir())


def test_the_weights_of_the_default_are_those_of_28b() -> None:
    count, size = weights(end_to_end_model.configuration("28b-a3b", None))
    assert 28e9 < count < 29e9
    assert size > 2 * count
    assert end_to_end_model.shape_of(end_to_end_model.configuration("28b-a3b", None)).axes()[:2] == (1, 2)


@pytest.mark.parametrize("name", ["transformers", end_to_end_model.MODELING])
def test_transformers_missing_or_too_old_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnavailableError, match="transformers") as caught:
        end_to_end_model.library()
    assert "pip install" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_older_transformers_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.__version__", "4.57.1")
    with pytest.raises(UnavailableError, match=r"transformers 4\.57\.1 is too old for the model; expected .* 5\.17"):
        end_to_end_model.library()


@pytest.mark.parametrize("installed", [False, True])
def test_the_model_loads_where_our_kernels_folder_is_in_the_way(
    repository: Path, tmp_path: Path, installed: bool
) -> None:
    """transformers looks for a package `kernels`; ours has no such name, and an installed one stays what it is."""
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '99.0'\n")
    code = (
        f"import site; site.addsitedir({str(tmp_path if installed else tmp_path / 'none')!r})\n"
        "from rope_prof.record.requests.model import library\n"
        "import kernels, rope_prof.kernels.mrope.shape as shape\n"
        "print(library().__name__, getattr(kernels, '__version__', None), shape.__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    module, version, ours = done.stdout.split()
    assert module == end_to_end_model.MODELING
    assert version == ("99.0" if installed else "None")
    assert Path(ours).is_relative_to(repository)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"layers": 0}, "layers 0; expected at least 1"),
        ({"paths": ("triton",)}, "unknown path 'triton'"),
        ({"rounds": 0}, "rounds 0"),
        ({"decode_tokens": 1}, "decode tokens 1"),
        ({"seed": -1}, "seed -1; expected a whole number from 0"),
    ],
)
def test_words_that_name_nothing(more: dict[str, Any], words: str) -> None:
    fields: dict[str, Any] = {"preset": "tiny", "paths": ("unfused",)} | more
    with pytest.raises(UsageError, match=words):
        check_start(ModelOptions(**fields), DEVICE)
