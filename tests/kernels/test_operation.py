"""What an operation promises: found by its word, made of callables, refused in one sentence that names the field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as File

import pytest
import torch
from rope_prof.kernels.lookup import operation, required
from rope_prof.kernels.made import Made, made
from rope_prof.kernels.mrope.operation import MROPE
from rope_prof.kernels.operation import Axis, Output

from rope_prof.record.loop.plan import Options, plan

CPU = torch.device("cpu")
CASE = {"model": "28b", "tp": 2, "tokens": 7, "dtype": "bf16", "prompt": "image"}


def test_the_default_is_the_multimodal_rotary_embedding() -> None:
    found = operation("mrope")
    assert found is MROPE
    assert (found.paths[0], found.swept) == ("unfused", "tokens")
    assert [axis.name for axis in found.axes] == list(CASE)


def test_its_calls_are_views_of_one_packed_tensor_and_its_reference_goes_by_rows() -> None:
    calls = MROPE.calls(CASE, 3, CPU, None, seed=1)
    q, k, positions, _, shape = calls[0].arguments
    assert q.shape == (7, 10 * 128)
    assert k.dtype == torch.bfloat16
    assert positions.shape == (3, 7)
    assert calls[0].fresh_bytes == 7 * 12 * 128 * 2
    assert calls[0].one_pass is not None
    assert calls[0].one_pass.shape == (7, shape.heads * shape.head_dim)
    whole = MROPE.exact(CASE, calls[0], slice(None))
    part = MROPE.exact(CASE, calls[0], slice(2, 5))
    assert all(torch.equal(a[2:5], b) for a, b in zip(whole, part, strict=True))
    before = q.clone()
    MROPE.refill(calls, 2)
    assert not torch.equal(q, before)
    assert MROPE.calls(CASE, 1, CPU, torch.float32, seed=1)[0].arguments[0].dtype == torch.float32


@pytest.mark.parametrize("model", ["qwen2-vl-7b", "qwen3-vl-8b"])
def test_the_models_of_the_other_orders_are_cases_too(model: str) -> None:
    """Their chain against the float64 formula; the first fused design, which knows one order, says so ahead."""
    case = CASE | {"model": model}
    (call,) = MROPE.calls(case, 1, CPU, torch.float32, seed=1)
    out = MROPE.path("unfused").call(*call.arguments)
    for got, want in zip(out, MROPE.exact(case, call, slice(None)), strict=True):
        assert (got.double() - want).abs().max() < 1e-5
    assert MROPE.lacks(case, "fused") is None
    assert f"knows the order 'ernie' alone; {model} has" in str(MROPE.lacks(case, "per-token"))
    assert MROPE.lacks(CASE, "per-token") is None
    options = Options(values=(("model", (model,)), ("tokens", ("7",))), modes=("eager",))
    planned = {facts.key.path: (facts.status, facts.reason) for facts in plan(options, "cuda")}
    assert planned["unfused"] == planned["fused"] == ("pending", None)
    assert planned["per-token"] == ("unavailable", MROPE.lacks(case, "per-token"))


def test_its_check_names_what_does_not_go_together() -> None:
    with pytest.raises(ValueError, match="tp 8 does not divide"):
        MROPE.check(CASE | {"tp": 8})


@pytest.mark.parametrize(
    ("quick", "sweep", "kind", "tokens"),
    [(False, False, "cpu", (1, 64, 256)), (True, False, "cuda", (64, 973)), (False, True, "cuda", (1, 4, 16))],
)
def test_the_most_special_default_serves(quick: bool, sweep: bool, kind: str, tokens: tuple[int, ...]) -> None:
    axis = next(axis for axis in MROPE.axes if axis.name == "tokens")
    assert axis.usual(kind, quick=quick, sweep=sweep)[: len(tokens)] == tokens


def _add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x + y


def _added(x: torch.Tensor, y: torch.Tensor) -> None:
    x.add_(y)


def _adding() -> Made:
    inputs = (torch.arange(6.0).reshape(2, 3), torch.ones(3))
    return made({"chain": _add, "inside": _added}, inputs, name="add", in_place={"inside"}, written=(0,), shared=(1,))


def test_callables_and_their_arguments_make_an_operation() -> None:
    found = required(_adding(), "add")
    assert found.paths == ("chain", "inside")
    assert found.outputs == (Output(name="out"),)
    case = {"size": 6}
    one, two = found.calls(case, 2, CPU, None, seed=0)
    assert one.arguments[1] is two.arguments[1]
    assert one.arguments[0].data_ptr() != two.arguments[0].data_ptr()
    (exact,) = found.exact(case, one, slice(None))
    assert exact.dtype == torch.float64
    assert torch.equal(exact, torch.arange(6.0, dtype=torch.float64).reshape(2, 3) + 1)
    found.path("inside").call(*one.arguments)
    assert torch.equal(one.written[0].double(), exact)
    found.refill([one, two], 1)
    assert torch.equal(one.arguments[0], torch.arange(6.0).reshape(2, 3))
    assert found.calls(case, 1, CPU, torch.float16, 0)[0].arguments[0].dtype == torch.float16
    with pytest.raises(LookupError, match="unknown path 'fused'; expected 'chain', 'inside'"):
        found.path("fused")


@pytest.mark.parametrize(("dtype", "share"), [(torch.float32, 1.3e-6), (torch.bfloat16, 0.0)])
def test_a_baseline_that_is_held_against_itself_grants_sums_in_another_order(dtype: torch.dtype, share: float) -> None:
    def own(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == dtype
        return x.sum(-1)

    x = torch.ones(2, 3, dtype=dtype)
    assert [each.tolerance for each in made({"own": own}, [x], name="sum").outputs] == [share]
    assert [each.tolerance for each in made({"own": torch.abs}, [x], name="abs").outputs] == [0.0]


def test_a_baseline_that_cannot_work_in_float64_is_held_against_itself_and_a_reference_must() -> None:
    def half_only(x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float16, "half only"
        return x / 3

    given = (torch.ones(2, dtype=torch.float16),)
    found = made({"chain": half_only}, given, name="half")
    assert found.judge == "'chain' itself, which does not work in float64 (AssertionError: half only)"
    (exact,) = found.exact({"size": 2}, found.calls({"size": 2}, 1, CPU, None, 0)[0], slice(None))
    assert torch.equal(exact, half_only(*given).double())
    with pytest.raises(ValueError, match=r"reference: it fails on float64 arguments \(AssertionError: half only"):
        made({"chain": half_only}, given, name="half", reference=half_only)


def test_tensors_within_arguments_are_each_calls_own() -> None:
    inputs = ([torch.ones(2), torch.zeros(3)], {"scale": torch.full((2,), 3.0), "by": 2})
    found = made({"chain": lambda xs, more: xs[0] * more["scale"] * more["by"]}, inputs, name="nested")
    assert [each.name for each in found.arguments] == ["argument 0[0]", "argument 0[1]", "argument 1['scale']"]
    one, two = found.calls({"size": 2}, 2, CPU, None, 0)
    assert len(one.fresh) == 3
    assert one.arguments[0][0].data_ptr() != two.arguments[0][0].data_ptr()
    (exact,) = found.exact({"size": 2}, one, slice(None))
    assert exact.tolist() == [6, 6]


def test_whole_numbers_and_truths_are_exact_in_float64() -> None:
    found = made({"chain": lambda x: (x > 1, x.to(torch.int8))}, (torch.arange(3.0),), name="kinds")
    exact = found.exact({"size": 3}, found.calls({"size": 3}, 1, CPU, None, 0)[0], slice(None))
    assert [each.dtype for each in exact] == [torch.float64] * 2


def test_a_baseline_that_casts_is_its_own_reference_without_a_rounding() -> None:
    def chain(x: torch.Tensor) -> torch.Tensor:
        return (x.float() / 3).to(x.dtype)

    found = made({"chain": chain}, (torch.ones(2, dtype=torch.bfloat16),), name="third")
    assert found.judge == "'chain' in float64"
    (exact,) = found.exact({"size": 2}, found.calls({"size": 2}, 1, CPU, None, 0)[0], slice(None))
    assert torch.equal(exact, torch.full((2,), 1 / 3, dtype=torch.float64))


def test_cases_are_named_by_words_or_by_numbers() -> None:
    words = made({"chain": _add}, {"decode": (torch.ones(2),) * 2, "prefill": (torch.ones(9),) * 2}, name="add")
    assert [axis.name for axis in words.axes] == ["case", "size"]
    assert words.cases == ({"case": "decode", "size": 2}, {"case": "prefill", "size": 9})
    assert required(words, "add") is words
    with pytest.raises(ValueError, match=r"no arguments for .*'size': 9"):
        words.check({"case": "decode", "size": 9})
    tokens = made({"chain": _add}, {7: (torch.ones(3),) * 2, 8: (torch.zeros(3),) * 2}, name="add")
    assert tokens.cases == ({"size": 7}, {"size": 8})
    assert float(tokens.calls({"size": 8}, 1, CPU, None, 0)[0].arguments[0][0]) == 0


@pytest.mark.parametrize(
    "given",
    [
        torch.arange(24.0).reshape(4, 6)[:, :3],
        torch.arange(24.0).reshape(4, 6)[:, 1:3],
        torch.arange(24.0).reshape(4, 6).t(),
        torch.arange(3.0).expand(4, 3),
        torch.arange(9.0)[1:],
        torch.ones(0, 3),
    ],
)
def test_a_copy_lies_in_memory_as_what_it_copies(given: torch.Tensor) -> None:
    own = made({"chain": lambda x, _: x + 0}, (torch.ones(1), given), name="c").calls({"size": 1}, 2, CPU, None, 0)
    for call in own:
        copy = call.arguments[1]
        assert torch.equal(copy, given)
        assert copy.stride() == given.stride()
        assert copy.data_ptr() % 16 == given.data_ptr() % 16 or not given.numel()
    assert own[0].arguments[1].data_ptr() != own[1].arguments[1].data_ptr() or not given.numel()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"paths": {}}, "paths is empty"),
        ({"inputs": (1, 2)}, "inputs hold no tensor"),
        ({"in_place": {"other"}, "written": (0,)}, "in_place names 'other', which is no path"),
        ({"in_place": {"chain"}}, "written is empty"),
        ({"inputs": {}}, "inputs is empty"),
        ({"inputs": {7: (torch.ones(3),), "a": (torch.ones(3),)}}, r"inputs are named \[7, 'a'\]; expected words, or"),
        ({"outputs": (Output(name="x"), Output(name="y"))}, "outputs names 2 tensors and .* returns 1"),
        ({"reference": lambda x, _: [x, 3]}, "reference: it returns int; expected a tensor"),
        ({"reference": lambda x, _: [x, x]}, "reference: it returns 2 tensors and the baseline 'chain' 1"),
        ({"reference": lambda x, _: x[:2]}, r"output 0 has the shape \(2,\) and the baseline 'chain' gives \(3,\)"),
        ({"reference": lambda x, _: x.int()}, "output 0 is torch.int32 and the baseline 'chain' gives torch.float32"),
        ({"reference": lambda x, _: x + 0j}, "reference: it returns torch.complex128; expected real numbers"),
        ({"shared": (2,)}, "shared names argument 2; inputs have 2"),
        ({"shared": (0, 1)}, "shared names every tensor of inputs"),
        ({"in_place": {"chain"}, "written": (-1,)}, "written names argument -1"),
        ({"in_place": {"chain"}, "written": (1,), "inputs": (torch.ones(3), 1)}, "argument 1, which is int, no tensor"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
    ],
)
def test_what_does_not_make_an_operation_names_the_field(fields: dict[str, object], sentence: str) -> None:
    whole = {"paths": {"chain": _add}, "inputs": (torch.ones(3), torch.ones(3)), "name": "add"} | fields
    with pytest.raises(ValueError, match=sentence):
        made(**whole)  # type: ignore[arg-type]


TOKENS = Axis(name="tokens", defaults={"any": (1,)})


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"swept": "rows"}, "swept is 'rows', which names no axis; expected one of 'size'"),
        ({"axes": ()}, "swept is 'size', which names no axis; expected one of none"),
        ({"axes": (TOKENS, TOKENS)}, "axes has 'tokens' twice"),
        ({"axes": ("size",)}, "expected a tuple of Axis"),
        ({"axes": (replace(TOKENS, name="size", defaults={"cuda": (1,)}),)}, "has no defaults for a machine"),
        ({"axes": (replace(TOKENS, name="size", form="n", defaults={"any": (1, 2)}),)}, "expected text with one"),
        ({"axes": (replace(TOKENS, name="size", form="{x}"),)}, r"has the form '\{x\}'"),
        ({"axes": (replace(TOKENS, name="size", defaults={"any": ("a",)}),)}, "whose defaults are no whole numbers"),
        ({"axes": (replace(TOKENS, name="size", defaults={"any": (0.5,)}),)}, "has the value 0.5; expected words and"),
        ({"axes": (replace(TOKENS, name="size", least=0),)}, "has the number 0; expected at least 1"),
        ({"axes": (replace(TOKENS, name="size", defaults={"any": (-3,)}),)}, "has the number -3; expected at least 1"),
        ({"outputs": (Output(name=1),)}, "outputs has the name 1; expected a word"),  # type: ignore[arg-type]
        ({"outputs": (Output(name="y", tolerance=-1.0),)}, "outputs: .y. has the tolerance -1.0"),
        ({"outputs": ()}, "outputs is empty"),
        ({"paths": ()}, "the baseline first"),
        ({"paths": ("a", "a")}, "paths has 'a' twice"),
        ({"name": " "}, "name is ' '"),
    ],
)
def test_an_operation_that_lies_about_its_names_is_refused_by_the_field(
    fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(LookupError, match=f"operation 'mine': .*{sentence}"):
        required(replace(_adding(), **fields), "mine")  # type: ignore[arg-type]


def test_what_is_no_operation_names_what_it_lacks() -> None:
    with pytest.raises(LookupError, match="operation 'x' has no 'name'; expected name, axes"):
        required(object(), "x")


OWN = """
import torch
from rope_prof.kernels.made import made
DOUBLE = made({"chain": lambda x: x + x, "product": lambda x: 2 * x}, (torch.ones(4),), name="double")
"""


def test_an_operation_in_a_file_is_found_with_and_without_its_name(tmp_path: File) -> None:
    file = tmp_path / f"own_{tmp_path.name.replace('-', '_')}.py"
    file.write_text(OWN)
    assert operation(str(file)).name == "double"
    assert operation(f"{file}:DOUBLE") is operation(str(file))
    with pytest.raises(LookupError, match="has no 'TRIPLE'"):
        operation(f"{file}:TRIPLE")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("nothing", "unknown operation 'nothing'; expected 'mrope'"),
        ("nothing.py", "no file 'nothing.py'"),
        ("no_such_module:X", "cannot import 'no_such_module'"),
        ("json:nothing", "'json' has no 'nothing'"),
        ("json:decoder", "has no 'name'"),
    ],
)
def test_a_word_that_names_no_operation_says_what_to_do(word: str, sentence: str) -> None:
    with pytest.raises(LookupError, match=sentence):
        operation(word)
