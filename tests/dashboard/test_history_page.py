"""History: the page says which recording changed a level, draws it, and without a baseline says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER
from rope_prof.io.run import baselines
from rope_prof.io.run.baselines import Baselines
from tests.dashboard.test_any_trace_page import html_of
from tests.opened.test_baselines import put, recorded

APP = str(FOLDER / "pages/app.py")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    store = Baselines(str(folder / "kept"))
    for day in range(1, 7):
        put(store, recorded(folder / str(day), day, 3.0 if day > 3 else 1.0, commit=f"{day}" * 10))
    put(store, recorded(folder / "one", 9), "release")
    return folder


def app(monkeypatch: pytest.MonkeyPatch, folder: Path, store: str, **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", "--run", str(folder / "1")])
    monkeypatch.setenv(baselines.VARIABLE, str(folder / store))
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    found.switch_page("history.py")
    return found.run()


def test_it_says_what_changed_and_draws_it(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, kept, "kept", kept="main")
    assert not found.exception
    assert "from recording 4 (4444444, 2026-01-04) on" in html_of(found)
    assert len(found.get("plotly_chart")) == 8
    assert found.selectbox(key="pick-kept").options == ["main", "release"]
    other = app(monkeypatch, kept, "kept", kept="release")
    assert "No key changed its level over 1 recordings" in html_of(other)
    asked = app(monkeypatch, kept, "kept", kept="nope")
    assert "nope" in html_of(asked)
    assert not asked.exception


def test_without_a_baseline_it_says_what_to_do(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, kept, "none")
    assert not found.exception
    assert "baseline set main RUN" in html_of(found)


def test_a_damaged_store_is_one_sentence(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept / "bad" / "main").mkdir(parents=True)
    (kept / "bad" / "main" / "1-a.json").write_text("{")
    found = app(monkeypatch, kept, "bad")
    assert not found.exception
    assert "is damaged" in html_of(found)
