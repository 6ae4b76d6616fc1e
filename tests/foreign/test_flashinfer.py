"""flashinfer-trace files as operations: what each field makes of the measurement, and one sentence where one is off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rope_prof.kernels.lookup import operation, required

from rope_prof.errors import UnavailableError, UsageError
from rope_prof.foreign.flashinfer import Defined, defined
from rope_prof.foreign.words import word
from tests.foreign.written import INTO, RETURNS, definition, put, solution, workload

CPU = torch.device("cpu")


def made(tmp_path: Path, *solutions: dict[str, Any], values: Any = None, **changes: Any) -> Defined:
    files = [str(put(tmp_path / f"s{i}.json", each)) for i, each in enumerate(solutions)]
    return defined(put(tmp_path / "d.json", definition(**changes)), files, None, values or {"batch_size": [3, 5]})


def test_a_definition_and_a_solution_are_an_operation(tmp_path: Path) -> None:
    found = made(tmp_path, solution())
    assert required(found, "it") is found
    assert (found.name, found.paths, found.swept) == ("rmsnorm_h64", ("reference", "by_torch"), "batch_size")
    assert found.axes[0].defaults["any"] == (3, 5)
    case = {"batch_size": 3}
    one, two = found.calls(case, 2, CPU, None, seed=1)
    assert [x.shape for x in one.arguments] == [(3, 64), (64,)]
    assert not torch.equal(one.arguments[0], two.arguments[0])
    again = found.calls(case, 1, CPU, None, seed=1)[0]
    assert torch.equal(one.arguments[0], again.arguments[0])
    (exact,) = found.exact(case, one, slice(None))
    x, weight = (each.double() for each in one.arguments)
    torch.testing.assert_close(exact, x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight)
    for name in found.paths:
        torch.testing.assert_close(found.path(name).call(*one.arguments).double(), exact, rtol=0.02, atol=0.02)
    assert found.moved_bytes(case, None) == 2 * (3 * 64 + 64 + 3 * 64)
    assert found.moved_bytes(case, "by_torch") is None
    assert found.calls(case, 1, CPU, torch.float32, 0)[0].arguments[0].dtype == torch.float32


@pytest.mark.parametrize("said", [True, None])
def test_a_solution_that_takes_its_outputs_gets_them(tmp_path: Path, said: bool | None) -> None:
    into = solution(INTO, name="into")
    into["spec"] |= {"destination_passing_style": said}
    found = made(tmp_path, into, solution())
    call = found.calls({"batch_size": 3}, 1, CPU, None, 0)[0]
    assert len(call.arguments) == 3
    assert call.written[0] is call.arguments[2]
    assert found.path("into").in_place
    assert found.path("into").call(*call.arguments) is None
    for name in ("reference", "by_torch"):
        assert not found.path(name).in_place
        torch.testing.assert_close(found.path(name).call(*call.arguments), call.written[0], rtol=0.02, atol=0.02)


def test_a_workload_file_gives_cases_and_inputs(tmp_path: Path) -> None:
    file = put(tmp_path / "w.jsonl", workload(7), workload(9))
    found = defined(put(tmp_path / "d.json", definition()), [], file)
    assert found.axes[0].defaults["any"] == found.axes[0].choices == (7, 9)
    assert found.calls({"batch_size": 9}, 1, CPU, None, 0)[0].arguments[0].shape == (9, 64)


def test_tied_axes_are_one_case_a_workload(tmp_path: Path) -> None:
    axes = {"batch_size": {"type": "var"}, "pages": {"type": "var"}, "hidden": {"type": "const", "value": 64}}
    inputs = definition()["inputs"] | {
        "table": {"shape": ["pages"], "dtype": "int32"},
        "eps": {"shape": None, "dtype": "float32"},
    }
    lines = [
        {
            "definition": "rmsnorm_h64",
            "workload": {
                "uuid": "u",
                "axes": {"batch_size": batch, "pages": pages},
                "inputs": {
                    "x": {"type": "random"},
                    "weight": {"type": "random"},
                    "table": {"type": "random"},
                    "eps": {"type": "scalar", "value": 0.5},
                },
            },
        }
        for batch, pages in ((2, 5), (4, 6))
    ]
    file = put(tmp_path / "w.jsonl", *lines)
    reference = "def run(x, weight, table, eps):\n    return x * eps"
    found = defined(put(tmp_path / "d.json", definition(axes=axes, inputs=inputs, reference=reference)), [], file)
    assert required(found, "it").axes[0].name == "workload"
    call = found.calls({"workload": 2}, 1, CPU, None, 0)[0]
    assert [getattr(x, "shape", x) for x in call.arguments] == [(4, 64), (64,), (6,), 0.5]
    assert torch.equal(found.exact({"workload": 2}, call, slice(None))[0], call.arguments[0].double() * 0.5)
    assert found.moved_bytes({"workload": 2}, None) is None


def test_a_stored_tensor_is_read_from_the_traces_root(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    (tmp_path / "blob").mkdir()
    stored = torch.arange(7 * 64, dtype=torch.bfloat16).reshape(7, 64)
    safetensors.save_file({"x": stored}, tmp_path / "blob/a.safetensors")
    line = workload(7)
    line["workload"]["inputs"]["x"] = {"type": "safetensors", "path": "blob/a.safetensors", "tensor_key": "x"}
    file = put(tmp_path / "workloads/norm/w.jsonl", line)
    found = defined(put(tmp_path / "d.json", definition()), [], file)
    assert torch.equal(found.calls({"batch_size": 7}, 1, CPU, None, 0)[0].arguments[0], stored)
    line["workload"]["inputs"]["x"]["path"] = "blob/b.safetensors"
    found = defined(put(tmp_path / "d.json", definition()), [], put(tmp_path / "workloads/norm/w.jsonl", line))
    with pytest.raises(UsageError, match=r"no file 'blob/b.safetensors' .*nothing is downloaded"):
        found.calls({"batch_size": 7}, 1, CPU, None, 0)


@pytest.mark.parametrize(
    ("stored", "sentence"),
    [
        (
            torch.zeros(6, 64, dtype=torch.bfloat16),
            r"tensor 'x' of 'a.safetensors' is \[6, 64\] of torch.bfloat16; exp",
        ),
        (torch.zeros(7, 64), r"of torch.float32; expected \[7, 64\] of torch.bfloat16"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a pointer of Git LFS; fetch its content"),
        (b"nothing", "'a.safetensors' is no file of safetensors"),
    ],
)
def test_a_stored_tensor_that_is_another_names_input_and_file(
    tmp_path: Path, stored: torch.Tensor | bytes, sentence: str
) -> None:
    safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
    data = stored if isinstance(stored, bytes) else safetensors.save({"x": stored})
    (tmp_path / "a.safetensors").write_bytes(data)
    line = workload(7)
    line["workload"]["inputs"]["x"] = {"type": "safetensors", "path": "a.safetensors", "tensor_key": "x"}
    found = defined(put(tmp_path / "d.json", definition()), [], put(tmp_path / "w.jsonl", line))
    with pytest.raises(UsageError, match=sentence):
        found.calls({"batch_size": 7}, 1, CPU, None, 0)


def test_random_inputs_are_drawn_as_flashinfer_bench_draws_them(tmp_path: Path) -> None:
    """Probabilities of a sampling operation add up to 1; whole numbers, 8 bits of a float and a number are bounded."""
    inputs = {
        "probs": SHAPED | {"dtype": "float32"},
        "ids": SHAPED | {"dtype": "int32"},
        "bytes": SHAPED | {"dtype": "float8_e4m3fn"},
        "k": {"shape": None, "dtype": "int32"},
    }
    code = "def run(probs, ids, bytes, k):\n    return probs * 2"
    changes = {"op_type": "sampling", "inputs": inputs, "outputs": {"y": SHAPED | {"dtype": "float32"}}}
    line = workload(7)
    line["workload"]["inputs"] = {name: {"type": "random"} for name in inputs}
    file = put(tmp_path / "d.json", definition(reference=code, **changes))
    found = defined(file, [], put(tmp_path / "w.jsonl", line))
    probs, ids, small, k = found.calls({"batch_size": 7}, 1, CPU, None, 0)[0].arguments
    torch.testing.assert_close(probs.sum(-1), torch.ones(7))
    assert -1024 <= ids.min() < 0 < ids.max() < 1024
    assert small.float().abs().max() == 2
    assert isinstance(k, int) and -1024 <= k < 1024


def test_outputs_may_come_as_a_dict_of_their_names(tmp_path: Path) -> None:
    """As flashinfer-bench takes them, of the reference and of a solution; the order is the definition's."""
    outputs = {name: SHAPED | {"dtype": "bfloat16"} for name in ("y", "z")}
    code = "def run(x, weight):\n    return {'z': x * 2, 'y': x * 3}"
    file = put(tmp_path / "d.json", definition(reference=code, outputs=outputs))
    found = defined(file, [str(put(tmp_path / "s.json", solution(code)))], None, {"batch_size": [2]})
    call = found.calls({"batch_size": 2}, 1, CPU, None, 0)[0]
    x = call.arguments[0]
    for name in found.paths:
        y, z = found.path(name).call(*call.arguments)
        assert torch.equal(y, x * 3) and torch.equal(z, x * 2)
    assert [each.dtype for each in found.exact({"batch_size": 2}, call, slice(None))] == [torch.float64] * 2


def test_indices_that_a_reference_returns_are_exact_as_they_are(tmp_path: Path) -> None:
    outputs = {"y": {"shape": ["batch_size"], "dtype": "int32"}}
    code = "import torch\ndef run(x, weight):\n    return x.argmax(-1).to(torch.int32)"
    found = defined(
        put(tmp_path / "d.json", definition(reference=code, outputs=outputs)), [], None, {"batch_size": [2]}
    )
    call = found.calls({"batch_size": 2}, 1, CPU, None, 0)[0]
    (exact,) = found.exact({"batch_size": 2}, call, slice(None))
    assert exact.tolist() == call.arguments[0].argmax(-1).tolist()
    assert exact.dtype == torch.float64


def test_the_word_finds_it_again(tmp_path: Path) -> None:
    fields = [
        ("definition", str(put(tmp_path / "d.json", definition()))),
        ("solution", str(put(tmp_path / "s.json", solution()))),
        ("batch_size", "4,8"),
    ]
    found = operation(word("rope_prof.foreign.flashinfer", fields))
    assert found.paths == ("reference", "by_torch")
    assert found.axes[0].defaults["any"] == (4, 8)
    with pytest.raises(LookupError, match="has no 'definition'"):
        operation("rope_prof.foreign.flashinfer:solution=s.json;")


def test_a_word_holds_any_path(tmp_path: Path) -> None:
    """Signs that part a word are as good in the name of a folder as any other."""
    folder = tmp_path / "a;b:c%3B=d"
    file = put(folder / "d.json", definition())
    (folder / "mine.py").write_text(RETURNS)
    fields = [("definition", str(file)), ("solution", f"{folder / 'mine.py'}::run"), ("batch_size", "4")]
    found = operation(word("rope_prof.foreign.flashinfer", fields))
    assert found.paths == ("reference", "mine-run")


def test_a_function_of_a_file_is_a_solution_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(RETURNS)
    found = defined(put(tmp_path / "d.json", definition()), [f"{tmp_path / 'mine.py'}::run"], None, {"batch_size": [2]})
    assert found.paths == ("reference", "mine-run")


def test_outputs_come_behind_the_inputs_where_a_solution_says_nothing(tmp_path: Path) -> None:
    """The schema's default; a function of the inputs alone, as older files have it, returns them."""
    said = solution()["spec"]
    silent = {name: value for name, value in said.items() if name != "destination_passing_style"}
    for code, into in (("def run(*tensors):\n    tensors[-1].copy_(tensors[0])\n", True), (RETURNS, False)):
        file = put(tmp_path / f"{into}.json", solution(code, spec=silent))
        found = defined(put(tmp_path / "d.json", definition()), [str(file)], None, {"batch_size": [2]})
        assert found.path("by_torch").in_place is into
        assert found.prepared is into


def test_constraints_between_axes_hold_for_every_case(tmp_path: Path) -> None:
    axes = definition()["axes"] | {"rows": {"type": "var"}}
    said = definition(axes=axes, constraints=["rows == batch_size + 1", "rows == x.sum().item()"])
    found = defined(put(tmp_path / "d.json", said), [], None, {"batch_size": [4], "rows": [5, 6]})
    found.check({"batch_size": 4, "rows": 5})
    with pytest.raises(ValueError, match=r"'rows == batch_size \+ 1' does not hold for batch_size=4, rows=6"):
        found.check({"batch_size": 4, "rows": 6})


AXES = definition()["axes"]
SHAPED = {"shape": ["batch_size", "hidden"], "dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"solver": "x"}, "definition 'd.json': object contains unknown field `solver`"),
        ({"custom_inputs_entrypoint": "make"}, "object contains unknown field `custom_inputs_entrypoint`"),
        ({"constraints": ["rows =="]}, r"constraints has 'rows ==' \(invalid syntax\); expected a formula"),
        (
            {"axes": {"hidden": {"type": "const", "value": 64}}},
            "'x' has the axis 'batch_size', which axes does not name",
        ),
        ({"axes": AXES | {"hidden": {"type": "const"}}}, "axis 'hidden' is of type 'const' with value None"),
        ({"axes": AXES | {"hidden": {"type": "var"}}}, "leaves the axis 'hidden' open; .*--set hidden=1,64"),
        ({"outputs": {"y": SHAPED | {"dtype": "bf16"}}}, "outputs 'y' is of dtype 'bf16'"),
        ({"outputs": {}}, "outputs is empty"),
        ({"reference": "def go(): pass"}, "has no function 'run'; it has go"),
        ({"reference": "def run(:"}, "'reference.py' fails to import .SyntaxError"),
    ],
)
def test_a_definition_that_is_off_names_the_field(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        made(tmp_path, **changes)


SPEC = solution()["spec"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"definition": "gemm"}, "solves definition 'gemm'; expected one of 'rmsnorm_h64'"),
        ({"spec": SPEC | {"language": "cuda"}}, "spec.language is 'cuda', which must be built"),
        ({"spec": SPEC | {"entry_point": "run"}}, "spec.entry_point is 'run'; expected 'FILE.py::function'"),
        ({"spec": SPEC | {"tuned": 1}}, r"unknown field `tuned` - at `\$.spec`"),
        ({"sources": [{"path": "../main.py", "content": ""}]}, "spec.entry_point"),
        ({"sources": [{"path": "main.py", "content": ""}, {"path": "../a.py", "content": ""}]}, "'../a.py' leaves"),
        ({"sources": [{"path": "main.py", "content": "import no_such"}]}, "fails to import .ModuleNotFoundError"),
        ({"name": "reference"}, "is called 'reference'"),
        ({"sources": 2 * [{"path": "main.py", "content": "1"}]}, "two sources are called 'main.py'"),
    ],
)
def test_a_solution_that_is_off_names_the_field(tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        made(tmp_path, solution(**changes))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (workload(7, definition="gemm"), "line 2 of 'w.jsonl' is of definition 'gemm'"),
        (workload(7, solved=1), "workload line 2 of 'w.jsonl': object contains unknown field `solved`"),
        (
            workload(7, workload={"axes": {"batch_size": 7, "tokens": 1}, "inputs": {}}),
            "line 2 of 'w.jsonl' names the axis 'tokens', which definition 'rmsnorm_h64' does not have; it has",
        ),
        (
            workload(7, workload={"axes": {"batch_size": 7}, "inputs": {"w": {"type": "random"}}}),
            "names the input 'w', which definition 'rmsnorm_h64' does not have; it has 'x', 'weight'",
        ),
        (workload(7, workload={"axes": {}, "inputs": {}}), "line 2 of 'w.jsonl' gives no value for axis 'batch_size'"),
    ],
)
def test_a_workload_that_is_off_names_line_and_field(tmp_path: Path, line: dict[str, Any], sentence: str) -> None:
    file = put(tmp_path / "w.jsonl", workload(3), line)
    with pytest.raises(UsageError, match=sentence):
        defined(put(tmp_path / "d.json", definition()), [], file)


@pytest.mark.parametrize("data", [b'{"name": "\xe9"}', b'{"x":' + b"[" * 100_000])
def test_a_file_that_is_no_text_of_json_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "d.json").write_bytes(data)
    with pytest.raises(UsageError, match=r"definition 'd.json': "):
        defined(tmp_path / "d.json", [], None)


def test_an_error_is_one_line_whatever_it_quotes(tmp_path: Path) -> None:
    sources = [{"path": "a\nb\x1b[31m.py", "content": ""}]
    with pytest.raises(UsageError, match="the file among its sources: a b\ufffd"):
        made(tmp_path, solution(sources=sources))


def test_what_does_not_go_together_names_the_field(tmp_path: Path) -> None:
    file = put(tmp_path / "d.json", definition())
    with pytest.raises(UsageError, match="has no open axis 'tokens'; it has 'batch_size'"):
        defined(file, [], None, {"tokens": [1]})
    with pytest.raises(UsageError, match="--workload gives the values of 'batch_size' already"):
        defined(file, [], put(tmp_path / "w.jsonl", workload()), {"batch_size": [1]})
    with pytest.raises(UsageError, match="no such file"):
        defined(tmp_path / "none.json")
    with pytest.raises(UsageError, match="two solutions are called 'by_torch'"):
        made(tmp_path, solution(), solution())
    whole = made(tmp_path, inputs={"x": SHAPED | {"dtype": "int32"}})
    with pytest.raises(UsageError, match="input 'x' is of dtype 'int32': made-up whole numbers"):
        whole.calls({"batch_size": 3}, 1, CPU, None, 0)
    tiny = made(tmp_path, inputs={"x": SHAPED | {"dtype": "float4_e2m1"}})
    with pytest.raises(UnavailableError, match="'x' is of dtype 'float4_e2m1'"):
        tiny.calls({"batch_size": 3}, 1, CPU, None, 0)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [("x[:1]", r"gives \[1, 64\] for 'y'; outputs says \[3, 64\]"), ("x, x", "returns 2 values; outputs names 1")],
)
def test_a_reference_of_another_shape_is_told(tmp_path: Path, body: str, sentence: str) -> None:
    found = made(tmp_path, reference=f"def run(x, weight):\n    return {body}")
    call = found.calls({"batch_size": 3}, 1, CPU, None, 0)[0]
    with pytest.raises(ValueError, match=sentence):
        found.exact({"batch_size": 3}, call, slice(None))
