"""The history of a name: where levels changed, by hand-made medians; as JSON, as a page, without the library."""

from __future__ import annotations

import json
import random
from math import exp
from pathlib import Path

import pytest

from rope_prof.analysis.comparison import changes
from rope_prof.analysis.comparison.changes import change_points, histories
from rope_prof.cli import main
from rope_prof.io.run import baselines
from rope_prof.io.run.baselines import Baselines
from rope_prof.views.blocks.history import history_blocks, history_report
from rope_prof.views.blocks.model import Bullets, Picture, Words
from tests.commands.test_schema import faults
from tests.opened.test_baselines import put, recorded


def scattered(*levels: float, each: int = 8, by: float = 0.01, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [level * exp(source.gauss(0, by)) for level in levels for _ in range(each)]


def test_a_planted_change_is_found_where_it_is() -> None:
    (found,) = change_points(scattered(100, 110))
    assert found.at == 8
    assert found.word == "SLOWER"
    assert found.lo < 100 / 110 < found.hi
    one, two = change_points(scattered(100, 110, 70))
    assert [(one.at, one.word), (two.at, two.word)] == [(8, "SLOWER"), (16, "FASTER")]
    (back,) = change_points(list(reversed(scattered(100, 110))))
    assert back.word == "FASTER", "the other way round it is the other word"
    assert back.at == 8


def test_no_change_is_found_where_none_is() -> None:
    hits = sum(bool(change_points(scattered(100, each=20, by=0.03, seed=seed))) for seed in range(200))
    assert hits <= 10, f"{hits} of 200 histories without a change"
    assert change_points([100] * 8) == ()
    assert change_points([100, 130, 130]) == (), "three are too few"
    assert change_points([*[100] * 8, 130]) == (), "one recording alone is no level"
    assert change_points(scattered(100, 101.5, by=0.0001)) == (), "within 2 % it is the same"


def test_what_one_code_differs_by_is_no_change() -> None:
    medians = scattered(100, 108, each=3, by=0.001)
    assert len(change_points(medians)) == 1
    assert change_points(medians, factor=1.3) == ()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Baselines:
    """Six recordings; from the fourth on the fused path's host part takes three times as long."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv(baselines.VARIABLE, raising=False)
    kept = Baselines()
    for day in range(1, 7):
        slower = 3.0 if day > 3 else 1.0
        torch = "2.12.0" if day > 3 else "2.11.0"
        put(kept, recorded(tmp_path / str(day), day, slower, commit=f"{day}" * 10, torch=torch))
    return kept


def test_a_history_says_which_commit_and_what_else_differs(store: Baselines) -> None:
    (found,) = histories(store.all("main"))
    changed = {f"{line.key.path} {line.key.mode} {line.clock}" for line in found.lines if line.changes}
    assert changed == {"fused eager wall"}
    blocks = history_blocks(found)
    assert isinstance(blocks[0], Bullets)
    (said,) = blocks[0].items
    assert "from recording 4 (4444444, 2026-01-04) on; the last of before is 3333333" in said
    assert "the machines differ: 2.11.0 then 2.12.0" in said
    first = next(block for block in blocks if isinstance(block, Picture))
    assert "fused eager" in first.title
    (marked,) = (point for point in first.chart.series[0].points if point.sign)  # type: ignore[union-attr]
    assert marked.x == 4
    assert marked.sign.startswith("▼ +")
    report = history_report((found,))
    assert report.headline is not None
    assert report.headline.tone == "bad"


def test_it_is_told_as_text_as_json_and_as_a_page(
    store: Baselines, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store.names() == ("main",)
    assert main(["baseline", "history", "main"]) == 0
    assert "Changes of level" in capsys.readouterr().out
    page = tmp_path / "history.html"
    assert main(["baseline", "history", "main", "-o", str(page), "--json"]) == 0
    out = capsys.readouterr()
    assert "one page" in out.err
    assert faults("history", json.loads(out.out)) == []
    (said,) = json.loads(out.out)["histories"]
    (change,) = (change for line in said["lines"] for change in line["changes"])
    assert (change["at"], change["word"]) == (3, "SLOWER")
    assert [one["commit"][0] for one in said["recordings"]] == list("123456")
    text = page.read_text(encoding="utf-8")
    assert "▼ +" in text
    assert "4444444" in text
    assert "http" not in text.replace("http://www.w3.org", "").replace("http-equiv", "")
    assert main(["baseline", "history", "main", "-o", str(tmp_path)]) == 2


def test_without_the_library_it_is_drawn_and_says_so(
    store: Baselines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert store.address

    def missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(changes, "import_module", missing)
    assert main(["baseline", "history", "main"]) == 0
    assert "rope-prof[history]" in capsys.readouterr().out
    (found,) = histories(store.all("main"))
    assert isinstance(history_blocks(found)[0], Words)
    headline = history_report((found,)).headline
    assert headline is not None
    assert headline.tone == "doubt"
