"""Whole requests, measured: every path's prefill and decode in interleaved rounds, then checks and profiles.

The rounds, their order and their clock are those of the kernel measurements (`record.loop.timing`). A sample is one
prefill, or some tokens in the middle of the answer: short, so that all paths are timed within seconds of each other and
share the host's drift. The cache of the device is as the model's own traffic leaves it.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.io.run.requests import end_to_end_schema, write_end_to_end
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.operation import Path as Implementation
from rope_prof.kernels.paths import path_of
from rope_prof.model.end_to_end import (
    SCHEMA_VERSION,
    STOCK,
    Deviation,
    EndToEnd,
    Memory,
    PathFacts,
    Phase,
    RequestFacts,
    RequestSubject,
)
from rope_prof.record.device import devices
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.device.machine import machine
from rope_prof.record.loop.describe import one_line, out_of_memory
from rope_prof.record.loop.plan import require_seed
from rope_prof.record.loop.timing import Failures, Sample, measure
from rope_prof.record.loop.timing import Subject as Timed
from rope_prof.record.requests.accuracy import allowed, deviation, prompt_logits, rounding_spread
from rope_prof.record.requests.model import TextModel, build, configuration, make_request, memory, require_memory
from rope_prof.record.requests.patch import PATCHES, RopePatch, patched
from rope_prof.record.requests.profile import profile
from rope_prof.record.requests.steps import GraphDecoder, StepEngine, stand
from rope_prof.record.session import typed

Say = Callable[[str], None]
#: Whose profiles are not kept: a whole model's trace is large, and these two answer nothing that the others leave open.
UNPROFILED = (STOCK, "per-token")
PHASES: tuple[Phase, ...] = ("prefill", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What was typed. `greedy` tokens are compared; `paths` of `operation` are measured beside stock, all where none
    is named.
    """

    preset: str = "28b-a3b"
    layers: int | None = None
    operation: str = RopePatch.operation
    paths: tuple[str, ...] = ()
    prompt_tokens: int = 973
    decode_tokens: int = 146
    rounds: int = 40
    sample_tokens: int = 16
    greedy: int = 24
    graphs: bool = True
    profiles: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        require_seed(self.seed)
        for name, least in {"prompt_tokens": 2, "decode_tokens": 2, "rounds": 1, "sample_tokens": 1}.items():
            if getattr(self, name) < least:
                raise UsageError(f"{name.replace('_', ' ')} {getattr(self, name)}; expected at least {least}")
        if self.operation not in PATCHES:
            known = " or ".join(map(repr, PATCHES))
            raise UsageError(f"operation {self.operation!r} cannot be put into the model; expected {known}")

    @property
    def names(self) -> tuple[str, ...]:
        """The paths beside stock."""
        return self.paths or operation(self.operation).paths

    def path(self, name: str) -> Implementation:
        """The path called `name`. Errors: LookupError."""
        return path_of(operation(self.operation), name)

    @property
    def sampled(self) -> int:
        """Tokens in a sample of the decode: no more than are decoded."""
        return min(self.sample_tokens, self.decode_tokens)

    @property
    def middle(self) -> int:
        """Tokens of the answer before a sample, so that it lies in the middle."""
        return (self.decode_tokens - self.sampled) // 2


@dataclass(slots=True)
class _Bench:
    """What all parts of one measurement share."""

    options: ModelOptions
    device: RecordDevice
    engine: StepEngine
    patch: RopePatch
    say: Say
    facts: dict[str, PathFacts] = field(default_factory=dict)
    graphs: dict[str, GraphDecoder] = field(default_factory=dict)

    @property
    def alive(self) -> list[str]:
        return [name for name, facts in self.facts.items() if facts.status == "measured"]

    def note(self, name: str, **changes: Any) -> None:
        self.facts[name] = replace(self.facts[name], **changes)


def check_start(options: ModelOptions, device: RecordDevice) -> Memory:
    """What it will need and what the device has. Errors: UnavailableError, UsageError."""
    tokens = options.prompt_tokens + options.decode_tokens
    found = memory(configuration(options.preset, options.layers), tokens, device)
    for name in options.names:
        try:
            options.path(name)
        except LookupError as error:
            raise UsageError(str(error)) from error
        except ImportError as error:
            raise UnavailableError(f"path {name!r} cannot be imported ({error}); install triton (Linux)") from error
    return found


def record_model(options: ModelOptions, device: RecordDevice, folder: Path, found: Memory, say: Say) -> EndToEnd:
    """Build, check, time, profile; write into `folder`. The stock model is back whatever happens.

    Errors: UnavailableError where the memory is not enough, before or in the middle; nothing smaller is tried.
    """
    require_memory(found)
    try:
        say("building the model")
        with torch.inference_mode():
            built = build(options.preset, options.layers, device, options.seed)
            return _measured(options, device, folder, found, built, say)
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise UnavailableError(
            f"out of memory in the midst of the measurement ({one_line(error)}); choose fewer --layers, or free the "
            "device: nothing smaller was measured instead"
        ) from error


def _measured(
    options: ModelOptions, device: RecordDevice, folder: Path, found: Memory, built: TextModel, say: Say
) -> EndToEnd:
    request = make_request(built, options.prompt_tokens, device, options.seed)
    engine = StepEngine(built, request, options.decode_tokens, static=PATCHES[options.operation].static)
    with patched(built.model, built.shape, options.operation) as patch:
        bench = _Bench(options, device, engine, patch, say)
        for name in (STOCK, *options.names):
            bench.facts[name] = _possible(name, options, device)
        say("checking the logits of every path")
        spread = _check(bench)
        run = EndToEnd(
            schema_version=SCHEMA_VERSION,
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            command=typed(sys.argv),
            seed=options.seed,
            rounds=options.rounds,
            machine=machine(device),
            model=built.facts,
            request=RequestFacts(
                prompt_tokens=request.tokens,
                image_tokens=int(request.images.sum()),
                decode_tokens=options.decode_tokens,
                sample_tokens=options.sampled,
            ),
            memory=found,
            spread=spread,
            paths=tuple(bench.facts.values()),
        )
        samples: list[Sample] = []
        for taken in _rounds(bench):
            samples += taken
            run = replace(run, paths=tuple(bench.facts.values()))
            write_end_to_end(folder, run, _frame(samples))
        if options.profiles:
            _profiles(bench, folder)
        run = replace(run, paths=tuple(bench.facts.values()), complete=True)
        write_end_to_end(folder, run, _frame(samples))
    return run


def _possible(name: str, options: ModelOptions, device: RecordDevice) -> PathFacts:
    if name != STOCK and device.kind == "cpu" and options.path(name).triton:
        return PathFacts(path=name, status="unavailable", reason=f"path {name!r} needs an NVIDIA GPU")
    return PathFacts(path=name, status="measured")


def _check(bench: _Bench) -> tuple[Deviation, ...]:
    """Logits of every path against the oracle's, and greedy tokens; the spread that rounding explains."""
    centre, spread = rounding_spread(bench.engine, bench.patch, bench.options.seed)
    limit = allowed(spread)
    for name in bench.alive:
        with _guarded(bench, name):
            bench.patch.use(name)
            bench.patch.calls = 0
            found = deviation(prompt_logits(bench.engine), centre)
            calls, layers = bench.patch.calls, bench.engine.built.shape.layers
            tokens, margins = _greedy(bench)
            bench.note(name, rope_calls=calls, deviation=found, tokens=tokens, margins=margins)
            if calls != layers:
                bench.note(name, status="wrong", reason=f"one forward made {calls} rope calls; expected {layers}")
            elif not found.rms <= limit:
                reason = f"logits lie {found.rms:.3g} rms from the oracle's; rounding explains {limit:.3g}"
                bench.note(name, status="wrong", reason=reason)
    bench.patch.restore()
    return spread


def _greedy(bench: _Bench) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """(the tokens fed, the margin of each choice), with the rope in use."""
    steps = min(bench.options.greedy, bench.options.decode_tokens)
    logits, cache = bench.engine.prefill()
    tokens, made = bench.engine.decode(logits, cache, steps)
    margins = []
    for chosen in (logits, *made[:-1]):
        first, second = chosen.float().topk(2, dim=-1).values.flatten().tolist()
        margins.append(first - second)
    return tuple(int(token) for token in tokens), tuple(margins)


class _guarded(suppress):  # noqa: N801
    """A path that raises is failed with its reason, and the others go on; out of memory ends it all."""

    def __init__(self, bench: _Bench, name: str) -> None:
        super().__init__(Exception)
        self.bench, self.name = bench, name

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if error is not None and not out_of_memory(error) and isinstance(error, Exception):
            self.bench.note(self.name, status="failed", reason=one_line(error))
            return True
        return False


def _rounds(bench: _Bench) -> Iterator[list[Sample]]:
    """The samples of one round after the other."""
    bench.say("warming up and capturing graphs")
    subjects: list[Timed] = []
    for name in bench.alive:
        with _guarded(bench, name):
            subjects += _subjects(bench, name)
    failures = Failures()
    try:
        numbers = range(bench.options.rounds)
        for number, taken in enumerate(
            measure(
                subjects,
                numbers,
                seed=bench.options.seed,
                case="end-to-end",
                clock=devices.clock,
                device=bench.device,
                failures=failures,
            )
        ):
            bench.say(f"timed round {number + 1} of {bench.options.rounds}")
            yield taken
    finally:
        bench.patch.restore()
    for name in bench.alive:
        for failed, error in failures.by_name.items():
            if out_of_memory(error):
                raise error
            if failed.rsplit(".", 2)[0] == name.replace(":", "@"):
                bench.note(name, status="failed", reason=f"{failed}: {one_line(error)}")


def _subjects(bench: _Bench, name: str) -> list[Timed]:
    """What is timed of one path: warmed up, with the sizes of its samples set."""
    engine, count, middle = bench.engine, bench.options.sampled, bench.options.middle
    bench.patch.use(name)
    logits, cache = engine.prefill()
    graphed = bench.options.graphs and _captured(bench, name, logits, cache)
    _, (*_, logits) = engine.decode(logits, cache, middle) if middle else ((), (logits,))
    if graphed:
        bench.graphs[name] = GraphDecoder(engine, logits, cache, after=middle)
    engine.decode(logits, cache, min(3, count), after=middle)
    empty = engine.prefill()[1] if engine.static else None

    def subject(phase: Phase, work: Any, calls: int, before: Callable[[], None]) -> Timed:
        mode = "graph" if work is None else "eager"
        found = RequestSubject(path=name, phase=phase, mode=mode)  # type: ignore[arg-type]
        return Timed(found.name, work or bench.graphs[name].work, before=before, calls=calls, waits=True)

    def in_use() -> None:
        bench.patch.use(name)

    def emptied() -> None:
        in_use()
        if empty is not None:
            stand(empty, 0)

    def rewound() -> None:
        in_use()
        engine.rewind(cache, after=middle)

    made = [
        subject("prefill", lambda calls: engine.prefill_work(empty, calls), 1, emptied),
        subject("decode", lambda calls: engine.decode_work(cache, logits, calls, after=middle), count, rewound),
    ]
    if graphed:
        made.append(subject("decode", None, count, bench.graphs[name].rewind))
    return made


def _captured(bench: _Bench, name: str, logits: torch.Tensor, cache: Any) -> bool:
    """Capture the path in use behind the prompt and note what it decodes; one that cannot be captured says why, and is
    timed eager alone. Leaves `cache` at the end of the prompt.
    """
    if bench.device.kind == "cpu":
        bench.note(name, graph_reason="mode 'graph' needs an NVIDIA GPU")
        return False
    try:
        decoder = GraphDecoder(bench.engine, logits, cache)
    except Exception as error:
        if out_of_memory(error):
            raise
        bench.note(name, graph_reason=one_line(error))
        return False
    decoder.tokens(1)
    _, (eager,) = bench.engine.decode(logits, cache, 1)
    bench.engine.rewind(cache)
    found = deviation(decoder.logits.flatten().float(), eager.flatten().float())
    tokens = decoder.tokens(min(bench.options.greedy, bench.options.decode_tokens))
    bench.note(name, graph_tokens=tuple(tokens), graph_deviation=found)
    return True


def _frame(samples: list[Sample]) -> Any:
    rows = [(one.key, one.round, one.clock, one.calls, one.ns) for one in samples]
    return pl.DataFrame(rows, schema=end_to_end_schema(), orient="row")


def _profiles(bench: _Bench, folder: Path) -> None:
    """A profile of each path's prefill and decode; after all timed passes, since the profiler stays attached."""
    for name in (name for name in bench.alive if name not in UNPROFILED):
        traces: dict[str, str] = {}
        for phase in PHASES:
            bench.say(f"profiling {phase} of {name}")
            try:
                traces[phase] = profile(bench.engine, bench.patch, name, phase, bench.device, folder)
            except Exception as error:
                if out_of_memory(error):
                    raise
                bench.note(name, reason=f"no profile of {phase}: {one_line(error)}")
        bench.note(name, traces=traces)
