"""Ranks: the late one is named first, its calls are red, and the ranks' timelines lie on one clock."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER
from rope_prof.io.trace.dataset import Dataset
from rope_prof.io.trace.storage import found as traces_of
from rope_prof.ranks.run import analyze_many
from rope_prof.ranks.task import Task
from rope_prof.ranks.work import account
from tests.dashboard.drawn_run import write_gpu_run
from tests.ranks.drawn_ranks import write_job


class Here:
    """Every task in this very process."""

    def run(self, tasks: Any) -> Any:
        return map(account, tasks)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run to open the dashboard with; a permitted folder with a job of six ranks and its analysis."""
    folder = tmp_path_factory.mktemp("ranks")
    write_gpu_run(folder / "run", tokens=(973,))
    write_job(folder / "work" / "job", size=6, late={4: 3_000}, range_name="<b>rope</b>")
    (folder / "work" / "job" / "rank9.json").write_text("{}")
    tasks = [Task(source=source) for source in traces_of([str(folder / "work" / "job")])]
    analyze_many(tasks, Dataset(folder / "work" / "analysis"), Here(), lambda *_: None)
    return folder


def app(monkeypatch: pytest.MonkeyPatch, place: Path, folder: Path, **params: str) -> AppTest:
    words = ["app.py", "--run", str(place / "run"), "--folder", str(folder)]
    monkeypatch.setattr(sys, "argv", words)
    shown = AppTest.from_file(str(FOLDER / "pages/app.py"), default_timeout=60)
    for name, value in params.items():
        shown.query_params[name] = value
    shown.switch_page("ranks.py")
    return shown.run()


def html_of(shown: AppTest) -> str:
    return " ".join(element.proto.body for element in shown.get("html"))


def test_the_page_names_the_late_rank_and_draws_it_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = app(monkeypatch, place, place / "work")
    assert not shown.exception
    text = html_of(shown)
    assert "rank 4 is late" in text
    assert "<b>rope" not in text
    assert "6 sound, 1 unreadable" in text
    (chart,) = shown.get("plotly_chart")
    assert "&lt;b&gt;rope&lt;/b&gt;" in json.loads(chart.proto.spec)["layout"]["yaxis"]["ticktext"]
    assert shown.dataframe[0].value["rank"].to_list() == ["0", "1", "2", "3", "4", "5", "9"]
    assert shown.multiselect(key="pick-ranks").value == ["0", "1", "2", "4"]
    assert len(shown.get("bidi_component")) == 1
    assert "one clock, by the ends of 8 collectives" in text


def test_unknown_ranks_of_the_address_are_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = app(monkeypatch, place, place / "work", ranks="5,77", fleet="nope")
    assert not shown.exception
    assert shown.multiselect(key="pick-ranks").value == ["5"]
    text = html_of(shown)
    assert "no rank &#x27;77" in text
    assert "no analysis &#x27;nope" in text


def test_traces_outside_the_permitted_folders_are_not_opened(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = app(monkeypatch, place, place / "work" / "analysis")
    assert not shown.exception
    assert "No timeline: no file" in html_of(shown)
    assert not shown.get("bidi_component")
    assert shown.get("plotly_chart")


def test_without_an_analysis_the_page_says_how_to_make_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    shown = app(monkeypatch, place, place / "work" / "job")
    assert not shown.exception
    assert "rope_prof analyze FOLDER" in html_of(shown)
