"""A planned key -> something that can be called: the ring of its case, and its path in its mode."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from types import FunctionType
from typing import Any

import torch

from rope_prof.errors import UnavailableError
from rope_prof.kernels.operation import Call as Made
from rope_prof.kernels.operation import Operation, Setting
from rope_prof.kernels.paths import path_of
from rope_prof.model.run import L2, Case, Key
from rope_prof.record.bench.claims import require_calls
from rope_prof.record.device.compiler import compiler
from rope_prof.record.device.devices import RecordDevice
from rope_prof.record.loop.describe import own_words
from rope_prof.record.loop.plan import GRAPH_CALLS
from rope_prof.record.loop.timing import COLD_STEPS, Subject, Work

Call = Callable[..., Any]
#: A ring is this many times the L2, so that a buffer has left it when its turn comes again.
RING_FACTOR = 3
#: torch's variable that says whether the compiler starts processes that compile ahead of the first compilation.
WARM_POOL = "TORCH_WARM_POOL"


class Ring:
    """The calls of one case and the place of the next: every call of every key takes the next one."""

    def __init__(self, operation: Operation, case: Case, device: RecordDevice, seed: int, least: int = 1) -> None:
        values = dict(case.values)
        self.operation = operation
        self.buffer_bytes = self._made(values, 1, device, seed)[0].fresh_bytes
        wanted = RING_FACTOR * (device.l2_bytes or 0)
        count = max(1, least if wanted else 1, -(-wanted // self.buffer_bytes) if self.buffer_bytes else 1)
        self.calls = self._made(values, count, device, seed)
        self._next = 0

    def _made(self, values: Setting, count: int, device: RecordDevice, seed: int) -> Sequence[Made]:
        with own_words(self.operation.name, "calls"):
            made = self.operation.calls(values, count, device.torch_device, None, seed)
        require_calls(made, count, self.operation, device.torch_device)
        return made

    def __len__(self) -> int:
        return len(self.calls)

    def take(self, calls: int, l2: L2 = "cold") -> list[tuple[Any, ...]]:
        """The arguments of the next `calls` calls; all on the first buffer where the L2 is to be hot."""
        return [made.arguments for made in self.next_calls(calls, l2)]

    def next_calls(self, calls: int, l2: L2 = "cold") -> list[Made]:
        """Those calls themselves."""
        return [self.calls[i] for i in ([0] * calls if l2 == "hot" else self._places(calls))]

    def take_passes(self, calls: int) -> list[tuple[Any, ...]]:
        """The views of one pass of the next `calls` calls, of an operation that has them."""
        return [(self.calls[i].one_pass,) for i in self._places(calls)]

    def _places(self, calls: int) -> list[int]:
        size, start = len(self.calls), self._next
        self._next = (start + calls) % size
        return [(start + i) % size for i in range(calls)]

    def refill(self, seed: int) -> None:
        """New values, back to the first buffer: a path that grows its input must not starve the others."""
        with own_words(self.operation.name, "refill"):
            self.operation.refill(self.calls, seed)
        self._next = 0


def in_mode(operation: Operation, key: Key) -> tuple[Call, bool]:
    """(the callable of `key`'s path in its mode, whether it works in place).

    torch.compile keeps its compiled code by the function's own code, looks through all of it at each call, and past a
    limit runs the function as it is: so each key compiles a function of its own, and no case pays for another's. Its
    code names this file: one without a source would be run through a function that all of them share.
    """
    found = path_of(operation, key.path)
    if key.mode != "compile":
        return found.call, found.in_place
    code = _compiled_path.__code__.replace(co_name="path_" + re.sub(r"\W", "_", key.name))
    function = FunctionType(code, {"call": found.call, "__builtins__": __builtins__})
    return torch.compile(function, dynamic=False), found.in_place


def _compiled_path(*arguments: Any) -> Any:
    """The code of what `in_mode` compiles; `call` is put among its globals."""
    return call(*arguments)  # type: ignore[name-defined]  # noqa: F821


def prepare_compiler(device: RecordDevice) -> None:
    """Set torch.compile up for this device; once, before the first compilation.

    A function that is compiled too often is an error, not silently run as it is. No processes that compile ahead are
    started: they load torch (and open the GPU) beside what is timed, longer than the few kernels of a path take. On a
    CPU the fused loop's own name goes into the profile, and the CPU's own flags are believed: the compiler need not be
    tried on each instruction set (20 s on two cores).
    """
    import torch._dynamo.config as dynamo
    import torch._inductor.config as inductor

    if hasattr(dynamo, "fail_on_recompile_limit_hit"):
        dynamo.fail_on_recompile_limit_hit = True
    os.environ.setdefault(WARM_POOL, "0")
    if device.kind == "cuda":
        if "TORCHINDUCTOR_COMPILE_THREADS" not in os.environ:
            inductor.compile_threads = 1
        return
    if compiler() is None:
        raise UnavailableError(
            "mode 'compile' on a CPU needs a C++ compiler and none was found; install g++ or set CXX"
        )
    inductor.cpp.enable_kernel_profile = True
    if hasattr(inductor.cpp, "vec_isa_ok") and inductor.cpp.vec_isa_ok is None:
        inductor.cpp.vec_isa_ok = True
    if hasattr(inductor, "cpp_cache_precompile_headers"):
        inductor.cpp_cache_precompile_headers = False


def warm_compiler(device: RecordDevice) -> None:
    """Compile a line: what the compiler does once in a process is then behind, before a path is first compiled."""
    prepare_compiler(device)
    torch.compile(_line, dynamic=False)(torch.ones(64, device=device.torch_device))


def _line(x: torch.Tensor) -> torch.Tensor:
    return x * 2 + 1


def trust_no_flags(device: RecordDevice) -> bool:
    """After a failed compilation on a CPU: try the compiler on each instruction set; True where that is new."""
    import torch._dynamo
    import torch._inductor.config as inductor

    if device.kind == "cuda" or not getattr(inductor.cpp, "vec_isa_ok", None):
        return False
    inductor.cpp.vec_isa_ok = None
    torch._dynamo.reset()
    return True


def eager_subject(key: Key, call: Call, ring: Ring) -> Subject:
    """Modes eager and compile: `call` on the next buffers of the ring, one after the other."""
    return Subject(key.name, over(call, partial(ring.take, l2=key.l2)))


def over(
    call: Call, take: Callable[[int], Sequence[tuple[Any, ...]]], keep: Callable[[Any], None] | None = None
) -> Callable[[int], Work]:
    """`work` of a subject: `call` on each of the arguments that `take` gives for so many calls.

    `keep` is given what each call returns; no call can tell such a loop, which is not timed, from one that is.
    """

    def work(calls: int) -> Work:
        batch = take(calls)

        if keep is None:

            def run() -> None:
                for arguments in batch:
                    call(*arguments)
        else:

            def run() -> None:
                for arguments in batch:
                    keep(call(*arguments))

        return run

    return work


def graph_subject(key: Key, call: Call, ring: Ring, device: RecordDevice) -> Subject:
    """Mode graph: replays of CUDA graphs that hold 28 calls on 28 buffers; cold by a flush ahead of each sample.

    A graph's addresses are fixed, so the ring cannot move on: the L2 is overwritten once per sample instead, outside
    the clock, and the replays of a sample are those of graphs on the ring's next buffers. Hot: 28 calls on one buffer,
    and no flush.
    """
    if key.l2 == "cold":
        return cold_graph(key.name, call, ring.take, len(ring), device)
    return Subject(key.name, replays(call, ring.take(GRAPH_CALLS, key.l2)), step=GRAPH_CALLS, takes_off=True)


def cold_graph(
    name: str, call: Call, take: Callable[[int], Sequence[tuple[Any, ...]]], buffers: int, device: RecordDevice
) -> Subject:
    """`call` on the next 28 of `buffers`, and as far as there are more on the next 28, in graphs of their own.

    A buffer is touched again in a sample only where the ring is so short that it has left the L2 by then.
    """
    first, *further = (take(GRAPH_CALLS) for _ in range(min(1 + COLD_STEPS, -(-buffers // GRAPH_CALLS))))
    work = replays(call, first, further)
    return Subject(name, work, step=GRAPH_CALLS, before=device.flush, one_step=True, takes_off=True)


def replays(
    call: Call, batch: Sequence[tuple[Any, ...]], further: Sequence[Sequence[tuple[Any, ...]]] = ()
) -> Callable[[int], Work]:
    """`work` of a subject whose step is `len(batch)`: replays of a CUDA graph of `call` on each of `batch`.

    `further`: batches of the steps after the first, in turn; their graphs share the memory of the first, which is
    captured last: what its calls return stays as it is until another is replayed.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for arguments in batch[:2]:
            call(*arguments)
    torch.cuda.current_stream().wait_stream(side)
    pool = torch.cuda.graph_pool_handle()
    graphs = []
    for each in (*further, batch):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            for arguments in each:
                call(*arguments)
        graphs.append(graph)
    in_turn = [graphs[-1], *graphs[:-1]]

    def work(calls: int) -> Work:
        count = max(1, calls // len(batch))

        def run() -> None:
            for number in range(count):
                in_turn[number % len(in_turn)].replay()

        return run

    return work
