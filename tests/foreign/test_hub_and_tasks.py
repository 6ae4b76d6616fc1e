"""Kernels in the hub's layout and KernelBench tasks, from files on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rope_prof.kernels.lookup import operation, required

from rope_prof.errors import UsageError
from rope_prof.foreign.flashinfer import defined
from rope_prof.foreign.hub import BuildTarget, fitting, kernel, this_machine
from rope_prof.foreign.kernelbench import task
from rope_prof.foreign.words import word
from tests.foreign.written import RETURNS, definition, put

CPU = torch.device("cpu")


def put_kernel(folder: Path, code: str = RETURNS) -> Path:
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("from .inner import run\n")
    (folder / "inner.py").write_text(code)
    return folder


@pytest.mark.parametrize("build", ["torch-universal", "torch-universal/norm", "torch-cpu", ""])
def test_the_build_that_fits_is_found_in_old_and_new_layouts(tmp_path: Path, build: str) -> None:
    put_kernel(tmp_path / "norm/build" / build if build else tmp_path / "norm/torch-ext/norm")
    x = torch.randn(2, 8)
    found = kernel(tmp_path / "norm").run(x, torch.ones(8))
    assert torch.equal(found, torch.nn.functional.rms_norm(x, (8,), torch.ones(8), 1e-6))


def test_the_closest_build_goes_first(tmp_path: Path) -> None:
    closest = this_machine().words
    assert closest.startswith("torch")
    put_kernel(tmp_path / "k/build/torch-universal/k", "def run():\n    return 'universal'\n")
    put_kernel(tmp_path / "k/build" / closest / "k", "def run():\n    return 'closest'\n")
    assert kernel(tmp_path / "k").run() == "closest"


def test_a_folder_of_the_cache_is_a_kernel_though_its_files_are_links_to_blobs(tmp_path: Path) -> None:
    cache = tmp_path / "kernels--org--norm"
    for revision in ("aaa", "bbb"):
        put_kernel(tmp_path / revision, f"def run():\n    return {revision!r}\n")
        build = cache / "snapshots" / revision / "build/torch-universal"
        build.mkdir(parents=True)
        (cache / "blobs").mkdir(exist_ok=True)
        for file in ("__init__.py", "inner.py"):
            blob = cache / "blobs" / f"{revision}{file[0]}"
            blob.write_text((tmp_path / revision / file).read_text())
            (build / file).symlink_to(blob)
    with pytest.raises(UsageError, match=r"holds 2 revisions; name one: .*snapshots/aaa"):
        kernel(cache)
    (cache / "refs").mkdir()
    (cache / "refs/main").write_text("bbb")
    assert kernel(cache).run() == "bbb"


BUILDS = (
    "torch210-cxx11-cu128-x86_64-linux",
    "torch210-cxx11-cu126-x86_64-linux",
    "torch210-cxx11-cu130-x86_64-linux",
    "torch210-cxx11-rocm70-x86_64-linux",
    "torch210-cxx11-cpu-x86_64-linux",
    "torch210-cpu-aarch64-darwin",
    "torch-cuda",
    "torch-cpu",
)
HERE = BuildTarget(torch=(2, 10), cxx11=True, backend=("cu", "cuda"), release=(12, 8), cpu="x86_64", system="linux")


@pytest.mark.parametrize(
    ("builds", "machine", "first"),
    [
        (BUILDS, HERE, BUILDS[0]),
        (BUILDS, replace(HERE, release=(12, 9)), BUILDS[0]),  # the newest that is no newer
        (BUILDS, replace(HERE, release=(12, 5)), "torch-cuda"),
        (BUILDS, replace(HERE, release=(11, 8)), "torch-cuda"),
        (BUILDS, replace(HERE, release=(13, 0)), BUILDS[2]),
        (BUILDS, replace(HERE, backend=("rocm", "rocm"), release=(7, 0)), BUILDS[3]),
        (BUILDS, replace(HERE, backend=("rocm", "rocm"), release=(7, 1)), None),
        (BUILDS, replace(HERE, backend=("cpu", "cpu"), release=()), BUILDS[4]),
        (
            BUILDS,
            replace(HERE, backend=("cpu", "cpu"), release=(), cpu="aarch64", system="darwin", cxx11=None),
            BUILDS[5],
        ),
        (BUILDS, replace(HERE, cpu="aarch64"), "torch-cuda"),
        (BUILDS, replace(HERE, torch=(2, 9)), "torch-cuda"),
        (BUILDS, replace(HERE, cxx11=False), "torch-cuda"),
        (("torch-universal", "torch-cuda"), HERE, "torch-cuda"),
        (("torch-universal", "torch-cuda"), replace(HERE, backend=("rocm", "rocm"), release=(7, 0)), "torch-universal"),
        ((*BUILDS, "torch210-cu126-x86_64-linux"), HERE, "torch210-cu126-x86_64-linux"),  # without a tag first
        (
            (*BUILDS, "torch-stable-abi29-cu126-x86_64-linux", "torch-stable-abi211-cu126-x86_64-linux"),
            HERE,
            "torch-stable-abi29-cu126-x86_64-linux",
        ),
        (("tvm-ffi01-cu128-x86_64-linux", "torch-cuda"), HERE, "torch-cuda"),
        (
            ("tvm-ffi01-cu128-x86_64-linux", "torch-cuda"),
            replace(HERE, tvm_ffi=(0, 1)),
            "tvm-ffi01-cu128-x86_64-linux",
        ),
        (("latest", "torch", "__pycache__", "torch2-cu128"), HERE, None),
    ],
)
def test_builds_are_chosen_as_the_library_chooses_them(
    builds: tuple[str, ...], machine: BuildTarget, first: str | None
) -> None:
    """Cases of its own tests (`kernels/tests/test_variants.py`), and of the order of `_sort_variants`."""
    assert next(iter(fitting(builds, machine)), None) == first


def test_a_kernel_without_a_build_for_this_machine_names_those_that_are_there(tmp_path: Path) -> None:
    put_kernel(tmp_path / "k/build/torch10-cxx98-cu90-mips-os2/k")
    with pytest.raises(UsageError, match=r"'k' has no build .*torch-universal; it has torch10-cxx98-cu90-mips-os2"):
        kernel(tmp_path / "k")
    with pytest.raises(UsageError, match="fetch it first, nothing is downloaded"):
        kernel(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="it has no folder build"):
        kernel(tmp_path / "empty")


def test_a_hub_kernel_is_a_solution_of_a_definition(tmp_path: Path) -> None:
    put_kernel(tmp_path / "norm/build/torch-universal/norm")
    file = put(tmp_path / "d.json", definition())
    found = defined(file, [f"{tmp_path / 'norm'}::run"], None, {"batch_size": [2]})
    assert found.paths == ("reference", "norm-run")
    with pytest.raises(UsageError, match="has no function 'walk'; it has run"):
        defined(file, [f"{tmp_path / 'norm'}::walk"], None, {"batch_size": [2]})


TASK = """
import torch
class Model(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.line = torch.nn.Linear(width, width)
    def forward(self, x):
        return torch.relu(self.line(x))
def get_inputs():
    return [torch.randn(3, 16)]
def get_init_inputs():
    return [16]
"""
NEW = """
import torch
class ModelNew(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        torch.randn(1)
        self.line = torch.nn.Linear(width, width)
    def forward(self, x):
        return self.line(x).clamp(min=0)
"""


def test_a_task_and_its_answer_are_an_operation_of_one_set_of_weights(tmp_path: Path) -> None:
    (tmp_path / "relu.py").write_text(TASK)
    (tmp_path / "new.py").write_text(NEW)
    fields = [("task", str(tmp_path / "relu.py")), ("solution", str(tmp_path / "new.py"))]
    found = required(operation(word("rope_prof.foreign.kernelbench", fields)), "it")
    assert (found.name, found.paths) == ("relu", ("Model", "ModelNew"))
    call = found.calls({"size": 48}, 1, CPU, None, 0)[0]
    a, b = (found.path(name).call(*call.arguments) for name in found.paths)
    assert torch.equal(a, b)
    (exact,) = found.exact({"size": 48}, call, slice(None))
    assert exact.dtype == torch.float64
    torch.testing.assert_close(a.double(), exact, rtol=1e-4, atol=1e-4)


def test_models_are_in_training_mode_as_in_kernelbench_and_drop_nothing(tmp_path: Path) -> None:
    """A batch norm takes the statistics of its batch, which an answer computes too."""
    parts = "torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(width))"
    norm = TASK.replace("torch.nn.Linear(width, width)", parts).replace("torch.relu(self.line(x))", "self.line(x)")
    new = """
import torch
class ModelNew(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
    def forward(self, x):
        return (x - x.mean(0)) * torch.rsqrt(x.var(0, unbiased=False) + 1e-5)
"""
    (tmp_path / "norm.py").write_text(norm + new)
    found = task(tmp_path / "norm.py")
    call = found.calls({"size": 48}, 1, CPU, None, 0)[0]
    base, answer = (found.path(name).call(*call.arguments) for name in found.paths)
    torch.testing.assert_close(base, answer)
    torch.testing.assert_close(found.exact({"size": 48}, call, slice(None))[0].float(), answer)


def test_a_task_may_hold_its_answer(tmp_path: Path) -> None:
    (tmp_path / "both.py").write_text(TASK + NEW)
    assert task(tmp_path / "both.py").paths == ("Model", "ModelNew")


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (TASK, "'t.py' has no function 'ModelNew'; it has Model"),
        (NEW, "'t.py' has no function 'Model'"),
        (TASK.replace("get_inputs", "inputs") + NEW, "task 't.py' has no function 'get_inputs'"),
        (TASK.replace("[torch.randn(3, 16)]", "3") + NEW, "get_inputs returns int; expected a list"),
        (TASK.replace("[16]", "[]") + NEW, "Model cannot be made .TypeError"),
        (TASK.replace("[torch.randn(3, 16)]", "[1]") + NEW, "task 't.py': inputs hold no tensor"),
        ("import no_such", "fails to import .ModuleNotFoundError"),
    ],
)
def test_a_task_that_is_off_is_one_sentence(tmp_path: Path, code: str, sentence: str) -> None:
    (tmp_path / "t.py").write_text(code)
    with pytest.raises(UsageError, match=sentence):
        task(tmp_path / "t.py")
