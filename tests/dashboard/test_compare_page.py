"""Compare: both sides live in the address, the table is the command's, a refusal is its sentence."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rope_prof.cli import main
from rope_prof.dashboard import loading
from rope_prof.model.samples import samples_schema
from tests.dashboard.drawn_run import HOSTILE, write_gpu_run
from tests.dashboard.test_dashboard_pages import app, asked, html_of
from tests.dashboard.walks import SHOTS, dashboard, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from streamlit.testing.v1 import AppTest


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two runs, in which the dashboard and the commands start."""
    write_gpu_run(tmp_path / "traces" / "today")
    write_gpu_run(tmp_path / "traces" / "week-ago", tokens=(973,))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "traces" / "today"


def typed(found: AppTest) -> list[str]:
    """The words of the command that the page gives, after `python -m rope_prof`."""
    (block,) = found.code
    words = shlex.split(block.value)
    assert words[:3] == ["python", "-m", "rope_prof"]
    return words[3:]


def test_the_command_that_it_gives_says_the_same_table(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = app(monkeypatch, runs, "compare")
    assert not found.exception
    assert [asked(found, f"from{rest}") for rest in ("", "_path", "_mode")] == ["today", "unfused", "eager"]
    assert [asked(found, f"to{rest}") for rest in ("", "_path", "_mode")] == ["today", "fused", "eager"]
    words = typed(found)
    assert words == ["compare", "traces/today:unfused/eager", "traces/today:fused/eager"]
    assert main([*words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["verdicts"]
    shown = found.dataframe[0].value
    assert shown["verdict"].to_list() == [one["word"] for one in said]
    assert shown["metric"].to_list() == [one["metric"] for one in said]
    assert len(said) == 8
    text = html_of(found)
    assert "one machine, one day" in text
    assert not found.get("plotly_chart"), "drawn at once: Plotly takes longer to load than all the rest"
    assert '<img class="rp-picture"' in text
    labels = [element.proto.label for element in found.get("download_button")]
    assert labels == ["Picture, PNG", "Picture, SVG", "Table, CSV", "Markdown for a pull request"]


def test_a_refusal_is_the_sentence_of_the_command_and_can_be_waived(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sides = {"from": "week-ago", "from_path": "fused", "to": "today", "to_path": "fused"}
    found = app(monkeypatch, runs, "compare", **sides)
    assert not found.exception
    assert main(["compare", "traces/week-ago:fused/eager", "traces/today:fused/eager"]) == 3
    said = capsys.readouterr().err.splitlines()
    (sentence,) = (line.removeprefix("error: ") for line in said if line.startswith("error: "))
    assert "say --anyway" in sentence
    text = html_of(found).replace("&#x27;", "'")
    assert sentence in text
    assert text.index('<td class="bad">tokens</td>') < text.index(sentence), "what differs stands unfolded above it"
    assert not found.dataframe
    found.toggle(key="pick-anyway").set_value(True).run()
    assert asked(found, "anyway") == "yes"
    assert typed(found)[-1] == "--anyway"
    assert found.dataframe[0].value["case"].to_list() == ["973 tokens"] * 4


def test_the_baseline_of_every_page_is_where_it_starts(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, runs, "compare", base="week-ago~fused.eager.cold", anyway="yes")
    assert [asked(found, f"from{rest}") for rest in ("", "_path", "_mode")] == ["week-ago", "fused", "eager"]
    assert [asked(found, f"to{rest}") for rest in ("", "_path", "_mode")] == ["today", "fused", "eager"]
    none = app(monkeypatch, runs, "compare", base="none", path="per-token")
    assert (asked(none, "from_path"), asked(none, "to_path")) == ("unfused", "per-token")


def test_unknown_sides_say_so_and_fall_back(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"from": "<i>x", "from_path": "y", "from_mode": "z", "to": "q", "anyway": "perhaps", "metric": "joy"}
    found = app(monkeypatch, runs, "compare", **wrong)
    assert not found.exception
    text = html_of(found)
    for what in ("baseline run &#x27;&lt;i&gt;x", "baseline path &#x27;y", "baseline mode &#x27;z", "candidate run"):
        assert f"no {what}" in text
    assert "no word for anyway &#x27;perhaps" in text
    assert "no metric &#x27;joy" in text
    assert [asked(found, name) for name in ("from", "to", "anyway", "metric")] == ["today", "today", "no", "wall"]


def test_choosers_write_the_address_and_sides_can_be_swapped(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, runs, "compare")
    found.selectbox(key="pick-to_path").set_value("per-token").run()
    assert asked(found, "to_path") == "per-token"
    before = found.dataframe[0].value["verdict"].to_list()
    found.button(key="swap").click().run()
    assert (asked(found, "from_path"), asked(found, "to_path")) == ("per-token", "unfused")
    turned = {"FASTER": "SLOWER", "SLOWER": "FASTER"}
    assert found.dataframe[0].value["verdict"].to_list() == [turned.get(word, word) for word in before]
    assert "FASTER" in before
    assert typed(found) == ["compare", "traces/today:per-token/eager", "traces/today:unfused/eager"]
    links = [element.proto.query_string for element in found.get("page_link")]
    assert links


def test_all_paths_and_modes_of_two_runs_are_typed_as_the_runs_alone(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = dict.fromkeys(("from_path", "from_mode", "to_path", "to_mode"), "all")
    found = app(monkeypatch, runs, "compare", **{"from": "week-ago", "to": "today", "anyway": "yes"}, **whole)
    assert typed(found) == ["compare", "traces/week-ago", "traces/today", "--anyway"]
    eager = whole | {"from_mode": "eager", "to_mode": "eager"}
    one = app(monkeypatch, runs, "compare", **{"from": "week-ago", "to": "today", "anyway": "yes"}, **eager)
    assert typed(one) == ["compare", "traces/week-ago:/eager", "traces/today:/eager", "--anyway"]
    assert set(one.dataframe[0].value["candidate"]) == {f"{p} eager cold" for p in ("unfused", "per-token", "fused")}


def test_a_side_against_itself_is_one_sentence(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, runs, "compare", from_path="fused", to_path="fused")
    assert not found.exception
    assert "are the same keys of one run" in html_of(found)


def test_a_damaged_run_is_a_sentence_under_its_chooser(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (runs.parent / "week-ago" / "run.json").write_text("{", encoding="utf-8")
    found = app(monkeypatch, runs, "compare", **{"from": "week-ago"})
    assert not found.exception
    assert "is damaged" in html_of(found)
    assert found.selectbox(key="pick-from").value == "week-ago"
    found.selectbox(key="pick-from").set_value("today").run()
    assert found.dataframe


def test_a_run_without_samples_says_why_nothing_is_known(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    pl.DataFrame(schema=samples_schema()).write_parquet(runs / "samples.parquet")
    found = app(monkeypatch, runs, "compare")
    assert not found.exception
    text = html_of(found)
    assert "Not decided" in [fold.label for fold in found.expander]
    assert "no samples that both sides have" in text


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 800)), ("dark", (1920, 1080))])
def test_two_sides_in_a_browser(chromium: Browser, hostile: str, scheme: str, size: tuple[int, int]) -> None:
    SHOTS.mkdir(exist_ok=True)
    width, height = size
    with opened(chromium, viewport={"width": width, "height": height}, color_scheme=scheme) as (page, wrong):
        page.goto(f"{hostile}/compare")
        page.wait_for_selector("img.rp-picture", timeout=60_000)
        page.wait_for_selector("[data-testid=stStatusWidget]", state="detached", timeout=60_000)
        assert page.locator("main b b, main a[href*=evil], img[src*=evil]").count() == 0
        for title in ("Every verdict", "How this was measured"):
            page.get_by_text(title).click()
        page.locator("[data-testid=stCode]").wait_for()
        assert NAME in page.locator("[data-testid=stCode]").inner_text()
        assert "2 FASTER" in page.locator(".rp .wide").first.inner_text()
        page.screenshot(path=str(SHOTS / f"compare-{width}-{scheme}.png"))
        page.get_by_role("button", name="Swap sides").click()
        page.wait_for_url("**from_path=fused**", timeout=30_000)
        page.wait_for_function("() => document.body.innerText.includes('2 SLOWER')", timeout=30_000)
        page.get_by_role("link", name="Kernels").click()
        page.wait_for_url("**/kernels?**", timeout=30_000)
        page.get_by_role("link", name="Compare").click()
        page.wait_for_selector("img.rp-picture", timeout=60_000)
        assert "from_path=fused" in page.url
        page.get_by_test_id("stPopoverButton").click()
        with page.expect_download(timeout=30_000) as waited:
            page.get_by_role("button", name="Markdown for a pull request").click()
        text = Path(waited.value.path()).read_text(encoding="utf-8")
        assert "| case | baseline | candidate |" in text
        assert "**SLOWER**" in text
        assert "(tokens, host and user names, home folders, paths)." in text, "cleaned as the command's"
        assert wrong == []


NAME = "_x_ <b>hostile<b>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_gpu_run(tmp_path_factory.mktemp("compare") / NAME, names=HOSTILE)
    with dashboard(str(folder)) as found:
        yield found


def test_the_runs_of_the_choosers_are_those_of_the_header(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = app(monkeypatch, runs, "compare")
    assert found.selectbox(key="pick-from").options == list(loading.runs())
