"""docs/questions.md: every command that it names is one, with the options that it names, and says what its row says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from rope_prof.cli import COMMANDS, main
from rope_prof.cli import command as command_of
from rope_prof.dashboard import shell
from rope_prof.serve import server
from tests.analysis.test_graph_nodes import NODES, replay
from tests.builders import Drawn, kernel, kineto_json, op, python, range_, trace
from tests.commands.gated import repository as repository_of
from tests.commands.test_gate_command import gated
from tests.dashboard.test_dashboard_pages import CASE, app, html_of
from tests.ranks.drawn_ranks import BASE, rank_trace

PAGE = Path(__file__).resolve().parents[1] / "docs/questions.md"


def test_twenty_questions_name_commands_that_are_there() -> None:
    rows = [line.split(" | ") for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0].strip("| ")) for row in rows] == list(range(1, 21))
    named = [code.split() for row in rows for code in re.findall(r"`([a-z][^`]*)`", row[2]) if "=" not in code]
    assert len(named) >= 18
    for command, *words in named:
        assert command in COMMANDS
        known = {option for one in command_of(command).params for option in one.opts}
        assert {word for word in words if word.startswith("-")} <= known


US = 1_000
CALLS = 12


def step(*, host_us: int = 0, copy_us: int = 70, each_us: int = 10) -> bytes:
    """Calls of a layer, of a line of Python: late launches, an all-reduce and a copy alone, a stop of the host."""
    drawn: list[Drawn] = [python("train.py(9): main", 0, 40_000 * US)]
    for turn in range(CALLS):
        at = 200 * US * turn + (host_us * US if turn > CALLS // 2 else 0)
        launched = [(at + k * 20 * US, at + k * 20 * US + 2 * US) for k in range(3)]
        starts = [at + 3 * US, *(one[0] + 3 * US for one in launched[1:])]
        drawn += [range_(f"layer#{turn}", at, at + 190 * US), op("aten::linear", at, at + 5 * US)]
        drawn += [
            kernel(start, start + each_us * US, name=f"k{k}", launched=launch)
            for k, (start, launch) in enumerate(zip(starts, launched, strict=True))
        ]
        drawn += [
            kernel(
                at + 80 * US, at + 110 * US, name="ncclDevKernel_AllReduce_Sum", launched=(at + 60 * US, at + 62 * US)
            ),
            kernel(at + 110 * US, at + (110 + copy_us) * US, kind="memcpy", name="Memcpy HtoD (Pageable -> Device)"),
        ]
    return kineto_json(trace(*drawn))


def lost() -> bytes:
    """Six replays of one graph of twenty kernels, of which one lacks ten."""
    parts = [replay(k, list(range(10 if k == 3 else 20)), ids=NODES) for k in range(6)]
    return kineto_json(trace(*parts, window_end_ns=20_000))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("asked")
    for name, data in {"late": step(), "stops": step(host_us=4_000), "fused": step(copy_us=1, each_us=5)}.items():
        (folder / f"{name}.json").write_bytes(data)
    (folder / "lost.json").write_bytes(lost())
    (folder / "ranks").mkdir()
    for rank in range(4):
        drawn = rank_trace(rank, 4, late={2: 3_000})
        told = replace(drawn, metadata={"distributedInfo": {"rank": rank, "world_size": 4}}, base_time_ns=BASE)
        (folder / f"ranks/rank{rank}.json").write_bytes(kineto_json(told))
    files = {one.stem: str(one) for one in folder.glob("*.json")}
    return files | {"ranks": str(folder / "ranks"), "out": str(folder), "run": str(repository / "traces/h100-ernie28b")}


@pytest.mark.parametrize(
    ("number", "typed", "said"),
    [
        (1, "analyze {late}", "Three things to fix"),
        (2, "analyze {late}", "launches come too late"),
        (3, "analyze {stops}", "the host is elsewhere before"),
        (4, "analyze {late}", "train.py(9): main"),
        (5, "analyze {late}", "copies HtoD from pageable memory with no kernel beside"),
        (6, "compare {late} {fused} --anyway", "instead of"),
        (7, "compare {late} {late} --base-range layer#0 --range layer#3 --anyway", "layer#3"),
        (8, "compare {run}:unfused/eager {run}:fused/eager", "95 % interval"),
        (10, "show {run}", "best mode against best mode by wall"),
        (12, "analyze {late} --chains", "Chains of small kernels"),
        (13, "analyze {late}", "sound"),
        (14, "analyze {lost}", "missing graph kernels ×10"),
        (16, "analyze {ranks} -o {out}/set", "rank 2 is late, last to 8 of 8 collectives"),
        (17, "analyze {out}/ranks/rank0.json", "with no kernel beside it"),
        (18, "export {run} --to markdown -o {out}/report", "report.md"),
        (20, "export {late} --to kineto --cut layer -o {out}/cut.json.gz", "of 12 of 'layer'"),
    ],
)
def test_a_question_is_answered(
    number: int, typed: str, said: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {number} |"))
    assert f"`{typed.split()[0]} " in row
    assert main(typed.format(**places).split()) == 0
    assert said in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("number", "page", "said"),
    [
        (9, "timeline", ["one call", "unfused · eager: 25 kernels, 310 µs; fused · eager: 1 kernel, 5.80 µs"]),
        (10, None, ["13.0", "faster with fused · eager than with unfused · compile"]),
        (11, "end_to_end", ["9.3", "of a request’s time saved with fused in every layer", "Against stock"]),
        (15, "bubbles", ["unfused · eager idles for 235 µs of a call (76 %)", "inflation", "1.85x"]),
    ],
)
def test_a_page_answers(
    number: int, page: str | None, said: list[str], places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| {number} |"))
    assert f"page *{shell.PAGES[page or 'overview'].title}*" in row
    found = app(monkeypatch, Path(places["run"]), page)
    assert not found.exception
    text = html_of(found)
    assert [words for words in said if words not in text] == []


def test_perfetto_opens_on_the_two_sides_of_a_fusion(
    places: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question 9's command: it serves a trace of each side until Ctrl-C."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.Server, "serve_forever", interrupted)
    assert main(["open", places["run"], "--no-browser", "--json"]) == 0
    traces = json.loads(capsys.readouterr().out)["traces"]
    assert {f"{path}.eager.cold.{CASE}.r0.trace.json.gz" for path in ("unfused", "fused")} <= set(traces)


@pytest.mark.slow
def test_a_gate_answers_a_pull_request(tmp_path: Path) -> None:
    """Question 19's command, on a repository of its own whose commit is broken: a comment and an exit code."""
    (tmp_path / "three").mkdir()
    code, text, _ = gated(repository_of(tmp_path / "three"), "broken")
    assert code == 1
    assert text.startswith("### ❌ rope_prof: a bound fails")
