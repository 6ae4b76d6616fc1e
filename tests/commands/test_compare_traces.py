"""`compare` of two traces on the command line: text, JSON, Markdown, and what it refuses in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.cli import main
from tests.builders import kernel, kineto_json, range_, trace


def written(place: Path, name: str, *kernels: tuple[str, int, int], gpu: str = "NVIDIA H100") -> str:
    """A Kineto file of eight steps with those kernels; `rope` is a range inside each."""
    drawn = []
    for number in range(8):
        zero = 1_000_000 * (number + 1)
        drawn += [range_(f"step#{number}", zero, zero + 900_000), range_("rope", zero + 1000, zero + 890_000)]
        drawn += [
            kernel(zero + s, zero + s + n, name=word, launched=(zero + s - 5000, zero + s - 3000), correlation=c)
            for c, (word, s, n) in enumerate(kernels, 100 * (number + 1))
        ]
    file = place / name
    file.write_bytes(kineto_json(trace(drawn), deviceProperties=[{"id": 0, "name": gpu}]))
    return str(file)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    before = written(tmp_path, "before.json", ("a", 10_000, 9000), ("b", 80_000, 9000), ("c", 150_000, 9000))
    return before, written(tmp_path, "after.json", ("abc", 10_000, 10_000))


def test_the_answer_comes_first(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *pair]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.startswith("10.0 µs a call of step#* instead of 149 µs (14.9x): ")
    assert "3 kernels a call became 1 in rope" in said
    assert "FASTER: median call 14.9x" in said


def test_json_and_markdown_say_the_same(pair: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *pair, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["base"]["calls"], found["base"]["span_ns"]) == (8, 8 * 149_000)
    assert [row["change"] for row in found["kernels"]] == ["fused"]
    assert main(["compare", *pair, "--format", "markdown"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("# before.json → after.json")
    assert "--base-range=step#\\*" in said.out or "'--base-range=step#*'" in said.out
    assert "149 µs" in said.out and "3 kernels a call became 1 in rope" in said.out
    assert str(Path(pair[0]).parent) not in said.out


def test_the_page_holds_both_timelines_and_asks_nobody(
    pair: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *pair, "--format", "html"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("<!DOCTYPE html>")
    assert 'data-zoom="aligned"' in page and "One call of each side, as profiled, on one scale" in page
    assert "before: before.json" in page and "after: after.json" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", ""), "a name, no address"
    assert str(Path(pair[0]).parent) not in page


def test_a_range_of_one_trace_against_another_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path, "one.json", ("a", 10_000, 9000))
    assert main(["compare", file, file, "--base-range", "step#*", "--range", "rope", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["base"]["range"], found["candidate"]["range"], found["verdict"]) == ("step#*", "rope", "SAME")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--fail-on", "wall>3%"], 2, "bounds judge recorded runs"),
        (["--range", "stop"], 2, "no range 'stop'"),
        (["--device", "7"], 2, "no device '7'"),
    ],
)
def test_what_does_not_fit_is_one_sentence(
    pair: tuple[str, str], words: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *pair, *words]) == code
    assert told in capsys.readouterr().err


def test_a_run_against_a_trace_and_other_cards_are_refused(
    pair: tuple[str, str], tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(repository / "traces/h100-ernie28b")
    assert main(["compare", run, pair[0]]) == 2
    assert "compare two traces, or two runs" in capsys.readouterr().err
    assert main(["compare", run, run, "--range", "step"]) == 2
    assert "pick a part of a trace" in capsys.readouterr().err
    other = written(tmp_path, "h200.json", ("a", 10_000, 9000), gpu="NVIDIA H200")
    assert main(["compare", pair[0], other]) == 3
    assert "NVIDIA H200" in capsys.readouterr().err
    assert main(["compare", pair[0], other, "--anyway"]) == 0
