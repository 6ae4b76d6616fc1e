"""What `show --json` says of a shipped run beside its keys, and `compare` of two paths: every form prints that."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from rope_prof.analysis.run.sweep import sweep
from rope_prof.analysis.stats import Figure
from rope_prof.cli import main
from rope_prof.commands.printing import print_run
from rope_prof.model.run import MODES
from rope_prof.opened.report import cleaned_report
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.units import MISSING, duration, ends, microseconds, milliseconds, ratio, significant
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import report_markdown
from rope_prof.views.words.requests import median_ms, share
from rope_prof.views.words.sweep import is_sweep
from rope_prof.views.words.verdicts import gain

TRACES = Path(__file__).resolve().parents[2] / "traces"
RUNS = sorted(folder.name for folder in TRACES.iterdir() if (folder / "run.json").is_file())
Said = Mapping[str, Any]


@dataclass(frozen=True)
class Numbers:
    """A shipped run opened, what `show --json` says of it, and the lines of `show`."""

    opened: OpenedRun
    said: dict[str, Any]
    lines: list[str]

    @property
    def swept(self) -> bool:
        return is_sweep(sweep(self.opened.rows), self.opened.run.operation)

    def row(self, first: str, *texts: str) -> int:
        """The line that begins with `first`, an empty cell ahead of it or not, and ends with these cells."""
        wanted = re.compile(rf"\s*(?:\S.*?\s{{2,}})?{re.escape(first)}\b.*?\s" + r"\s+".join(map(re.escape, texts)))
        found = [at for at, line in enumerate(self.lines) if wanted.fullmatch(line.rstrip())]
        assert found, wanted.pattern
        return found[0]


@pytest.fixture(scope="module", params=RUNS)
def numbers(request: pytest.FixtureRequest) -> Numbers:
    opened = open_run(TRACES / request.param)
    printed = []
    for as_json in (True, False):
        with redirect_stdout(io.StringIO()) as out:
            print_run(opened, as_json=as_json)
        printed.append(out.getvalue())
    return Numbers(opened, json.loads(printed[0]), printed[1].splitlines())


def figure(said: Said | None) -> Figure | None:
    return None if said is None else Figure(**said)


def best(one: Said) -> str:
    step = one["best"]
    return f"{gain(figure(step['ratio']))} ({step['cand_mode']} against {one['baseline']} {step['base_mode']})"


def test_show_and_the_reports_tell_the_headlines(numbers: Numbers) -> None:
    assert numbers.said["headlines"]
    made, _ = cleaned_report(numbers.opened)
    page, text = unescape(re.sub("<.*?>", "", report_html(made))), re.sub(r"\\(?=\W)", "", report_markdown(made))
    shown = " ".join(" ".join(numbers.lines).split())
    for one in numbers.said["headlines"]:
        if one["rank"] == 0 and not numbers.swept:
            assert best(one) in shown
    told = [ratio(one["best"]["ratio"]["median"]) for one in numbers.said["headlines"]]
    assert any(one in page for one in told)
    assert any(one in text for one in told)


def test_show_prints_what_modes_buy(numbers: Numbers) -> None:
    rows = numbers.said["modes"]
    used = [mode for mode in MODES if any(mode in row["wall_ns"] for row in rows)]
    if numbers.swept or len(used) < 2:
        return
    alone = [name for mode, name in (("compile", "compiler"), ("graph", "graph")) if mode in used]
    for row in rows:
        walls = [microseconds(row["wall_ns"][mode]["median"]) if mode in row["wall_ns"] else MISSING for mode in used]
        fusing = [gain(figure(row["fusing"].get(mode))) for mode in used]
        after = f"{gain(figure(row['after_all']))} {'/'.join(row['fastest'])}" if row["fastest"] else MISSING
        numbers.row(row["path"], *walls, *(gain(figure(row[name])) for name in alone), *fusing, *after.split())


def test_show_prints_where_the_time_went(numbers: Numbers) -> None:
    """Terms with their intervals below, the residual, what each side leaves; two terms by difference in one line."""
    found = [] if numbers.swept else numbers.said["decompositions"]
    names = dict.fromkeys(term["name"] for one in found if one["residual"] for term in one["terms"])
    for one in found:
        path, measured = one["cand"].partition(".")[0].replace("@", ":"), one["residual"] is not None
        terms = {term["name"]: term for term in one["terms"]}
        listed = [one["total"], *map(terms.get, names if measured else terms), *([one["residual"]] if measured else ())]
        values = [microseconds(term["saved_ns"] if term else None) for term in listed]
        known = ["" if not term or term["lo"] == term["hi"] else ends(term["lo"], term["hi"]) for term in listed]
        if not measured:
            numbers.row(path, *(f"{value} {end}".rstrip() for value, end in zip(values, known, strict=True)))
            continue
        sides = [f"{side['share']:.1%}" + ("" if side["closes"] else " NO") for side in one["sides"]]
        at = numbers.row(path, *values, *sides, "yes" if one["closes"] else "NO")
        assert numbers.lines[at + 1].split() == " ".join(known).split()


def test_show_prints_the_floors(numbers: Numbers) -> None:
    """A row a path: the pass, a launch, a node, then of every mode how near it comes and what it took of the win."""
    if numbers.swept:
        return
    floors = [one for one in numbers.said["floors"] if one["floor_ns"] is not None]
    used = [mode for mode in MODES if any(one["mode"] == mode for one in floors)]
    groups: dict[tuple[Any, ...], dict[str, Said]] = {}
    for one in floors:
        groups.setdefault((one["case"], one["path"], one["l2"], one["rank"]), {})[one["mode"]] = one
    for (_, path, *_), found in groups.items():
        launched = [found.get("eager") or found.get("compile"), found.get("graph")]
        times = [microseconds(one["launch_ns"] if one else None) for one in launched]
        shares = [found.get(mode, {}).get(part) for part in ("share", "won") for mode in used]
        told = [MISSING if value is None else f"{value:.1%}" for value in shares]
        numbers.row(path, microseconds(next(iter(found.values()))["bytes_ns"]), *times, *told)


def test_show_prints_whole_requests(numbers: Numbers) -> None:
    for row in numbers.said.get("end_to_end", {"rows": ()})["rows"]:
        if row["token_ns"] is None and (row["prefill_ns"] is None or row["mode"] != "eager"):
            continue
        whole = milliseconds(row["request_ns"]["median"]) if row["request_ns"] else MISSING
        cells = [
            *(median_ms(figure(row["prefill_ns"])), share(figure(row["prefill_over_stock"]))),
            *(median_ms(figure(row["token_ns"])), share(figure(row["token_over_stock"]), bounds=True)),
            *(share(figure(row["token_gain"])), whole),
            *(share(figure(row["request_over_stock"])), share(figure(row["request_gain"]))),
        ]
        numbers.row(row["path"], row["mode"], *cells)


def sides(verdict: Said) -> Iterator[tuple[str, ...]]:
    """The cells of a verdict behind those of its keys, and of the parts of a bubble below it."""
    exact, found = verdict["metric"] == "kernels", verdict["ratio"]
    values = [verdict["before"], verdict["after"]]
    texts = [(MISSING if one is None else f"{one:g}") if exact else duration(one) for one in values]
    interval = MISSING
    if found is not None and found["lo"] is not None:
        interval = "exact" if exact else f"[{significant(found['lo'], 4)}, {significant(found['hi'], 4)}]"
    yield (verdict["metric"], verdict["word"], *texts, ratio(found["median"] if found else None), interval)
    parts = verdict["before_parts"], verdict["after_parts"]
    for name, sign in (("host", "="), ("queue", "+")) if parts != (None, None) else ():
        yield (f"{sign} {name}", *(duration(part[name]) if part else MISSING for part in parts))


@pytest.mark.parametrize("run", RUNS)
def test_compare_says_the_same_in_every_form(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for form in ("json", "text", "markdown", "junit"):
        assert (
            main(["compare", *(f"{TRACES / run}:{path}/eager" for path in ("unfused", "fused")), "--format", form]) == 0
        )
        said[form] = capsys.readouterr().out
    verdicts = json.loads(said["json"])["verdicts"]
    wanted = [cells for verdict in verdicts for cells in sides(verdict)]
    lines = [" ".join(line.split()) for line in said["text"].splitlines()]
    plain = unescape(re.sub(r"\\(?=\W)|[*`]", "", said["markdown"])).splitlines()
    rows = [tuple(filter(None, (cell.strip() for cell in line.split("|")))) for line in plain]
    at = 0
    for cells in wanted:  # in their order: the same cells may stand in several rows
        text = " ".join(cells)
        at = next(i for i in range(at, len(lines)) if lines[i].endswith(text)) + 1
    at = 0
    for cells in wanted:
        at = next(i for i in range(at, len(rows)) if rows[i][-len(cells) :] == cells) + 1
    for verdict in verdicts:
        if verdict["reason"]:
            assert all(verdict["reason"] in " ".join(text.split()) for text in (said["text"], "\n".join(plain)))
