"""`gate`: a commit to hold against, one 10 % slower, one the same, one broken; and the steps of its action."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
import yaml

from rope_prof.analysis.comparison.gates import gate as bound
from rope_prof.cli import main
from rope_prof.commands.gate_matrix import GatedOperation, Matrix, read_matrix, record_words
from rope_prof.errors import UsageError
from rope_prof.opened.comparison import comparison, side_of
from rope_prof.opened.run import open_run
from rope_prof.views.exchange.github import LINES, comment
from rope_prof.views.exchange.judged import Judged, judged
from rope_prof.views.exchange.junit import junit
from rope_prof.views.words.comparison import Comparison
from tests.commands.gated import repository

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "traces" / "h200-silu-mul"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(tmp_path_factory.mktemp("three"))


def environment(**more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return plain | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | more


def checked_out(folder: Path, branch: str) -> None:
    subprocess.run(["git", "checkout", "--quiet", branch], cwd=folder, check=True, capture_output=True)


def gated(folder: Path, branch: str) -> tuple[int, str, Tree.Element]:
    """(exit code, comment, JUnit) of that branch against main."""
    checked_out(folder, branch)
    words = ["-m", "rope_prof", "gate", "main", "-o", f"out-{branch}", "--device", "cpu", "--allow-unknown"]
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )
    out = folder / f"out-{branch}"
    assert (out / "comment.md").is_file(), done.stderr
    return done.returncode, (out / "comment.md").read_text(), Tree.parse(out / "junit.xml").getroot()


@pytest.mark.slow
def test_a_slower_commit_fails_in_the_steps_of_the_action(there: Path) -> None:
    checked_out(there, "slower")
    files = {name: there / f"out-{name.lower()}.txt" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    values = {"inputs.matrix": "", "inputs.device": "cpu", "inputs.allow-unknown": "false", "inputs.out": "out-action"}
    codes = {}
    for step in yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]:
        if "run" not in step or step["name"] == "install":
            continue
        given = {}
        for name, text in step.get("env", {}).items():
            said = dict(line.split("=", 1) for line in _text(files["GITHUB_OUTPUT"]).splitlines())
            known = values | {
                f"steps.{one}.outputs.{key}": said.get(key, "") for one in ("base", "gate") for key in said
            }
            (expression,) = re.findall(r"\$\{\{ (.*) \}\}", text)
            given[name] = known.get(expression, "main" if "base.sha" in expression else "")
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=there,
            env=environment(**given, **{name: str(path) for name, path in files.items()}),
            capture_output=True,
            text=True,
            check=False,
        )
        codes[step["name"]] = done.returncode
    assert codes == {"base": 0, "gate": 0, "verdict": 1}
    summary = _text(files["GITHUB_STEP_SUMMARY"])
    assert summary == (there / "out-action/comment.md").read_text()
    assert summary.startswith("### ❌ rope_prof: a bound fails")
    assert len(summary.splitlines()) <= LINES
    assert re.search(r"twice kernel: 64 \| kernel eager \| wall \| .* \| [+-]\d+\.\d % ", summary)
    assert re.search(r"❌ \| twice kernel: 64 \| kernel eager \| kernels \| 2 \| 4 \| \+100\.0 %", summary)
    made = {path.name for path in (there / "out-action").iterdir()}
    assert made == {"comment.md", "junit.xml", "run-0", "run-0.html", "run-0.pftrace"}


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


@pytest.mark.slow
def test_the_same_commit_holds(there: Path) -> None:
    code, text, xml = gated(there, "same")
    assert code == 0, text
    assert re.match("### ✅ rope_prof: every bound (that can be judged )?holds", text)
    assert [case.find("failure") for case in xml.iter("testcase")] == [None, None]
    assert re.search(r"✅ \| twice kernel: 64 \| kernel eager \| kernels", text)  # time may be open on a busy machine


@pytest.mark.slow
def test_a_broken_commit_fails_and_is_named(there: Path) -> None:
    code, text, xml = gated(there, "broken")
    assert code == 1
    assert "kernel · eager at 64 is wrong" in text
    assert re.search(r"^\d wrong or failed, ", text, re.MULTILINE)
    assert (there / "out-broken").is_dir()
    assert any("wrong" in str(failure.get("message")) for failure in xml.iter("failure"))


def test_a_revision_that_is_not_there_is_one_sentence(there: Path, tmp_path: Path) -> None:
    words = ["-m", "rope_prof", "gate", "no-such-branch", "-o", str(tmp_path / "out"), "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, *words], cwd=there, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "'no-such-branch' is no revision of this repository" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def compared(base: str, cand: str, *bounds: str) -> Comparison:
    run = open_run(SHIPPED)
    sides = [side_of(name, run, path, mode or None) for name in (base, cand) for path, _, mode in [name.partition("/")]]
    return comparison((base, cand), *sides, paired=True, bounds={text: bound(text) for text in bounds})


@pytest.mark.parametrize(
    ("base", "cand", "state"),
    [("unfused", "fused", "undecided"), ("fused", "unfused", "fails"), ("unfused/graph", "fused/graph", "holds")],
)
def test_the_state_is_that_of_the_worst_bound(base: str, cand: str, state: str) -> None:
    one = judged("silu", compared(base, cand, "wall>3%", "kernels>0%"))
    assert one.state == state
    text = comment([one])
    assert len(text.splitlines()) <= LINES
    assert (
        text.splitlines()[0]
        == {
            "fails": "### ❌ rope_prof: a bound fails",
            "undecided": "### ❔ rope_prof: a bound cannot be judged, which is no pass",
            "holds": "### ✅ rope_prof: every bound holds",
        }[state]
    )
    cases = list(Tree.fromstring(junit([one])).iter("testcase"))
    assert len(cases) == len(one.checked)
    counted = [held for _, _, held in one.checked]
    assert sum(case.find("failure") is not None for case in cases) == counted.count("fails")
    assert sum(case.find("error") is not None for case in cases) == counted.count("undecided")


def test_a_comment_stays_short_and_counts_what_it_leaves_out() -> None:
    many = [judged(f"operation {i}", compared("fused", "unfused", "wall>3%", "kernels>0%")) for i in range(9)]
    failed = [Judged(name=f"lost {i}", error="no such file | <b>", ours=True) for i in range(9)]
    text = comment([*many, *failed], "Artifacts: here.")
    assert len(text.splitlines()) <= LINES
    assert "more rows: in the artifacts" in text
    assert "6 more sentences: in the artifacts" in text
    assert "<b>" not in text.replace("`no such file | <b>`", "")


def test_what_the_base_broke_fails_nobody() -> None:
    found = compared("unfused", "fused")
    broken = tuple(
        replace(facts, status="failed", reason="no memory") if facts.key.mode == "eager" else facts
        for facts in found.cand.run.keys
    )
    both = replace(found.cand.run, keys=broken)
    sides = {name: replace(getattr(found, name), run=both) for name in ("base", "cand")}
    assert judged("both", replace(found, **sides)).state == "undecided"
    assert judged("ours", replace(found, cand=sides["cand"])).state == "fails"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bounds = 3", "Expected `array`"),
        ("repeat = 3", "unknown field `repeat`"),
        ("[[operation]]\nset = {tokens = {}}", "Expected"),
        ("bounds = ['wall>3']", "cannot read"),
        ("operation = []", "names no"),
        ("rounds = 0", "Expected `int` >= 1"),
        ("[[operation]]\nrepeats = 0", "Expected `int` >= 1"),
        ("bounds = [", "docs/gate.md"),
    ],
)
def test_a_matrix_that_cannot_be_understood_is_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "rope_prof.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_matrix(path)


def test_a_matrix_becomes_words_of_record(tmp_path: Path) -> None:
    path = tmp_path / "rope_prof.toml"
    path.write_text('repeats = 2\n[[operation]]\noperation = "a.py:b"\nset = {tokens = [1, 64], dtype = "bf16"}\n')
    matrix = read_matrix(path)
    words = record_words(matrix.operation[0], matrix, "main", tmp_path / "run", "auto")
    assert words[:3] == ["record", "--operation", "a.py:b"]
    assert words[words.index("--repeats") + 1] == "2"
    assert words[-4:] == ["--set", "tokens=1,64", "--set", "dtype=bf16"]
    assert Matrix().operation == (GatedOperation(),)


@pytest.mark.parametrize("form", ["github", "junit"])
def test_compare_prints_the_same_forms(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [f"{SHIPPED}:{name}/graph" for name in ("unfused", "fused")]
    assert main(["compare", *sides, "--fail-on", "wall>3%", "--format", form]) == 0
    text = capsys.readouterr().out
    assert "every bound holds" in text if form == "github" else Tree.fromstring(text).get("name") == "rope_prof"


@pytest.mark.parametrize(("family", "said"), [("bf16", "; all cases: bf16"), ("", None)])
def test_what_cases_share_is_told_where_they_share_it(
    family: str, said: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rope_prof.views.words.comparison.family_words", lambda _: family)
    assert main(["compare", *(f"{SHIPPED}:{name}/graph" for name in ("unfused", "fused")), "--format", "github"]) == 0
    text = capsys.readouterr().out
    assert said in text if said else "all cases" not in text


def test_a_folder_that_holds_something_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["gate", "HEAD", "-o", str(tmp_path)]) == 2
    assert "holds something already" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["gate", "HEAD", "-o", str(tmp_path / "file" / "out")]) == 2
    assert "cannot make" in capsys.readouterr().err
