"""`rope_prof.measure` on the CPU itself: one recording of a planted difference, looked at from every side."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import rope_prof
from rope_prof.cli import main
from rope_prof.errors import RunError, UnavailableError, UsageError
from rope_prof.fusion.measured import MeasuredFusion
from rope_prof.fusion.verdicts import verdicts
from rope_prof.io.run.folder import read_run, write_run
from tests.fusion.planted import STEPS, inputs, many, single, wrong

QUICK: dict[str, Any] = {"modes": ["eager"], "rounds": 12}


@rope_prof.path("on a GPU", needs="cuda")
def gpu_only(x: torch.Tensor) -> torch.Tensor:
    raise AssertionError(f"it was called on {x.device}")


@pytest.fixture(scope="module")
def measured() -> MeasuredFusion:
    paths = {"many": many, "single": single, "off by one": wrong, "gpu": gpu_only}
    return rope_prof.measure(paths, inputs, name="sum", **QUICK)


def test_a_planted_difference_is_found_and_what_is_wrong_is_not_ranked(measured: MeasuredFusion) -> None:
    fast, off, absent = measured.verdicts
    assert (fast.word, fast.path, fast.baseline) == ("FASTER", "single", "many")
    assert fast.lo is not None
    assert fast.lo > 2
    assert fast.rounds == 12
    assert off.word == "WRONG"
    assert "max error 1 is over the limit" in str(off.reason)
    assert absent.word == "UNKNOWN"
    assert absent.sentence == (
        "gpu was not held against many at 16 elements: gpu eager is unavailable (path 'gpu' needs an NVIDIA GPU)"
    )
    assert measured.verdict == absent


def test_each_state_of_the_cache_has_a_verdict_of_its_own(measured: MeasuredFusion) -> None:
    found = measured.numbers
    keys = tuple(replace(facts, key=replace(facts.key, l2="cold")) for facts in found.run.keys)
    rows = tuple(
        replace(row, l2="cold", after_all=row.after_all and replace(row.after_all, median=0.5, lo=0.4, hi=0.6))
        for row in found.modes
    )
    both = replace(found, run=replace(found.run, keys=(*found.run.keys, *keys)), modes=(*found.modes, *rows))
    told = [verdict for verdict in verdicts(both) if verdict.path == "single"]
    assert [(verdict.l2, verdict.word, verdict.case) for verdict in told] == [
        ("hot", "FASTER", "16 elements, hot L2"),
        ("cold", "SLOWER", "16 elements, cold L2"),
    ]
    assert told[1].sentence.startswith("single (eager) is 2.00x slower than many (eager) at 16 elements, cold L2; ")


def test_a_state_that_the_machine_lacks_is_said_beside_the_other() -> None:
    found = rope_prof.measure({"many": many, "single": single}, inputs, modes=["eager"], l2=["hot", "cold"], rounds=12)
    assert [(verdict.l2, verdict.word) for verdict in found.verdicts] == [("cold", "UNKNOWN"), ("hot", "FASTER")]
    assert "many eager is unavailable" in found.headline or "single eager is unavailable" in found.headline


def test_the_table_says_machine_verdicts_and_what_outputs_are_held_against(measured: MeasuredFusion) -> None:
    text = str(measured)
    assert text == measured.table
    assert measured.verdicts[0].sentence in text
    assert measured.run.machine.torch in text
    assert "outputs are held against 'many' in float64" in text
    kernels = {row.path: row.kernels_per_call for row in measured.rows}
    assert kernels["many"] == STEPS * (kernels["single"] or 0)
    for line, path in zip(text.split("───\n")[1].splitlines(), ("many", "single"), strict=False):
        assert line.split()[:3] == [path, "eager", f"{kernels[path]:g}"]
    assert "single (eager)" in repr(measured)


def test_a_notebook_shows_a_table_and_a_picture_of_one_call_each(measured: MeasuredFusion) -> None:
    html = measured._repr_html_()
    assert html.count("<table>") == 1
    assert html.count("<svg") == 1
    assert "<script" not in html
    picture = measured.picture
    assert picture is not None
    assert picture.name == "before-after"


def test_a_saved_run_is_an_ordinary_one(
    measured: MeasuredFusion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = measured.save(tmp_path / "runs/sum")
    run = read_run(folder).run
    assert run.complete
    assert (run.operation.name, run.operation.baseline, run.name) == ("sum", "many", "sum")
    assert run.settings["isolation"] == "one process: its paths are callables of a script"
    assert main(["show", str(folder), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [key["path"] for key in shown["keys"]] == ["many", "single", "off by one", "gpu"]
    assert main(["compare", f"{folder}:many", f"{folder}:single"]) == 0
    capsys.readouterr()
    assert main(["export", str(folder), "--to", "html", "-o", str(tmp_path / "report.html")]) == 0
    assert "single" in (tmp_path / "report.html").read_text()
    with pytest.raises(RunError, match="is there already; save the run into a new folder"):
        measured.save(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["sum"]


def test_a_run_that_cannot_be_saved_whole_leaves_nothing(measured: MeasuredFusion, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot save the run"):
        measured.save(tmp_path / "file/run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_made_run_lacks_is_not_to_be_found_by_the_command_line(
    measured: MeasuredFusion, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = measured.save(tmp_path / "run")
    first, *others = measured.run.keys
    write_run(folder, replace(measured.run, keys=(replace(first, status="pending"), *others)))
    assert main(["record", "--resume", "--no-isolate", "-o", str(folder)]) != 0
    assert "was made in a script and cannot be found again" in capsys.readouterr().err


def test_cases_have_a_verdict_each() -> None:
    cases = {"small": torch.ones(4), "large": lambda: (torch.ones(8),)}
    found = rope_prof.measure([many, single], cases, **QUICK)
    assert [verdict.case for verdict in found.verdicts] == ["small · 4 elements", "large · 8 elements"]
    assert {verdict.word for verdict in found.verdicts} == {"FASTER"}
    assert len(found.run.keys) == 4


def test_whole_modules_and_a_path_in_place_are_measured() -> None:
    chain = torch.nn.Sequential(*(torch.nn.ReLU() for _ in range(STEPS)), torch.nn.ReLU()).bfloat16()
    relu = torch.nn.ReLU()
    found = rope_prof.measure({"chain": chain, "relu": relu}, (torch.randn(8, dtype=torch.bfloat16),), **QUICK)
    assert found.verdicts[0].word == "FASTER"

    @rope_prof.path(writes=0)
    def inside(x: torch.Tensor) -> None:
        x.add_(STEPS)

    found = rope_prof.measure([many, inside], inputs, **QUICK)
    assert found.verdicts[0].word == "FASTER"
    assert found.run.keys[1].in_place


def test_a_strided_input_is_measured_as_it_lies() -> None:
    seen = set()

    def watching(x: torch.Tensor) -> torch.Tensor:
        seen.add(x.stride())
        return x + STEPS

    wide = torch.zeros(4, 10)[:, :3]
    rope_prof.measure({"many": many, "watching": watching}, (wide,), **(QUICK | {"rounds": 1}))
    assert (10, 1) in seen


def test_a_path_that_assumes_how_its_input_lies_is_wrong() -> None:
    def flat(x: torch.Tensor) -> torch.Tensor:
        return x.as_strided(x.shape, (x.shape[1], 1)) + STEPS

    found = rope_prof.measure({"many": many, "flat": flat}, (torch.arange(12.0).reshape(3, 4),), **QUICK)
    assert found.verdicts[0].word == "WRONG"


def test_what_fails_is_one_sentence_and_what_cannot_run_is_no_run() -> None:
    def broken(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(f"no {x.dtype}")

    found = rope_prof.measure({"many": many, "broken": broken}, inputs, **QUICK)
    assert found.verdicts[0].word == "UNKNOWN"
    assert "broken eager is failed (RuntimeError: no torch.float32)" in found.verdicts[0].sentence
    with pytest.raises(UnavailableError, match=r"nothing could be measured: .*needs an NVIDIA GPU"):
        rope_prof.measure([gpu_only], inputs, reference=single, **QUICK)
    with pytest.raises(UnavailableError, match="mode 'graph' needs an NVIDIA GPU"):
        rope_prof.measure([many, single], inputs, modes="graph")


def test_a_path_of_another_shape_or_of_none_is_told() -> None:
    found = rope_prof.measure(
        {"many": many, "row": lambda x: (x + STEPS)[:3], "dict": lambda x: {"y": x}}, inputs, **QUICK
    )
    row, other = found.verdicts
    assert row.word == other.word == "UNKNOWN"
    assert "shape" in row.sentence
    assert "dict" in other.sentence


def test_a_warning_fails_nobody_where_warnings_are_errors() -> None:
    def warns(x: torch.Tensor) -> torch.Tensor:
        warnings.warn("slow", stacklevel=1)
        return x + STEPS

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        found = rope_prof.measure({"many": many, "warns": warns}, inputs, **(QUICK | {"rounds": 1}))
        with pytest.raises(UserWarning):
            warnings.warn("still an error", stacklevel=1)
    assert [facts.status for facts in found.run.keys] == ["measured", "measured"]
    assert "slow" in {str(each.message) for each in seen}


def test_a_verdict_may_be_asked_of_one_mode(measured: MeasuredFusion) -> None:
    assert measured.in_mode("eager")[0].word == "FASTER"
    with pytest.raises(UsageError, match="mode 'compile' was not measured; expected 'eager'"):
        measured.in_mode("compile")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"reference": lambda x: x.float() if x.dtype == torch.float32 else 1 / 0}, "reference: it fails on float64"),
        ({"reference": lambda _: 3}, "reference: it returns int"),
        ({"paths": {"a": lambda x: {"y": x}, "b": single}}, "baseline 'a': it returns dict; expected a tensor"),
        ({"paths": {"a": lambda _: None, "b": single}}, "baseline 'a': it returns nothing"),
        ({"paths": {"a": lambda _: 1 / 0, "b": single}}, r"baseline 'a': it fails \(ZeroDivisionError"),
        ({"outputs": ("a", "b")}, "outputs names 2 tensors"),
        ({"modes": ["fast"]}, "unknown mode 'fast'"),
        ({"rounds": 0}, "rounds 0"),
        ({"precision": "much"}, "precision 'much'"),
        ({"inputs": (3,)}, "inputs hold no tensor"),
        ({"inputs": (torch.eye(2).to_sparse(),)}, r"inputs\[0\] is in torch.sparse_coo; expected dense tensors"),
        ({"name": " "}, "name is ' '"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    whole: dict[str, Any] = {"paths": [many, single], "inputs": inputs, "modes": ["eager"]} | fields
    with pytest.raises(UsageError, match=sentence):
        rope_prof.measure(**whole)


def test_asking_for_a_name_loads_what_it_needs_and_the_package_stays_light(repository: Path) -> None:
    code = "import sys, rope_prof; assert 'torch' not in sys.modules; rope_prof.path; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
