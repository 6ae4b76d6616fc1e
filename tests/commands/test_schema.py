"""`--json`: one document on standard output that its schema of docs/schema holds, errors among them, and no more."""

from __future__ import annotations

import ast
import copy
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from rope_prof.analysis.trace.gaps import CAUSES
from rope_prof.cli import COMMANDS, command, main
from rope_prof.commands import dashboard
from rope_prof.commands.printing import emit_recorded
from rope_prof.dashboard import early
from rope_prof.io.run.folder import write_run
from rope_prof.serve import server
from tests.runs import MACHINE, facts, run

ROOT = Path(__file__).resolve().parents[2]
RUNS = sorted(path.parent for path in (ROOT / "traces").glob("*/run.json"))
RUN = ROOT / "traces/h100-ernie28b"
SMALL = ROOT / "traces/h200-silu-mul"
TRACES = [RUN / f"{path}.eager.cold.28b-tp1-n973-bf16-image.r0.trace.json.gz" for path in ("unfused", "fused")]
SCHEMAS = {file.stem: json.loads(file.read_text("utf-8")) for file in (ROOT / "docs/schema").glob("*.json")}
#: Objects whose members are names of the user's or of the machine.
NAMES = re.compile(
    r"/(settings|case|methods|graph_gap_ns|idle_by_cause_ns|bandwidths|fusing|verdicts|modes/\d+/wall_ns|keys|figures_ns|spread)(/[^/]*)?$"
)
WORDS: dict[str, tuple[str, list[object]]] = {
    **{f"show {folder.name}": ("show", ["show", folder]) for folder in RUNS},
    "compare": ("compare", ["compare", f"{RUN}:unfused", f"{RUN}:fused", "--fail-on", "wall>3%"]),
    "compare runs": ("compare", ["compare", RUN, ROOT / "traces/h200-nsight", "--anyway"]),
    "diff": ("diff", ["compare", *TRACES]),
    "analyze": ("analyze", ["analyze", TRACES[1], "--chains"]),
    "analyze requests": ("analyze", ["analyze", RUN / "end_to_end.fused.prefill.trace.json.gz"]),
    "analyze nsys": ("analyze", ["analyze", ROOT / "traces/h200-nsight/systems.sqlite", "--chains"]),
    "analyze many": ("many", ["analyze", *TRACES, "-o", "dataset"]),
    "doctor": ("doctor", ["doctor"]),
    "export": ("export", ["export", TRACES[1], "--to", "perfetto", "-o", "out.pftrace"]),
    "baseline": ("baseline", ["baseline", "set", "main", SMALL, "--store", "kept"]),
    "export archive": ("export", ["export", SMALL, "--to", "archive", "-o", "copy"]),
}
Printed = Callable[..., tuple[int, dict[str, Any]]]


@cache
def validator(name: str) -> Draft202012Validator:
    registry = Registry().with_resources([(f"{key}.json", Resource.from_contents(s)) for key, s in SCHEMAS.items()])
    return Draft202012Validator(SCHEMAS[name], registry=registry)


def faults(name: str, document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator(name).iter_errors(document)]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Printed:
    """(exit code, the only document on standard output) of a command with `--json`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def done(*words: object) -> tuple[int, dict[str, Any]]:
        code = main([*map(str, words), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return done


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_schema_is_one(schema: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[schema])
    assert SCHEMAS[schema]["$id"] == f"{schema}.json"


@pytest.mark.parametrize("case", WORDS)
def test_a_document_keeps_its_schema_and_no_field_more(printed: Printed, case: str) -> None:
    name, words = WORDS[case]
    _, document = printed(*words)
    assert faults(name, document) == []
    assert "error" not in document
    short = _short(document)
    places = [place for place in _objects(short) if not NAMES.search(place)]
    for place in places[:12]:
        changed = copy.deepcopy(short)
        _at(changed, place)["surprise"] = 1
        assert not validator(name).is_valid(changed), place
    assert places


def test_baselines_are_told_from_their_first_to_their_last(printed: Printed) -> None:
    store = ("--store", "kept")
    for words, name in (
        (("list",), "baseline"),
        (("set", "main", SMALL), "baseline"),
        (("list",), "baseline"),
        (("show", "main"), "baseline"),
        (("history", "main"), "history"),
        (("rm", "main"), "deleted"),
    ):
        code, document = printed("baseline", *words, *store)
        assert (code, faults(name, document)) == (0, [])
        assert faults(name, document | {"surprise": 1})
    assert document["deleted"] == 1


def test_ctrl_c_is_an_error_of_the_document(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rope_prof.commands.show.say_kept", interrupted)
    code, document = printed("show", str(RUN))
    assert (code, faults("error", document)) == (130, [])
    assert document["error"]["code"] == "stopped"


def test_a_server_tells_its_address(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server.Server, "serve_forever", interrupted)
    code, document = printed("open", TRACES[1], "--no-browser")
    assert (code, faults("address", document)) == (0, [])
    assert document["traces"] == [TRACES[1].name]

    class Child:
        returncode, stdin = 0, property(lambda _: io.BytesIO())
        wait = terminate = kill = staticmethod(lambda: 0)

    monkeypatch.setattr(dashboard, "await_answer", lambda *_: None)
    monkeypatch.setattr(early.subprocess, "Popen", lambda *_, **__: Child())
    monkeypatch.setattr(dashboard.signal, "signal", lambda *_: None)
    code, document = printed("dashboard", SMALL, "--no-browser")
    assert (code, faults("address", document)) == (0, [])
    assert faults("address", document | {"surprise": 1})


def test_every_schema_is_that_of_a_document_in_the_table() -> None:
    table = (ROOT / "docs/json.md").read_text("utf-8")
    assert {name for name in SCHEMAS if f"(schema/{name}.json)" not in table} == {"common"}


@pytest.mark.parametrize("gpu", [True, False])
def test_a_recording_is_told(gpu: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A machine without a GPU lacks half of what is told of one."""
    if not gpu:
        here = replace(MACHINE, device="cpu", capability=None, cuda=None, driver=None, triton=None, l2_bytes=None)
        write_run(tmp_path, replace(run(facts(status="pending")), machine=here))
    emit_recorded(SMALL if gpu else tmp_path)
    document = json.loads(capsys.readouterr().out)
    assert faults("record", document) == []
    assert faults("record", document | {"other": 1})


@pytest.mark.parametrize(
    ("words", "code", "exit_code"),
    [
        (["show", "nowhere"], "run", 1),
        (["analyze", "nowhere.json"], "trace", 1),
        (["compare", f"{SMALL}:fused", f"{SMALL}:nobody"], "usage", 2),
        (["compare", RUN, ROOT / "traces/h200-silu-mul"], "not-comparable", 3),
        (["export", "nowhere", "--to", "pdf", "-o", "x"], "usage", 2),
        (["gate", "HEAD", "--matrix", "nowhere.toml"], "usage", 2),
        (["frobnicate"], "usage", 2),
        (["record", "--no-such-option"], "usage", 2),
        (["open", "nowhere"], "trace", 1),
        (["dashboard", "nowhere"], "run", 1),
    ],
)
def test_an_error_is_a_document(printed: Printed, words: list[object], code: str, exit_code: int) -> None:
    ended, document = printed(*words)
    assert faults("error", document) == []
    assert (document["error"]["code"], document["error"]["exit_code"], ended) == (code, exit_code, exit_code)


def test_an_error_beside_a_document_is_its_member(printed: Printed, tmp_path: Path) -> None:
    """A run that has lost a trace is shown, and the document says what is missing."""
    (tmp_path / "run").mkdir()
    for file in SMALL.iterdir():
        if file.name.endswith((".json", ".parquet")):
            (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    code, document = printed("show", "run")
    assert faults("show", document) == []
    assert (code, document["error"]["code"]) == (1, "run")
    assert document["keys"]
    assert faults("show", document | {"error": document["error"] | {"more": 1}})


def test_every_command_that_ends_has_it() -> None:
    made = {name: command(name) for name in COMMANDS}
    groups = {name: one.commands for name, one in made.items() if hasattr(one, "commands")}
    made |= {f"{name} {word}": one for name, group in groups.items() for word, one in group.items()}
    without = {name for name, one in made.items() if not any("--json" in param.opts for param in one.params)}
    without -= set(groups)  # theirs have it
    assert without == {"mcp"}  # speaks JSON alone


def test_each_kind_of_error_has_a_code_of_its_own() -> None:
    """In the source, so that a kind that is added anywhere is seen; the schema knows them all."""
    classes = {
        node.name: node
        for file in (ROOT / "rope_prof").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    kinds = {"RopeProfError"}
    while (
        more := {name for name, node in classes.items() if kinds & {getattr(base, "id", "") for base in node.bases}}
        - kinds
    ):
        kinds |= more
    codes = [_code(classes[name]) for name in sorted(kinds - {"RopeProfError"})]
    assert len(codes) > 12
    assert len(set(codes)) == len(codes)
    assert set(codes) == set(SCHEMAS["error"]["$defs"]["error"]["properties"]["code"]["enum"])


def test_the_causes_are_those_of_the_analysis() -> None:
    assert SCHEMAS["common"]["$defs"]["by_cause"]["propertyNames"]["enum"] == list(CAUSES)


PRINTS = """
import os, subprocess, sys
from rope_prof.commands.documents import emit, one_document
with one_document(["record", "--json"]) as document:
    print('{"schema_version": 1}')
    os.write(1, b'{"schema_version": 2}')
    subprocess.run([sys.executable, "-c", "print('{}')"], check=True)
    emit({"schema_version": 3})
    document.write()
print("after")
"""


def test_nothing_else_reaches_standard_output() -> None:
    """Neither Python's print nor a write to the descriptor nor a child's."""
    done = subprocess.run([sys.executable, "-c", PRINTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == '{\n "schema_version": 3\n}\nafter\n'
    assert all(text in done.stderr for text in ('{"schema_version": 1}', '{"schema_version": 2}', "{}"))


def _short(value: Any) -> Any:
    """That value with one entry of each list."""
    if isinstance(value, dict):
        return {name: _short(inner) for name, inner in value.items()}
    return [_short(inner) for inner in value[:1]] if isinstance(value, list) else value


def _objects(value: Any, at: str = "") -> Iterator[str]:
    """Where an object is."""
    if isinstance(value, dict | list):
        if isinstance(value, dict):
            yield at
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _objects(inner, f"{at}/{name}")


def _at(document: Any, place: str) -> Any:
    for word in place.split("/")[1:]:
        document = document[int(word) if isinstance(document, list) else word]
    return document


def _code(node: ast.ClassDef) -> str:
    """What its `code` is set to in its own body."""
    found = [
        one.value.value
        for one in node.body
        if isinstance(one, ast.Assign) and getattr(one.targets[0], "id", "") == "code"
        if isinstance(one.value, ast.Constant)
    ]
    assert len(found) == 1, f"{node.name} has no code"
    return str(found[0])
