"""Every page asks a question, answers it, and has few words before a fold; no identifier of ours is shown to a person.

Pages are drawn whole by AppTest: of the shipped runs, a run without a GPU and traces of other formats. Counted is what
reads as text: choosers and the labels of pictures are not, and what a fold holds is not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

from rope_prof.analysis.trace.integrity import INFORMS, KEEPS_SHARES
from rope_prof.analysis.trace.proof import ADVICE
from rope_prof.dashboard import FOLDER, shell
from rope_prof.io.run.folder import append_samples, read_run, write_run
from rope_prof.views.words.causes import CAUSE_WORDS
from tests.builders import call, kernel, kineto_json, op, python, range_, trace
from tests.dashboard.drawn_run import write_gpu_run

APP = str(FOLDER / "pages/app.py")
MOST_WORDS = 150
RUNS = ("h100-ernie28b", "h200-sweep", "h200-nsight")
_CASE = re.compile(r"\b\w+-tp\d+-n\d+-\w+-\w+")
US = 1_000


def app(monkeypatch: pytest.MonkeyPatch, page: str, words: list[str], **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", *words])
    monkeypatch.setattr(streamlit, "iframe", lambda *_, **__: None)
    found = AppTest.from_file(APP, default_timeout=120)
    for name, value in params.items():
        found.query_params[name] = value
    if page != "overview":
        found.switch_page(f"{page}.py")
    found.run()
    assert not found.exception, found.exception
    return found


def bodies(block: Any, *, folded: bool) -> Iterator[str]:
    """The HTML of a page in order; with what stands in folds where `folded`, else the fold's title in its place."""
    for child in block.children.values():
        if child.type == "popover":
            continue
        if child.type == "expander" and not folded:
            yield child.label
        elif hasattr(child, "children"):
            yield from bodies(child, folded=folded)
        elif child.type == "html":
            yield child.proto.body


def text_of(found: AppTest, *, folded: bool) -> str:
    html = " ".join(bodies(found.main, folded=folded))
    html = re.sub(r"<style.*?</style>", " ", html, flags=re.DOTALL)
    if not folded:
        html = re.sub(r"<details[^>]*>(<summary>.*?</summary>).*?</details>", r"\1", html, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " ", html.replace("&nbsp;", " ")))


#: Identifiers of ours that have words of their own: codes of findings, causes of idle time.
CODES = {name for name in {*ADVICE, *INFORMS, *KEEPS_SHARES, *CAUSE_WORDS} if "_" in name}


def judged(found: AppTest, page: str) -> None:
    shown, whole = text_of(found, folded=False), text_of(found, folded=True)
    words = [word for word in shown.split() if re.search(r"[^\W_]", word)]
    assert len(words) <= MOST_WORDS, f"{page}: {len(words)} words: {shown}"
    assert shown.count("?") == 1, f"{page} asks nothing, or more than one thing: {shown}"
    said = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", whole)) & CODES
    assert not said, f"{page} shows {said}"
    assert not re.findall(r"(?<![\d.,])1 (?:kernels|calls|copies|tokens|launches|events)\b", whole)
    own = [name for name in _CASE.findall(whole) if f"record --name {name}" not in whole]
    assert not own, f"{page} shows {own}"


@pytest.mark.parametrize("page", shell.PAGES)
@pytest.mark.parametrize("run", RUNS)
def test_a_page_of_a_shipped_run(
    run: str, page: str, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    judged(app(monkeypatch, page, ["--run", str(repository / "traces" / run)]), page)


def stacked() -> bytes:
    """A sound trace that has something of every kind to say: stacks, a wait, copies, late launches, ranges of ours."""
    drawn: list[Any] = [python("train.py(9): main", 0, 4_000 * US)]
    for turn in range(30):
        at = 1 + 100 * US * turn
        drawn += [
            range_(f"layer#{turn}", at, at + 90 * US),
            op("aten::linear", at, at + 10 * US, external=turn + 1),
            kernel(at + 12 * US, at + 30 * US, name="gemm", launched=(at + 1, at + 9 * US), external=turn + 1),
            kernel(at + 50 * US, at + 60 * US, name="add", launched=(at + 40 * US, at + 42 * US)),
            call("cudaStreamSynchronize", at + 61 * US, at + 80 * US),
            kernel(at + 60 * US, at + 75 * US, kind="memcpy", name="Memcpy DtoH (Device -> Pageable)"),
        ]
    return kineto_json(trace(*drawn))


def write_cpu_run(folder: Path) -> None:
    """The drawn run as a CPU leaves it: the chain eager and compiled, the kernels by hand checked and not timed."""
    write_gpu_run(folder, tokens=(64,))
    found = read_run(folder)
    keys = tuple(
        facts
        if facts.key.is_baseline
        else replace(facts, status="checked", reason="checked in fp32, not timed", trace=None)
        for facts in found.run.keys
    )
    write_run(folder, replace(found.run, machine=replace(found.run.machine, device="cpu"), keys=keys))
    timed = {facts.key.name for facts in keys if facts.key.is_baseline}
    samples = found.samples.filter(found.samples["key"].is_in(list(timed)))
    (folder / "samples.parquet").unlink()
    append_samples(folder, samples)


STRANGERS = (
    "h100_2gpu_1s.sqlite",
    "05_mi300_vllm_decode_full_hipgraph.json.gz",
    "17_resnet50_2021_capitalised_cats.json.gz",
)
TRACES = ("stacks.json", "cpu.json", "empty.json", "copies.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("words") / "mine"
    found.mkdir()
    copies = [kernel(k * 100, k * 100 + 99, kind="memcpy", name="Memcpy HtoD (Pinned -> Device)") for k in range(40)]
    (found / "stacks.json").write_bytes(stacked())
    (found / "cpu.json").write_bytes(kineto_json(trace(op("aten::add", 0, 10))))
    (found / "copies.json").write_bytes(kineto_json(trace(*copies, kernel(4_000, 4_010))))
    (found / "empty.json").write_bytes(kineto_json(trace()))
    write_cpu_run(found.parent / "cpu")
    return found


@pytest.mark.parametrize("name", TRACES)
def test_a_users_trace(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--run", str(folder.parent / "cpu"), "--folder", str(folder)]
    judged(app(monkeypatch, "any_trace", words, trace=f"mine/{name}"), name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["h100_2gpu_1s.sqlite", "05_mi300_vllm_decode_full_hipgraph.json.gz", "17_resnet50_2021_capitalised_cats.json.gz"],
)
def test_a_strangers_trace(name: str, real_traces: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--run", str(folder.parent / "cpu"), "--folder", str(real_traces)]
    judged(app(monkeypatch, "any_trace", words, trace=f"{real_traces.name}/{name}"), name)


def test_two_traces_of_a_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--run", str(folder.parent / "cpu"), "--folder", str(folder)]
    judged(app(monkeypatch, "two_traces", words, before="mine/stacks.json", after="mine/stacks.json"), "two_traces")


@pytest.mark.parametrize("page", shell.PAGES)
def test_a_page_of_a_run_without_a_gpu(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    found = app(monkeypatch, page, ["--run", str(folder.parent / "cpu")])
    judged(found, page)
    if page == "overview":
        assert "faster with unfused · compile" in text_of(found, folded=False)
