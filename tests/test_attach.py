"""Ranges around somebody else's calls: nothing changes but the ranges, and afterwards nothing at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch

from rope_prof.attach import attach
from rope_prof.errors import UsageError
from rope_prof.io.trace.read import read_trace
from tests.own_thread import in_own_thread


class ServedRotary(torch.nn.Module):
    """As servers have it: one module, shared by all layers, that dispatches to a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._forward_method = self.forward_native

    def forward(
        self,
        positions: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor | None = None,
        offsets: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self._forward_method(positions, query, key, offsets)

    def forward_native(
        self, positions: torch.Tensor, query: torch.Tensor, key: torch.Tensor | None, _: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        if (positions < 0).any():
            raise ValueError("a negative position")
        return query * 2, None if key is None else key * 3


class ServedLayer(torch.nn.Module):
    def __init__(self, rotary: ServedRotary) -> None:
        super().__init__()
        self.rotary_emb = rotary

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key = self.rotary_emb(torch.arange(len(x)), x, x)
        return query + key


def served(layers: int = 3) -> torch.nn.Sequential:
    rotary = ServedRotary()
    return torch.nn.Sequential(*(ServedLayer(rotary) for _ in range(layers)))


def ranges(tmp_path: Path, work: object) -> pl.DataFrame:
    """The record_function ranges that the profiler sees of `work()`."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        work()  # type: ignore[operator]
    path = tmp_path / "trace.json"
    profiler.export_chrome_trace(str(path))
    return read_trace(path).ranges.sort("start_ns")


def test_a_servers_rope_runs_in_ranges_and_gives_the_same(tmp_path: Path) -> None:
    model, x = served(), torch.ones(4)
    before = model(x)
    with attach(model, path="unfused", match="*.rotary_emb") as attached:
        found = ranges(tmp_path, lambda: torch.testing.assert_close(model(x), before, rtol=0, atol=0))
    assert found["name"].to_list() == ["unfused#0", "unfused#1", "unfused#2"]
    assert attached.calls == 3
    assert torch.equal(model(x), before)
    assert attached.calls == 3, "ranges are off"


def test_the_trace_analyzes_by_the_ranges(tmp_path: Path) -> None:
    from rope_prof.analysis.trace.calls import as_cpu, call_frame

    model, x = served(), torch.ones(4)
    path = tmp_path / "trace.json"
    with attach(model, path="unfused", match="*.rotary_emb"):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            model(x)
        profiler.export_chrome_trace(str(path))
    frame = call_frame(as_cpu(read_trace(path)), r"unfused#\d+")
    assert frame.height == 3
    assert (frame["kernels"] > 0).all()
    assert json.loads(path.read_text())["traceEvents"]


def test_an_error_passes_through_and_the_ranges_go(tmp_path: Path) -> None:
    rotary = ServedRotary()
    with pytest.raises(ValueError, match="a negative position"), attach(rotary):
        rotary(torch.tensor([-1]), torch.ones(1), torch.ones(1))
    assert "forward" not in vars(rotary)
    assert ranges(tmp_path, lambda: rotary(torch.arange(1), torch.ones(1))).height == 0


def test_a_modules_own_forward_comes_back() -> None:
    rotary = ServedRotary()
    own = lambda *_: (None, None)  # noqa: E731
    rotary.forward = own  # type: ignore[method-assign,assignment]
    with attach(rotary) as attached:
        rotary(torch.arange(1), torch.ones(1))
    assert attached.calls == 1
    assert rotary.forward is own


def test_a_callable_is_handed_back_in_ranges(tmp_path: Path) -> None:
    def double(x: int) -> int:
        """Twice."""
        return 2 * x

    with attach(double, path="double") as attached:
        found = ranges(tmp_path, lambda: [attached.call(1), attached.call(2)])
        assert attached.call(4) == 8
        assert attached.call.__doc__ == "Twice."
    assert found["name"].to_list() == ["double#0", "double#1"]


@pytest.fixture
def server_code() -> Iterator[types.ModuleType]:
    module = types.ModuleType("served_rope_code")
    exec(
        "def rope(x):\n    return x + 1\n"
        "class Rotary:\n"
        "    def forward(self, x):\n        return x + 2\n"
        "    @staticmethod\n    def apply(x):\n        return x + 3\n"
        "    @classmethod\n    def make(cls):\n        return cls\n"
        "class Child(Rotary):\n    pass\n",
        vars(module),
    )
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("name", "use", "expected"),
    [
        ("rope", lambda m: m.rope(1), 2),
        ("Rotary.forward", lambda m: m.Rotary().forward(1), 3),
        ("Rotary.apply", lambda m: m.Rotary().apply(1), 4),
        ("Child.forward", lambda m: m.Child().forward(1), 3),
    ],
)
def test_a_name_is_replaced_where_it_is_looked_up(
    server_code: types.ModuleType,
    name: str,
    use: object,
    expected: int,
) -> None:
    owners = [server_code, server_code.Rotary, server_code.Child]
    before = [dict(vars(owner)) for owner in owners]
    with attach(f"served_rope_code:{name}") as attached:
        assert use(server_code) == expected  # type: ignore[operator]
    assert attached.calls == 1
    assert use(server_code) == expected  # type: ignore[operator]
    assert attached.calls == 1
    assert [dict(vars(owner)) for owner in owners] == before


def test_a_class_method_keeps_its_class(server_code: types.ModuleType) -> None:
    with attach("served_rope_code:Rotary.make"):
        assert server_code.Child.make() is server_code.Child


def test_left_open_the_ranges_stay_on() -> None:
    """As in a server's worker: nobody holds the context manager."""
    rotary = ServedRotary()
    attach(rotary).__enter__()
    import gc

    gc.collect()
    assert "forward" in vars(rotary)


def test_entered_twice_is_an_error() -> None:
    attached = attach(ServedRotary())
    with attached, pytest.raises(UsageError, match="on already"):
        attached.__enter__()
    with attached:
        pass


@pytest.mark.parametrize(
    ("target", "named", "words"),
    [
        (ServedRotary(), {"path": ""}, "expected a name without '#'"),
        (ServedRotary(), {"path": "a#b"}, "expected a name without '#'"),
        (ServedRotary(), {"match": "*.none"}, "no module of ServedRotary matches"),
        (print, {"match": "*"}, "needs a module of torch"),
        (3, {}, "cannot attach to int"),
        ("math", {}, "expected 'package.module:function'"),
        ("no_such_package:f", {}, "cannot import 'no_such_package'"),
        ("math:Nothing.forward", {}, "has no callable 'Nothing.forward'"),
        ("math:pi", {}, "has no callable 'pi'"),
    ],
)
def test_nothing_to_attach_to_is_one_sentence(target: object, named: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("*", r"\*").replace(".", r"\.")) as caught:
        attach(target, **named)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


SERVE = """
import multiprocessing
from rope_prof.attach import attach

attached = attach("served_rope:Rotary.forward", path="served")
attached.__enter__()

def scheduler(results):
    from served_rope import Rotary
    results.put((Rotary().forward(20), attached.calls))

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    worker = context.Process(target=scheduler, args=(results,))
    worker.start()
    print(*results.get(timeout=60), attached.calls)
    worker.join()
"""


def test_attached_at_the_top_of_the_main_file_it_reaches_a_spawned_worker(repository: Path, tmp_path: Path) -> None:
    """As SGLang starts its scheduler."""
    (tmp_path / "served_rope.py").write_text("class Rotary:\n    def forward(self, x):\n        return x + 1\n")
    (tmp_path / "serve.py").write_text(SERVE)
    done = subprocess.run(
        [sys.executable, "serve.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.split() == ["21", "1", "0"], done.stderr


def test_importing_it_is_light(repository: Path) -> None:
    code = "import sys, rope_prof.attach; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_package_has_it_under_its_own_name_without_loading_it() -> None:
    code = "import rope_prof, sys; assert 'torch' not in sys.modules; " + (
        "ranged = rope_prof.attach(sorted, path='mine'); print(ranged.path, callable(rope_prof.attach.attach))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mine", "True"]


def test_compiled_code_is_left_alone() -> None:
    rotary = torch.nn.Linear(4, 4)
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    x = torch.ones(2, 4)
    bare = rotary(x)
    with attach(rotary) as attached:
        compiled = torch.compile(lambda x: rotary(x) + 1, backend=backend, fullgraph=True)
        for _ in range(12):
            torch.testing.assert_close(compiled(x), bare + 1)
        assert len(graphs) == 1, "one graph, compiled once"
        assert attached.calls == 0
        rotary(x)
        assert attached.calls == 1


def test_a_generator_and_a_coroutine_run_in_ranges_step_by_step(tmp_path: Path) -> None:
    import asyncio

    seen: list[object] = []

    def steps(n: int) -> Iterator[int]:
        try:
            for number in range(n):
                seen.append((yield number))  # noqa: PERF401
        except KeyError as error:
            seen.append(error.args[0])
            yield 99
        finally:
            seen.append("closed")

    async def served(n: int) -> int:
        for _ in range(n):
            await asyncio.sleep(0)
        if n == 3:
            raise ValueError("three")
        return n * 2

    with attach(steps, path="steps") as attached, attach(served, path="served") as other:

        def work() -> None:
            first, second = attached.call(3), attached.call(2)  # they take turns and end in another order
            assert [next(first), next(second), first.send("in"), next(second)] == [0, 0, 1, 1]
            assert first.throw(KeyError("out")) == 99
            second.close()
            first.close()

            async def both() -> list[object]:
                return await asyncio.gather(other.call(1), other.call(2), other.call(3), return_exceptions=True)

            found = asyncio.run(both())
            assert found[:2] == [2, 4]
            assert str(found[2]) == "three"

        names = in_own_thread(lambda: ranges(tmp_path, work))["name"].to_list()
    assert seen == ["in", None, "out", "closed", "closed"]
    assert [name for name in names if name.startswith("steps#")] == [f"steps#{k}" for k in range(5)]
    assert [name for name in names if name.startswith("served#")] == [f"served#{k}" for k in range(9)]


def test_recursion_threads_and_leaving_out_of_order_keep_ranges_and_results(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    module = types.ModuleType("served_recursion")
    exec("def down(n):\n    return 0 if n == 0 else 1 + down(n - 1)\n", vars(module))
    sys.modules[module.__name__] = module
    first, second = attach("served_recursion:down", path="a"), attach("served_recursion:down", path="b")
    bare = module.down
    try:
        first.__enter__()
        second.__enter__()
        found = ranges(tmp_path, lambda: module.down(3))
        assert sorted(found["name"].to_list()) == sorted([f"{p}#{k}" for p in "ab" for k in range(4)])
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(module.down, [5] * 40)) == [5] * 40
        second.__exit__(None, None, None)
        first.__exit__(None, None, None)
        assert module.down is bare
    finally:
        del sys.modules[module.__name__]


def test_calls_in_threads_that_the_profiler_does_not_see_are_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from threading import Thread

    def work() -> None:
        for name in ("first", "second"):
            thread = Thread(target=ranged.call, args=(torch.ones(2),), name=name)
            thread.start()
            thread.join()

    with attach(torch.neg, path="served") as ranged:
        work()
        assert (ranged.calls, ranged.unseen, caplog.messages) == (2, 0, [])
        found = ranges(tmp_path, lambda: (ranged.call(torch.ones(2)), work()))
        assert found["name"].to_list() == ["served#2"], "the one of the thread that started it"
        assert (ranged.calls, ranged.unseen) == (5, 2)
        (said,) = caplog.messages
        assert "'served': a call in thread 'first', where torch.profiler is not on" in said


def test_the_names_that_nvtx_keeps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import nvtx

    import rope_prof.attach as ours

    kept: list[tuple[str, int]] = []
    real = nvtx.annotate

    def annotate(message: str, domain: str, payload: int) -> object:
        kept.append((message, payload))
        return real(message=message, domain=domain, payload=payload)

    monkeypatch.setattr(nvtx, "annotate", annotate)
    monkeypatch.setattr(sys.modules[ours.__name__], "_NVTX_NAMES", 4)
    with attach(abs, path="x") as attached:
        for number in range(10):
            attached.call(number)
    assert {name for name, _ in kept} == {f"x#{k}" for k in range(4)}
    assert [payload for _, payload in kept] == list(range(10))


def test_hooks_run_outside_of_the_range_and_keep_their_order(tmp_path: Path) -> None:
    rotary, order = torch.nn.Linear(2, 2), []
    with torch.no_grad():
        rotary.register_forward_pre_hook(lambda *_: order.append("before"))
        rotary.register_forward_hook(lambda *_: order.append("after"))
        with attach(rotary, path="hooked") as attached:
            names = ranges(tmp_path, lambda: rotary(torch.ones(1, 2)))["name"].to_list()
    assert order == ["before", "after"]
    assert names == ["hooked#0"]
    assert attached.calls == 1
    assert "forward" not in vars(rotary)


def test_a_fork_inside_a_range_leaves_both_processes_right() -> None:
    code = (
        "import os\n"
        "from rope_prof.attach import attach\n"
        "def forks():\n"
        "    child = os.fork()\n"
        "    return child or 'child'\n"
        "with attach(forks, path='forked') as attached:\n"
        "    found = attached.call()\n"
        "    if found == 'child':\n"
        "        os._exit(7 if attached.call is not None and attached.calls == 1 else 1)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(found, 0)[1]), attached.calls)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["7", "1"], done.stderr


def test_left_out_of_order_nothing_stays_and_the_other_keeps_its_ranges() -> None:
    layer = ServedLayer(ServedRotary())
    first, second = attach(layer, path="first"), attach(layer, path="second")
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    layer(torch.ones(2))

    assert (first.calls, second.calls) == (0, 1)
    with first:
        layer(torch.ones(2))
        assert (first.calls, second.calls) == (1, 2)
    second.__exit__(None, None, None)
    assert "forward" not in vars(layer)
