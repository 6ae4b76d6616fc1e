"""Paths in their modes: each key has compiled code of its own, and none falls back to eager unseen."""

from __future__ import annotations

import inspect

import pytest
import torch
from rope_prof.kernels.mrope.operation import MROPE

from rope_prof.model.run import Case
from rope_prof.record.bench import subjects
from rope_prof.record.bench.subjects import in_mode, prepare_compiler
from rope_prof.record.device.devices import CpuDevice
from tests.runs import CASE, key


def cases(count: int) -> list[Case]:
    return [CASE.but(tokens=n + 1, dtype="fp32", prompt="text") for n in range(count)]


def test_more_keys_than_the_compilers_limit_are_all_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._dynamo as dynamo

    compiled: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        compiled.append(graph)
        return graph.forward

    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **rest: plain(function, backend=backend, **rest))
    dynamo.reset()
    count, codes = dynamo.config.recompile_limit + 3, set()
    for case in cases(count):
        (made,) = MROPE.calls(dict(case.values), 1, torch.device("cpu"), None, seed=0)
        call, _ = in_mode(MROPE, key("unfused", mode="compile", case=case))
        call(*made.arguments)
        codes.add(call._torchdynamo_orig_callable.__code__)  # type: ignore[attr-defined]
    assert len(compiled) == count
    assert {inspect.getsourcefile(code) for code in codes} == {subjects.__file__}
    assert len({code.co_name for code in codes}) == count


def test_a_function_compiled_too_often_is_an_error() -> None:
    import torch._dynamo as dynamo

    dynamo.reset()
    prepare_compiler(CpuDevice())
    scaled = torch.compile(lambda x, by: x * by, backend="eager", dynamic=False)
    with pytest.raises(Exception, match="recompile"):
        for n in range(dynamo.config.recompile_limit + 3):
            scaled(torch.ones(n + 2), 2.0)
