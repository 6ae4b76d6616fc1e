"""Prefill and decode of one request: eager with the library's growing cache or its static one, or a CUDA graph."""

from __future__ import annotations

import importlib
from typing import Any

import torch

from rope_prof.record.loop.timing import Work
from rope_prof.record.requests.model import Request, TextModel


class StepEngine:
    """One model and one request. No step waits for the device: the next token stays on it.

    `static`: eager steps too have a cache of its full size from the start, in the place of one that grows.
    """

    def __init__(self, built: TextModel, request: Request, decode_tokens: int, *, static: bool = False) -> None:
        self.built, self.request, self.decode_tokens, self.static = built, request, decode_tokens, static
        first = request.next_position
        device = request.ids.device
        self._later = torch.arange(first, first + decode_tokens, device=device).expand(3, 1, -1).contiguous()

    def forward(self, cache: Any, ids: torch.Tensor, positions: torch.Tensor, images: Any = None) -> torch.Tensor:
        model = self.built.model
        out = model(
            inputs_embeds=model.embed_tokens(ids),
            position_ids=positions,
            moe_mm_token_type_ids=images,
            past_key_values=cache,
            use_cache=True,
        )
        last = out.last_hidden_state[:, -1]
        return torch.nn.functional.linear(last, model.embed_tokens.weight)

    @torch.inference_mode()
    def prefill(self, cache: Any = None) -> tuple[torch.Tensor, Any]:
        """(logits `[1, vocab]` of the last prompt token, the cache that holds the prompt). `cache`: an empty one."""
        if cache is None and self.static:
            cache = empty_static_cache(self)
        elif cache is None:
            cache = importlib.import_module("transformers").DynamicCache(config=self.built.config)
        request = self.request
        return self.forward(cache, request.ids, request.positions, request.images), cache

    @torch.inference_mode()
    def decode(
        self, logits: torch.Tensor, cache: Any, steps: int, *, after: int = 0
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """`steps` greedy steps, the first `after` tokens behind the prompt: (tokens fed, logits that each gave)."""
        tokens, made = [], []
        for step in range(steps):
            token = logits.argmax(-1, keepdim=True)
            logits = self.forward(cache, token, self._later[:, :, after + step : after + step + 1])
            tokens.append(token)
            made.append(logits)
        return tokens, made

    def rewind(self, cache: Any, *, after: int = 0) -> None:
        """Back to the place `after` tokens behind the prompt."""
        if self.static:
            stand(cache, self.request.tokens + after)
        elif (extra := int(cache.get_seq_length()) - self.request.tokens - after) > 0:
            cache.crop(-extra)

    def prefill_work(self, cache: Any, calls: int) -> Work:
        """`calls` prefills, each ending with its first token: one into the empty `cache`, or each into its own."""

        def run() -> None:
            for _ in range(calls):
                self.prefill(cache)[0].argmax(-1)

        return run

    def decode_work(self, cache: Any, logits: torch.Tensor, calls: int, *, after: int = 0) -> Work:
        """`calls` decode steps on `cache`, which stands `after` tokens behind the prompt."""

        def run() -> None:
            self.decode(logits, cache, calls, after=after)

        return run


class GraphDecoder:
    """One decode step captured in a CUDA graph: it takes its own token, writes the next and moves on by one place."""

    def __init__(self, engine: StepEngine, first: torch.Tensor, filled: Any, *, after: int = 0) -> None:
        """`filled`: the cache of the prompt and `after` more tokens; `first`: the logits behind them."""
        self.engine, self.after = engine, after
        self.cache = static_cache(engine, filled)
        device = first.device
        with torch.inference_mode():
            self.first = first.argmax(-1, keepdim=True)
            self.token = self.first.clone()
            self.position = torch.empty(3, 1, 1, dtype=torch.int64, device=device)
            self.graph = torch.cuda.CUDAGraph()
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(3):
                    self.rewind()
                    self._step()
            torch.cuda.current_stream().wait_stream(side)
            self.rewind()
            with torch.cuda.graph(self.graph):
                self.logits = self._step()

    def _step(self) -> torch.Tensor:
        logits = self.engine.forward(self.cache, self.token, self.position)
        self.token.copy_(logits.argmax(-1, keepdim=True))
        self.position.add_(1)
        return logits

    @torch.inference_mode()
    def rewind(self) -> None:
        """Back to where it began."""
        stand(self.cache, self.engine.request.tokens + self.after)
        self.position.fill_(self.engine.request.next_position + self.after)
        self.token.copy_(self.first)

    def work(self, calls: int) -> Work:
        """`calls` replays."""

        def run() -> None:
            for _ in range(calls):
                self.graph.replay()

        return run

    def tokens(self, steps: int) -> list[int]:
        """The tokens that `steps` steps are fed, from where it began."""
        self.rewind()
        found = []
        for _ in range(steps):
            found.append(int(self.token))
            self.graph.replay()
        return found


@torch.inference_mode()
def stand(cache: Any, tokens: int) -> None:
    """A static cache as one that holds its first `tokens` alone."""
    for layer in cache.layers:
        layer.cumulative_length.fill_(tokens)


def empty_static_cache(engine: StepEngine) -> Any:
    """A static cache with room for the request."""
    room = engine.request.tokens + engine.decode_tokens + 8
    shape, config = engine.built.shape, engine.built.config
    cache = importlib.import_module("transformers").StaticCache(config=config, max_cache_len=room)
    weight = engine.built.model.embed_tokens.weight
    cache.early_initialization(1, shape.kv_heads, shape.head_dim, weight.dtype, weight.device)
    return cache


@torch.inference_mode()
def static_cache(engine: StepEngine, filled: Any) -> Any:
    """A static cache with room for the request, holding what `filled` holds."""
    cache = empty_static_cache(engine)
    tokens = int(filled.get_seq_length())
    for mine, theirs in zip(cache.layers, filled.layers, strict=True):
        mine.keys[:, :, :tokens] = theirs.keys[:, :, :tokens]
        mine.values[:, :, :tokens] = theirs.values[:, :, :tokens]
    stand(cache, tokens)
    return cache
