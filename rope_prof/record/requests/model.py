"""The Ernie4.5-VL text model of transformers with random weights, what it needs of memory, and one request to it.

Knows the library by three names: the configuration, the text model, and the module that both come from.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.kernels.mrope.inputs import prompt_positions
from rope_prof.kernels.mrope.shape import MropeShape
from rope_prof.model.end_to_end import Memory, ModelFacts
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.machine import parsed
from rope_prof.units import size

MODELING = "transformers.models.ernie4_5_vl_moe.modeling_ernie4_5_vl_moe"
#: The first version whose static cache, experts and rope are as the patch and the graphs need them.
LEAST = (5, 17)
DTYPE = torch.bfloat16
#: The 28B-A3B model is the configuration's own default; `tiny` is for a CPU and for tests.
PRESETS: dict[str, dict[str, Any]] = {
    "28b-a3b": {},
    "tiny": {
        "hidden_size": 256,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 512,
        "moe_num_experts": 8,
        "moe_k": 2,
        "moe_intermediate_size": [64, 32],
        "max_position_embeddings": 4096,
        "initializer_range": 0.1,
    },
}
#: The largest intermediates of one layer at once, in bytes a prompt token and hidden lane: seen, with room.
_WORKING = 64


def library() -> ModuleType:
    """The module of transformers that holds the model. Errors: UnavailableError where it is missing or too old."""
    try:
        version = importlib.import_module("transformers").__version__
    except ImportError as error:
        raise UnavailableError(
            f"the model needs transformers, which cannot be imported ({error}); pip install 'rope-prof[model]'"
        ) from error
    words = f"expected transformers {'.'.join(map(str, LEAST))} or newer: pip install -U 'rope-prof[model]'"
    if parsed(version) < LEAST:
        raise UnavailableError(f"transformers {version} is too old for the model; {words}")
    try:
        return importlib.import_module(MODELING)
    except ImportError as error:
        raise UnavailableError(f"transformers {version} has no Ernie4.5-VL ({error}); {words}") from error


def configuration(preset: str, layers: int | None) -> Any:
    """The text configuration of `preset`, with another number of layers where asked."""
    if preset not in PRESETS:
        raise UsageError(f"unknown preset {preset!r}; expected {', '.join(map(repr, PRESETS))}")
    library()
    made = dict(PRESETS[preset])
    if layers is not None:
        if layers < 1:
            raise UsageError(f"layers {layers}; expected at least 1")
        made["num_hidden_layers"] = layers
    sections = {"rope_type": "default", "rope_theta": 500_000.0, "mrope_section": [22, 22, 20]}
    config = importlib.import_module("transformers").Ernie4_5_VLMoeTextConfig(**made, rope_parameters=sections)
    config.bos_token_id = config.eos_token_id = None
    return config


def shape_of(config: Any) -> MropeShape:
    """The rotary embedding of `config`; its sections (h, w, t) in our order (t, h, w)."""
    h, w, t = config.rope_parameters["mrope_section"]
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return MropeShape(
        model=f"transformers-{config.num_hidden_layers}",
        q_heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        head_dim=head_dim,
        rotary_dim=head_dim,
        sections=(t, h, w),
        theta=float(config.rope_parameters["rope_theta"]),
        max_position=config.max_position_embeddings,
    )


def _text_model(config: Any) -> Any:
    made = library().Ernie4_5_VLMoeTextModel._from_config(config, dtype=DTYPE, attn_implementation="sdpa")
    return made.eval().requires_grad_(False)


def weights(config: Any) -> tuple[int, int]:
    """(parameters, their bytes) of the text model, counted without allocating any."""
    with torch.device("meta"):
        return _counted(_text_model(config))


def _counted(model: Any) -> tuple[int, int]:
    held = list(model.parameters())
    return sum(p.numel() for p in held), sum(p.numel() * p.itemsize for p in held)


def memory(config: Any, tokens: int, device: RecordDevice) -> Memory:
    """What building the model and serving `tokens` tokens needs: weights, three caches, a layer's intermediates."""
    shape = shape_of(config)
    cache = 3 * config.num_hidden_layers * 2 * tokens * shape.kv_heads * shape.head_dim * DTYPE.itemsize
    table = shape.max_position * shape.rotary_dim * 4
    working = tokens * (config.hidden_size * _WORKING + config.vocab_size // 8)
    expert = config.moe_num_experts * max(config.moe_intermediate_size) * config.hidden_size * 2 * DTYPE.itemsize
    need = weights(config)[1] + cache + 4 * table + working + expert
    free, total = free_memory(device)
    return Memory(need_bytes=need, free_bytes=free, total_bytes=total)


def free_memory(device: RecordDevice) -> tuple[int, int]:
    """(free, total) bytes of the device's memory; of a CPU those of the host."""
    if device.kind == "cuda":
        free, total = torch.cuda.mem_get_info(device.torch_device)
        return int(free), int(total)
    page = os.sysconf("SC_PAGE_SIZE")
    return page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")


def memory_line(found: Memory) -> str:
    """The sentence that stands before the start."""
    return (
        f"needs about {size(found.need_bytes)} of device memory; "
        f"{size(found.free_bytes)} of {size(found.total_bytes)} are free"
    )


def require_memory(found: Memory) -> None:
    """Errors: UnavailableError where the device has not enough free. Nothing smaller is tried instead."""
    if found.need_bytes > found.free_bytes:
        raise UnavailableError(f"the model {memory_line(found)}; choose fewer --layers, or free the device")


@dataclass(frozen=True, slots=True)
class TextModel:
    """The built model: logits are the last hidden state times the embedding, as in the tied checkpoint."""

    model: Any
    config: Any
    shape: MropeShape
    facts: ModelFacts


def build(preset: str, layers: int | None, device: RecordDevice, seed: int) -> TextModel:
    """The text model with random weights, made on the device. Raises torch's out-of-memory errors."""
    config = configuration(preset, layers)
    torch.manual_seed(seed)
    with torch.device(device.torch_device):
        model = _text_model(config)
    count, held_bytes = _counted(model)
    facts = ModelFacts(
        preset=preset,
        layers=config.num_hidden_layers,
        parameters=count,
        weights_bytes=held_bytes,
        dtype="bf16",
        experts=str(model.config._experts_implementation),
        attention=str(model.config._attn_implementation),
        transformers=importlib.import_module("transformers").__version__,
    )
    return TextModel(model=model, config=config, shape=shape_of(config), facts=facts)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt: `ids [1, N]`, `positions [3, 1, N]` rows (t, h, w), `images [1, N]` 1 where an image token."""

    ids: torch.Tensor
    positions: torch.Tensor
    images: torch.Tensor

    @property
    def tokens(self) -> int:
        """Prompt tokens."""
        return self.ids.shape[1]

    @property
    def next_position(self) -> int:
        """Where decoding starts: behind the largest position."""
        return int(self.positions.max()) + 1


def make_request(built: TextModel, tokens: int, device: RecordDevice, seed: int) -> Request:
    """A prompt of `tokens` random tokens with one image, as the pull request's request has it at 973.

    The embeddings of image tokens are random ones of the table: the vision tower is not part of this measurement, but
    the model sends its tokens to its vision experts.
    """
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, built.config.vocab_size, (1, tokens), generator=generator)
    positions = prompt_positions(built.shape, tokens, "image")
    return Request(
        ids=ids.to(device.torch_device),
        positions=positions[:, None].contiguous().to(device.torch_device),
        images=image_tokens(positions)[None].to(torch.int32).to(device.torch_device),
    )


def image_tokens(positions: torch.Tensor) -> torch.Tensor:
    """`positions [3, N]` -> bool `[N]`: within an image t stands still, in text it never does."""
    still = positions[0, 1:] == positions[0, :-1]
    no = torch.zeros(1, dtype=torch.bool)
    return torch.cat([still, no]) | torch.cat([no, still])
