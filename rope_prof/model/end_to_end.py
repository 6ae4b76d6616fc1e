"""What an end-to-end measurement is: the model, the request, and each path's facts. No files, no statistics.

A subject is path x phase x mode, named `<path>.<phase>.<mode>`: `fused.decode.graph`. The path `stock` is the model as
its library has it. Times are samples beside these facts, with the columns of `model.samples.samples_schema`.
"""

from __future__ import annotations

from typing import Literal

from rope_prof.model.frozen import Frozen
from rope_prof.model.run import Machine

SCHEMA_VERSION = 1

Phase = Literal["prefill", "decode"]
StepMode = Literal["eager", "graph"]
PathStatus = Literal["measured", "wrong", "unavailable", "failed"]

STOCK = "stock"


class RequestSubject(Frozen, kw_only=True):
    """One thing that is timed."""

    path: str
    phase: Phase
    mode: StepMode

    @property
    def name(self) -> str:
        """`fused.decode.graph`; a user's `module:function` keeps its colon as `@`."""
        return f"{self.path.replace(':', '@')}.{self.phase}.{self.mode}"


class ModelFacts(Frozen, kw_only=True):
    """The model that was built. Weights are random; `experts` and `attention` name the library's own code for them."""

    preset: str
    layers: int
    parameters: int
    weights_bytes: int
    dtype: str
    experts: str
    attention: str
    transformers: str


class RequestFacts(Frozen, kw_only=True):
    """One request: its prompt, of which some tokens are an image's, and the tokens that are decoded.

    A sample of the decode is `sample_tokens` tokens in the middle of the answer.
    """

    prompt_tokens: int
    image_tokens: int
    decode_tokens: int
    sample_tokens: int


class Memory(Frozen, kw_only=True):
    """What was said before the start: bytes needed, and what the device had free and in all."""

    need_bytes: int
    free_bytes: int
    total_bytes: int


class Deviation(Frozen, kw_only=True):
    """Last-token logits of the prompt against those with the float64 oracle's rope: largest and root mean square."""

    largest: float
    rms: float


class PathFacts(Frozen, kw_only=True):
    """One path: its status, its logits against the oracle's, and what it decodes greedily.

    `tokens` is empty where it was not run; `margins` are the distances between its two largest logits at each of them.
    `graph_tokens` are those under a CUDA graph; `graph_deviation` holds the first decoded token's logits there against
    those of the eager step. `rope_calls` counts the rope calls that one forward made: one in every decoder layer.
    `traces` maps a phase to the file of its profile.
    """

    path: str
    status: PathStatus
    reason: str | None = None
    rope_calls: int | None = None
    deviation: Deviation | None = None
    tokens: tuple[int, ...] = ()
    margins: tuple[float, ...] = ()
    graph_tokens: tuple[int, ...] = ()
    graph_deviation: Deviation | None = None
    graph_reason: str | None = None
    traces: dict[str, str] | None = None


class EndToEnd(Frozen, kw_only=True):
    """One measurement of whole requests.

    `spread` holds, for each seed, how far the logits move when the oracle's rope is rounded up or down at random
    instead of to the nearest: what the model's own rounding explains.
    """

    schema_version: int
    created: str
    command: str
    seed: int
    rounds: int
    machine: Machine
    model: ModelFacts
    request: RequestFacts
    memory: Memory | None
    spread: tuple[Deviation, ...]
    paths: tuple[PathFacts, ...]
    complete: bool = False
