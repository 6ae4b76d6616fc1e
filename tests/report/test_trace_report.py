"""The report of a trace: what to fix first, in a few lines and on one page, from any file that is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.commands.export_answers import html_answer, markdown_answer
from rope_prof.views.report.markdown import HEAD_LINES
from tests.builders import Drawn, kernel, kineto_json, op, python, range_, trace
from tests.report.report_reading import read

US = 1_000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Late launches in a layer, of a line of Python; copies with no kernel beside."""
    drawn: list[Drawn] = [python("train.py(9): main", 0, 4_000 * US)]
    for turn in range(20):
        at = 100 * US * turn
        drawn += [
            range_(f"layer#{turn}", at, at + 90 * US),
            op("aten::linear", at, at + 10 * US),
            kernel(at + 12 * US, at + 30 * US, name="gemm", launched=(at + 1, at + 9 * US)),
            kernel(at + 50 * US, at + 60 * US, name="add", launched=(at + 40 * US, at + 42 * US)),
            kernel(at + 60 * US, at + 75 * US, kind="memcpy", name="Memcpy DtoH (Device -> Pageable)"),
        ]
    found = tmp_path_factory.mktemp("reported") / "step.json"
    found.write_bytes(kineto_json(trace(*drawn)))
    return found


def test_the_text_begins_with_what_to_fix_and_folds_the_rest(path: Path) -> None:
    answer = markdown_answer(path, "")
    head, _, rest = answer["text"].decode().partition("<details>")
    assert len(head.rstrip().splitlines()) <= HEAD_LINES
    assert "# step.json: what should I fix first?" in head
    assert "launches come too late (capture it in a CUDA graph, or fuse its small kernels)" in head
    assert "copies DtoH to pageable memory with no kernel beside" in head
    assert "train.py(9): main" in head
    assert "The evidence, in 5 sections" in rest
    assert "operator aten::linear" in rest
    assert "kernels without launch" in rest
    assert {name for name in answer if name.endswith(".svg")} == {"idle.light.svg", "idle.dark.svg"}
    assert all(name.encode() in answer["text"] for name in answer if name.endswith(".svg"))


def test_the_page_has_the_same_and_its_links_lead_nowhere(path: Path) -> None:
    page = html_answer(path)["file"].decode()
    read(page)
    for words in (
        "what should I fix first?",
        "launches come too late",
        "Busy and idle by cause",
        "Chains worth fusing",
    ):
        assert words in page
    assert "any_trace?" not in page


def test_a_file_without_a_gpu_says_so(tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_bytes(kineto_json(trace(op("aten::add", 0, 10))))
    assert "What to fix is not said: no gpu events" in markdown_answer(tmp_path / "cpu.json", "")["text"].decode()
