"""Every output says of a key of a shipped run what `show --json` says: terminal, reports, frames, exports."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from html import unescape
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rope_prof.analysis.run.sweep import sweep
from rope_prof.commands.printing import print_run
from rope_prof.opened.exchange import exchanged
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.units import MISSING, ends, gigabytes_per_s, microseconds, number, percent, ratio
from rope_prof.views.blocks.overview import overview
from rope_prof.views.blocks.overview_tables import table as overview_frame
from rope_prof.views.page.files import csv_of
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import report_markdown
from rope_prof.views.words.figures import error
from rope_prof.views.words.sweep import is_sweep

TRACES = Path(__file__).resolve().parents[2] / "traces"
RUNS = sorted(folder.name for folder in TRACES.iterdir() if (folder / "run.json").is_file())
Key = dict[str, Any]
Columns = tuple[Callable[[Key], str], ...]


@dataclass(frozen=True)
class Shown:
    """A shipped run opened, and what `show --json` says of its keys."""

    opened: OpenedRun
    keys: tuple[Key, ...]


@pytest.fixture(scope="module", params=RUNS)
def shown(request: pytest.FixtureRequest) -> Shown:
    folder = TRACES / request.param
    opened = open_run(folder)
    with redirect_stdout(io.StringIO()) as printed:
        print_run(opened, as_json=True)
    return Shown(opened, tuple(json.loads(printed.getvalue())["keys"]))


def of(field: str, end: str = "median") -> Callable[[Key], float | None]:
    return lambda key: key[field] and key[field][end]


def wall_us(key: Key) -> str:
    return microseconds(of("wall_ns")(key))


def device_us(key: Key) -> str:
    return microseconds(of("device_ns")(key))


def idle(key: Key) -> str:
    wall, bubble = of("wall_ns")(key), key["bubble_corrected_ns"]
    return percent(bubble / wall if wall and bubble is not None else None) + " ≠" * (key["bubbles_agree"] is False)


#: The columns of `show` behind the path, of what the JSON says.
TABLE: Columns = (
    lambda key: MISSING if key["kernels_per_call"] is None else f"{key['kernels_per_call']:g}",
    lambda key: microseconds(key["busy_ns"]),
    lambda key: microseconds(key["bubble_raw_ns"]) + "?" * (key["bubble_raw_trusted"] is False),
    lambda key: microseconds(key["bubble_corrected_ns"]) + "≠" * (key["bubbles_agree"] is False),
    lambda key: microseconds(key["bubble_host_ns"]),
    lambda key: microseconds(key["bubble_queue_ns"]),
    wall_us,
    lambda key: ends(key["wall_ns"]["lo"], key["wall_ns"]["hi"]) if key["wall_ns"] else "",
    device_us,
    lambda key: ratio(key["inflation"]),
    lambda key: ratio(key["light_inflation"]),
    lambda key: ratio(key["speedup"]),
    lambda key: error(key["max_error"]),
)
#: The same of the table of a report.
REPORT: Columns = (
    lambda key: number(key["kernels_per_call"]),
    device_us,
    wall_us,
    lambda key: ends(key["p10_ns"], key["p90_ns"]) or MISSING,
    lambda key: str(key["wall_ns"]["n"]) if key["wall_ns"] else MISSING,
    idle,
    lambda key: gigabytes_per_s(key["bytes_per_s"]),
    lambda key: percent(key["roofline_share"]),
    lambda key: error(key["max_error"]),
)
#: The columns of the overview's table, and of a sweep's, as they are downloaded.
OVERVIEW: dict[str, Callable[[Key], Any]] = {
    **{name: lambda key, name=name: key[name] for name in ("path", "mode", "l2", "status", "reason")},
    **{name: lambda key, name=name: key[name] for name in ("kernels_per_call", "busy_ns", "inflation", "max_error")},
    **{name: lambda key, name=name: key[name] for name in ("bubble_corrected_ns", "bubble_by_replay_ns")},
    "bubbles_agree": lambda key: key["bubbles_agree"],
    "wall_ns": of("wall_ns"),
    "wall_lo_ns": of("wall_ns", "lo"),
    "wall_hi_ns": of("wall_ns", "hi"),
    "rounds": of("wall_ns", "n"),
}
SWEEP: dict[str, Callable[[Key], Any]] = {
    **{name: lambda key, name=name: key[name] for name in ("key", "path", "mode", "l2", "rank", "status")},
    **{name: lambda key, name=name: key[name] for name in ("byte_floor_ns", "roofline_share", "bytes_per_s")},
    "wall_ns": of("wall_ns"),
    "wall_lo_ns": of("wall_ns", "lo"),
    "wall_hi_ns": of("wall_ns", "hi"),
    "device_ns": of("device_ns"),
}


def held(frame: pl.DataFrame, keys: Iterable[Key], columns: dict[str, Callable[[Key], Any]]) -> None:
    keys = list(keys)
    assert frame.height == len(keys)
    for row, key in zip(frame.iter_rows(named=True), keys, strict=True):
        for name, told in columns.items():
            assert row[name] == told(key), (key["key"], name, row[name], told(key))


def test_every_shipped_run_is_held_to_it() -> None:
    assert len(RUNS) >= 6


def test_show_prints_it(shown: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    print_run(shown.opened)
    lines = capsys.readouterr().out.splitlines()
    if is_sweep(sweep(shown.opened.rows), shown.opened.run.operation):
        for key in shown.keys:
            count = f"{key['case'][shown.opened.run.operation.swept]:,}"
            assert any(count in line and wall_us(key) in line for line in lines), key["key"]
        return
    for _, group in groupby(shown.keys, key=lambda key: key["case"]["name"]):
        keys = list(group)  # a column without any figure in the table of a case is left out
        used = [text for text in TABLE if any(text(key) not in (MISSING, "") for key in keys)]
        for key in keys:
            cells = r"\s+".join(re.escape(text(key)) for text in used if text(key))
            wanted = re.compile(rf"\s*{re.escape(key['path'])} {key['mode']}\b.*?\s{cells}\s*")
            assert any(wanted.fullmatch(line) for line in lines), wanted.pattern


def test_the_reports_print_it(shown: Shown) -> None:
    """The page of every key; the Markdown, which has little room, of the first of each table."""
    made, _ = cleaned_report(shown.opened)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", report_html(made))]
    page = {tuple(unescape(re.sub("<.*?>", "", cell)) for cell in row[-len(REPORT) :]) for row in cells}
    plain = re.sub(r"\\(?=\W)", "", report_markdown(made)).splitlines()
    text = {tuple(line.strip("| ").split(" | ")[-len(REPORT) :]) for line in plain}
    wanted = [tuple(column(key) for column in REPORT) for key in shown.keys]
    assert [row for row in wanted if row not in page] == []
    assert wanted[0] in text
    assert sum(row in text for row in wanted) >= min(len(wanted), 12)


def test_the_frames_of_the_pages_hold_it(shown: Shown) -> None:
    """As downloaded: through CSV, which loses no digit."""
    for name, group in groupby(shown.keys, key=lambda key: key["case"]["name"]):
        frame = overview_frame(overview(shown.opened.rows, name))
        kinds = {column: pl.String if kind == pl.Null else kind for column, kind in frame.schema.items()}
        held(pl.read_csv(BytesIO(csv_of(frame)), schema=kinds), group, OVERVIEW)
    swept = sweep(shown.opened.rows)
    told = {key["key"]: key for key in shown.keys}
    held(swept, (told[name] for name in swept["key"]), SWEEP)
    for row in swept.iter_rows(named=True):
        paired = told[row["key"]]["mode_speedup"]
        if row["speedup"] is not None:
            assert (row["speedup"], row["speedup_lo"], row["speedup_hi"]) == (
                paired["median"],
                paired["lo"],
                paired["hi"],
            )


def test_formats_of_other_tools_hold_it(shown: Shown) -> None:
    told = [key for key in shown.keys if key["status"] == "measured" and (key["wall_ns"] or key["device_ns"])]
    entries = json.loads(exchanged(shown.opened, "github-benchmark")[0])
    wanted = [(clock, of(f"{clock}_ns")(key)) for key in told for clock in ("wall", "device") if key[f"{clock}_ns"]]
    assert [(one["name"].rpartition(" · ")[2], one["value"]) for one in entries] == [
        (clock, pytest.approx(ns / 1000)) for clock, ns in wanted
    ]
    marks = json.loads(exchanged(shown.opened, "pytest-benchmark")[0])["benchmarks"]
    assert [one["stats"]["median"] for one in marks] == [pytest.approx(of("wall_ns")(key) / 1e9) for key in told]
