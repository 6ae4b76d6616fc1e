"""A field has one value: what show, compare, the exports and the report say of a key of a shipped run is the same."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from rope_prof.cli import main
from rope_prof.errors import RunError
from rope_prof.opened.pictures import draw_run
from rope_prof.opened.report import gathered
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.views.words.run_json import row_json

TRACES = Path(__file__).resolve().parents[2] / "traces"
RUNS = sorted(folder.name for folder in TRACES.iterdir() if (folder / "run.json").is_file())


@dataclass(frozen=True)
class Said:
    """What `show --json` says of a shipped run, and the run opened."""

    folder: Path
    opened: OpenedRun
    shown: dict[str, Any]


@pytest.fixture(scope="module", params=RUNS)
def said(request: pytest.FixtureRequest) -> Iterator[Said]:
    folder = TRACES / request.param
    with redirect_stdout(io.StringIO()) as printed:
        assert main(["show", str(folder), "--json"]) == 0
    yield Said(folder, open_run(folder), json.loads(printed.getvalue()))


def test_the_perfetto_export_carries_the_table_that_show_prints(said: Said) -> None:
    cases = list(dict.fromkeys(facts.key.case.name for facts in said.opened.run.keys if facts.trace))
    if not cases:
        with pytest.raises(RunError, match="no trace in run"):
            draw_run(said.opened)
        return
    data = draw_run(said.opened, cases[0]).data
    table, _ = json.JSONDecoder().raw_decode(data[data.index(b'[{"key": ') :].decode("utf-8", errors="replace"))
    assert table == said.shown["keys"]


def test_the_report_is_made_of_the_rows_that_show_prints(said: Said) -> None:
    data = gathered(said.opened)
    assert [row_json(row) for row in data.rows] == said.shown["keys"]
    assert data.captured.keys() == said.opened.captures.keys()
    for name, one in data.captured.items():
        assert one.reason is not None or one.calls == said.opened.captures[name].calls
    shown = said.shown.get("end_to_end")
    assert (data.requests is None) == (shown is None)
    if data.requests is not None and shown is not None:
        assert [asdict(row) for row in data.requests.rows] == [
            {name: row[name] for name in asdict(data.requests.rows[0])} for row in shown["rows"]
        ]


def test_compare_says_of_both_sides_what_show_says(said: Said, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", f"{said.folder}:unfused/eager", f"{said.folder}:fused/eager", "--format", "json"]) == 0
    rows = {row["key"]: row for row in said.shown["keys"]}
    found = json.loads(capsys.readouterr().out)["verdicts"]
    assert found
    for verdict in found:
        base, cand = rows[verdict["base"]], rows[verdict["cand"]]
        for row, parts in ((base, verdict["before_parts"]), (cand, verdict["after_parts"])):
            known = {"host": row["bubble_host_ns"], "queue": row["bubble_queue_ns"]}
            bubble = verdict["metric"] == "bubble" and None not in known.values()
            assert parts == (known if bubble else None)
        for row, value in ((base, verdict["before"]), (cand, verdict["after"])):
            if value is None:
                continue
            shown = {
                "wall": lambda row: row["wall_ns"]["median"],
                "device": lambda row: row["device_ns"]["median"],
                "kernels": lambda row: row["kernels_per_call"],
                "bubble": lambda row: row["bubble_corrected_ns"],
            }[verdict["metric"]](row)
            assert value == shown
        if verdict["metric"] == "wall":
            assert verdict["ratio"] == cand["speedup_interval"]


def test_light_captures_count_everywhere(said: Said) -> None:
    light = [facts for facts in said.opened.run.keys if facts.light_trace is not None]
    shown = {row["key"]: row["light_inflation"] for row in said.shown["keys"]}
    assert all(shown[facts.key.name] is not None for facts in light)
    assert sum(value is not None for value in shown.values()) == len(light)
