"""Rope and cache write in one call inside the tiny model: it reaches every layer and cache, and goes again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[model]'")

from transformers.cache_utils import StaticLayer

from rope_prof.cli import main
from rope_prof.io.run.folder import read_run
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.requests.accuracy import deviation, either_way, nearest, oracle, prompt_logits, written
from rope_prof.record.requests.model import TextModel, build, make_request
from rope_prof.record.requests.patch import CacheWritePatch, RopePatch, patched
from rope_prof.record.requests.steps import StepEngine, stand, static_cache

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:torch", "ignore::FutureWarning")

DEVICE = CpuDevice()
TOKENS = 41
EXACT = written(oracle(nearest))


@pytest.fixture(scope="module", autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def built() -> TextModel:
    return build("tiny", None, DEVICE, seed=0)


@pytest.fixture
def engine(built: TextModel) -> StepEngine:
    return StepEngine(built, make_request(built, TOKENS, DEVICE, seed=0), decode_tokens=6, static=True)


@pytest.fixture
def patch(engine: StepEngine) -> Iterator[RopePatch]:
    with patched(engine.built.model, engine.built.shape, "mrope-kv") as made:
        yield made


def test_one_call_a_layer_turns_q_and_fills_the_cache_as_the_library_does(engine: StepEngine, patch: RopePatch) -> None:
    stock, theirs = engine.prefill()
    patch.use("unfused")
    logits, mine = engine.prefill()
    assert patch.calls == engine.built.shape.layers
    assert deviation(logits.float(), stock.float()).rms < 0.2 * float(stock.float().std())
    first, reference = mine.layers[0], theirs.layers[0]
    assert torch.equal(first.values, reference.values), "v is the same, and what is behind it unwritten"
    torch.testing.assert_close(first.keys.float(), reference.keys.float(), rtol=0.02, atol=0.02)
    assert first.keys[:, :, :TOKENS].any(dim=-1).all()
    assert not first.keys[:, :, TOKENS:].any()
    assert int(mine.get_seq_length()) == TOKENS


def test_decoded_tokens_go_behind_the_prompt_and_a_rewound_cache_decodes_the_same(
    engine: StepEngine, patch: RopePatch
) -> None:
    stock, theirs = engine.prefill()
    patch.use_call(EXACT)
    logits, cache = engine.prefill()
    tokens, made = engine.decode(logits, cache, 4)
    assert int(cache.get_seq_length()) == TOKENS + 4
    assert cache.layers[1].keys[:, :, TOKENS : TOKENS + 4].any(dim=-1).all()
    assert not cache.layers[1].keys[:, :, TOKENS + 4 :].any()
    engine.rewind(cache)
    again, _ = engine.decode(logits, cache, 4)
    assert [int(t) for t in again] == [int(t) for t in tokens]
    stand(cache, 0)
    assert torch.equal(engine.prefill(cache)[0], logits), "a cache stood at its start is as good as a new one"
    patch.restore()
    _, library = engine.decode(stock, static_cache(engine, theirs), 1)
    assert deviation(made[0].float(), library[0].float()).rms < 0.2 * float(library[0].float().std())


def test_a_path_in_place_and_one_that_returns_a_new_q_give_the_same(engine: StepEngine, patch: RopePatch) -> None:
    def in_place(q: torch.Tensor, *rest: Any) -> None:
        q.copy_(EXACT(q, *rest)[0])

    patch.use_call(EXACT)
    exact = prompt_logits(engine)
    patch.use_call(in_place)
    assert torch.equal(prompt_logits(engine), exact)


@pytest.mark.parametrize("at", [5, 6, 7])
def test_a_wrong_write_is_seen_in_the_logits(engine: StepEngine, patch: RopePatch, at: int) -> None:
    """k's or v's cache never written, or all slots one too far."""

    def wrong(*given: Any) -> Any:
        changed = list(given)
        changed[at] = torch.zeros_like(given[at]) if at < 7 else given[at] + 1
        return EXACT(*changed)

    patch.use_call(EXACT)
    exact = prompt_logits(engine)
    patch.use_call(written(oracle(either_way(torch.Generator().manual_seed(0)))))
    spread = deviation(prompt_logits(engine), exact).rms
    patch.use_call(wrong)
    assert deviation(prompt_logits(engine), exact).rms > 2 * spread


def test_whatever_happens_the_library_s_cache_is_back(engine: StepEngine) -> None:
    before = StaticLayer.update

    def broken(*_: Any) -> None:
        raise RuntimeError("a broken path")

    with (
        pytest.raises(RuntimeError, match="a broken path"),
        patched(engine.built.model, engine.built.shape, CacheWritePatch.operation) as patch,
    ):
        patch.use_call(broken)
        assert StaticLayer.update is not before
        engine.prefill()
    assert StaticLayer.update is before


def test_the_command_takes_the_operation_of_the_run_it_is_added_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = ["model", "--preset", "tiny", "--layers", "1", "--path", "unfused", "--tokens", "16", "--decode", "2"]
    words += ["--rounds", "1", "--sample", "1", "--no-profiles", "--device", "cpu", "-o", str(folder)]
    assert main([*words, "--operation", "mrope-kv"]) == 0
    assert read_run(folder).run.operation.name == "mrope-kv"
    assert main(words) == 0
    capsys.readouterr()
    assert main(["show", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["end_to_end"]["rows"]
    assert {(row["path"], row["status"]) for row in rows if row["mode"] == "eager"} == {
        ("stock", "measured"),
        ("unfused", "measured"),
    }
    assert main([*words, "--operation", "mrope"]) == 2
    assert "is a run of 'mrope-kv'; leave --operation out" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "new"), "--operation", "silu-mul"]) == 2
    assert "'silu-mul' cannot be put into the model; expected 'mrope' or 'mrope-kv'" in capsys.readouterr().err
