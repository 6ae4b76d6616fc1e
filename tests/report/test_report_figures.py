"""What a report says is what `show --json` says; its sections, its limits, what it removes."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from rope_prof.analysis.run.cases import main_case
from rope_prof.analysis.run.noise import noise
from rope_prof.analysis.stats import figure
from rope_prof.io.run.folder import append_samples, read_run, write_run
from rope_prof.io.run.redact import Cleaner, PrivateWords
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import Key, KeyFacts
from rope_prof.model.samples import samples_schema
from rope_prof.opened.report import cleaned_report, gathered
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.units import microseconds, ratio
from rope_prof.views.blocks.model import Block, Bullets, Report
from rope_prof.views.blocks.overview import overview
from rope_prof.views.report.html import report_html
from rope_prof.views.report.markdown import LIMIT, report_markdown
from rope_prof.views.report.report import TITLES, report
from rope_prof.views.words.labels import side_label
from rope_prof.views.words.losses import verdicts
from tests.report.report_reading import tables_of
from tests.runs import key as drawn_key

ORDER = [title for _, _, title in TITLES]


def test_the_twelve_sections_stand_in_their_order(shipped_report, hostile_report) -> None:  # type: ignore[no-untyped-def]
    for written in (shipped_report, hostile_report):
        found = re.findall(r"^## (\d+)\. (.*)$", written.markdown, re.MULTILINE)
        assert found == [(str(n), title) for n, title in enumerate(ORDER, 1)]


def test_every_figure_of_the_table_is_the_one_that_show_prints(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    keys = shipped_json["keys"]
    tables = tables_of(shipped_report.markdown, "Paths and modes")
    rows = [row for table in tables for row in table[1:]]
    assert len(rows) == len(keys)  # type: ignore[arg-type]
    found = {}
    titles = re.findall(r"(?:\*\*|<summary>)(28b · TP 1 · [\d,]+ tokens?)", section(shipped_report.markdown, 2))
    for title, table in zip(titles, tables, strict=True):
        for row in table[1:]:
            found[title.split(" · ")[2].split()[0], row[0]] = row
    for key in keys:  # type: ignore[attr-defined]
        row = found[f"{key['case']['tokens']:,}", f"{key['path']} · {key['mode']}"]
        assert row[1] == f"{key['kernels_per_call']:g}"
        assert row[2] == microseconds(key["device_ns"]["median"])
        assert row[3] == microseconds(key["wall_ns"]["median"])
        assert row[5] == str(key["wall_ns"]["n"])
        idle = key["bubble_corrected_ns"] / key["wall_ns"]["median"]
        assert row[6] == f"{100 * idle:.0f} %" + (" ≠" if key["bubbles_agree"] is False else "")
        assert row[8] == f"{100 * key['roofline_share']:.0f} %"
        assert row[9] == f"{key['max_error']:.2g}"


def test_the_spread_is_that_of_the_samples(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    samples = pl.read_parquet(shipped_report.run / "samples.parquet")
    ends = {k["key"]: (k["p10_ns"], k["p90_ns"]) for k in shipped_json["keys"]}
    wall = samples.filter(pl.col("clock") == "wall").with_columns(each=pl.col("ns") / pl.col("calls"))
    for key, rows in wall.filter(pl.col("key").is_in(list(ends))).group_by("key"):
        each = sorted(rows["each"])
        lo, hi = ends[str(key[0])]
        assert each[0] <= lo <= each[len(each) // 2] <= hi <= each[-1]
        assert sum(ns < lo for ns in each) == pytest.approx(0.1 * len(each), abs=1)
        assert sum(ns > hi for ns in each) == pytest.approx(0.1 * len(each), abs=1)


def test_the_sweep_holds_the_speedups_of_show(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    keys = {
        (f"{k['case']['tokens']:,}", f"{k['path']} {k['mode']}"): k
        for k in shipped_json["keys"]  # type: ignore[attr-defined]
    }
    (table,) = tables_of(shipped_report.markdown, "Sweep")
    head, *rows = table
    checked = 0
    for row in rows:
        for name, cell in zip(head[1:], row[1:], strict=True):
            key = keys[row[0], name]
            assert cell.split()[0] == microseconds(key["wall_ns"]["median"])
            if key["mode_speedup"] is not None and key["path"] != "unfused":
                assert cell.split()[1].lstrip("▼≈?") == ratio(key["mode_speedup"]["median"])
                checked += 1
    assert checked >= 12


def test_whole_requests_are_those_of_show(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    requests = shipped_json["end_to_end"]
    table = next(t for t in tables_of(shipped_report.markdown, "End to end") if "first token ms" in t[0])
    assert len(table) - 1 == len(requests["rows"])  # type: ignore[index]
    for row, said in zip(table[1:], requests["rows"], strict=True):  # type: ignore[index]
        assert row[:2] == [said["path"], said["mode"]]
        assert float(row[4].split()[0]) == pytest.approx(said["token_ns"]["median"] / 1e6, rel=6e-3)
        for column, name in (
            (3, "prefill_over_stock"),
            (5, "token_over_stock"),
            (6, "token_gain"),
            (9, "request_gain"),
        ):
            assert row[column].split()[0] == ("–" if said[name] is None else f"{said[name]['median']:.1%}")
    text = section(shipped_report.markdown, 7)
    assert "share of the step" in text
    assert "A/A noise" in text
    assert text.count("as predicted") == sum(one["held"] for one in requests["predictions"])  # type: ignore[index]


def test_every_trace_is_named_with_its_hash(shipped_report) -> None:  # type: ignore[no-untyped-def]
    (table,) = tables_of(shipped_report.markdown, "Traces")
    said = {row[0]: row[3] for row in table[1:]}
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in shipped_report.run.glob("*.trace.json.gz")}
    assert said == files


def test_the_caption_names_the_calls_and_the_inflation(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    keys = shipped_json["keys"]
    text = section(shipped_report.markdown, 3)
    for key in keys:  # type: ignore[attr-defined]
        if key["case"]["tokens"] == 973 and (key["path"], key["mode"]) in {("unfused", "eager"), ("fused", "eager")}:
            assert ratio(key["inflation"]) in text
    assert len(re.findall(r"call `#\d+` of \d+ \(stretched [\d.]+x\)", text)) == 2
    assert "gaps, and the host" in text, "on which clock it is drawn"


def test_a_section_without_data_says_so(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    text = report_markdown(report(gathered(open_run(write_gpu_run(tmp_path / "run", tokens=(64,))))))
    for title in ("Sweep", "End to end"):
        assert section(text, ORDER.index(title) + 1).strip().endswith("*not measured*")
    page = report_html(report(gathered(open_run(tmp_path / "run"))))
    assert page.count('<p class="muted">not measured</p>') == 2


def test_a_run_without_keys_or_traces_still_reports(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    folder = write_gpu_run(tmp_path / "run", tokens=(64,))
    for path in folder.glob("*.trace.json.gz"):
        path.unlink()
    text = report_markdown(report(gathered(open_run(folder))))
    assert "4 traces are gone" in section(text, 12)
    assert "*not measured*" in section(text, 3)
    write_run(folder, replace(read_run(folder).run, keys=()))
    (folder / "samples.parquet").unlink()
    empty = report_markdown(report(gathered(open_run(folder))))
    assert empty.count("*not measured*") >= 8


def test_a_path_that_loses_is_named_and_marked(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    folder = write_gpu_run(tmp_path / "run")
    run = read_run(folder).run
    frame = pl.read_parquet(folder / "samples.parquet")
    slow = (pl.col("key").str.starts_with("per-token")) & (pl.col("key").str.contains("n973"))
    frame.with_columns(ns=pl.when(slow).then(pl.col("ns") * 10).otherwise(pl.col("ns"))).write_parquet(
        folder / "samples.parquet"
    )
    made = report(gathered(open_run(folder)))
    text = report_markdown(made)
    assert "Where something loses" in section(text, 1)
    assert "slower by wall than unfused · eager: per-token · eager at 973 tokens" in section(text, 1)
    head, *rows = tables_of(text, "Sweep")[0]
    marked = [(row[0], name) for row in rows for name, cell in zip(head, row, strict=True) if "▼" in cell]
    assert marked == [("973", "per-token eager")]
    assert run.complete


def test_a_loss_reads_in_the_report_as_on_the_overview(shipped_report) -> None:  # type: ignore[no-untyped-def]
    folder = read_run(shipped_report.run)
    pairs = verdicts(folder.run, folder.samples)
    case = main_case(folder.run)
    assert case is not None
    said = overview(OpenedRun(folder).rows, case.name, pairs=pairs).losses
    assert any("fused · compile" in text and text.startswith("than unfused · compile") for text in said)
    bullets = next(b for b in blocks(shipped_report.report, "verdict") if isinstance(b, Bullets)).items
    assert sorted(f"slower by wall {text}" for text in said) == sorted(t for t in bullets if " by wall " in t)
    table = tables_of(shipped_report.markdown, "Verdict")[1]
    assert len(table) - 1 == sum(pair.verdict.word == "SLOWER" for pair in pairs)


def test_a_denied_bubble_is_marked_wherever_the_report_shows_it(shipped_report, shipped_json) -> None:  # type: ignore[no-untyped-def]
    denied = [key for key in shipped_json["keys"] if key["bubbles_agree"] is False]
    assert denied
    assert "≠: the cross-check by graph replay disagrees" in section(shipped_report.markdown, 2)
    told = section(shipped_report.markdown, 12)
    assert all(f"by replay {microseconds(key['bubble_by_replay_ns'])} of" in told for key in denied)
    assert "moves time between inefficiency and device gaps" in section(shipped_report.markdown, 8)
    html = page_of(shipped_report.run, 64)
    assert "<b>2.86 µs ≠</b>" in html, "the card"
    assert "5.04 µs, bubble 57 % ≠" in html, "the bar"
    assert "≠ the same by graph replay, which disagrees" in html, "the account of bubbles"


def page_of(run: Path, tokens: int) -> str:
    """The page of a run, of one token count alone."""
    folder = read_run(run)
    keys = tuple(facts for facts in folder.run.keys if facts.key.case["tokens"] == tokens)
    return report_html(report(gathered(OpenedRun(replace(folder, run=replace(folder.run, keys=keys))))))


def test_private_words_go_and_are_counted(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    folder = write_gpu_run(tmp_path / "run", tokens=(64,), names=("kernel<alices-machine>",))
    run = read_run(folder).run
    token = "hf_" + "a1B2" * 8
    command = f"python -m rope_prof record --token {token} -o /home/alice/secret/run --tokens 973 TOKEN=abcdef123"
    write_run(folder, replace(run, command=command, name="alices-machine run"))
    words = PrivateWords({"alices-machine": "host", "alice": "user"})
    made, said = cleaned_report(open_run(folder), words)
    for text in (report_markdown(made), report_html(made)):
        for private in (token, "alice", "secret", "abcdef123"):
            assert private not in text
        assert "--tokens 973" in text
        assert "1 home folder" in text
        assert "1 host name" in text
    assert "1 home folder, 1 host name" in said
    assert "token" in said


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("x ghp_" + "a" * 36 + " y", "x (removed) y"),
        ("git clone https://me:pass@host.example/x", "git clone https://(removed)@host.example/x"),
        ("record --api-key abc --tokens 973 -o out", "record (removed) --tokens 973 -o out"),
        ("per-token: eager, 8 tokens: 3", "per-token: eager, 8 tokens: 3"),
        ("cd /Users/bob/work/x", "cd …/x"),
        ("MY_API_KEY=12345 python", "(removed) python"),
    ],
)
def test_tokens_are_known_by_their_form(text: str, left: str) -> None:
    clean = Cleaner(PrivateWords({}))
    assert clean(text) == left
    assert bool(clean.lines()) == (text != left)
    assert clean(left) == left


def test_a_run_of_hundreds_of_keys_stays_under_the_limit(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    folder = write_gpu_run(tmp_path / "run", tokens=(973,))
    run = read_run(folder).run
    keys, rows = list(run.keys), []
    for model in ("28b", "424b"):
        for tp in (1, 2, 4, 8):
            for count in (2**k for k in range(17)):
                case = MROPE.case({"model": model, "tp": tp, "tokens": count, "dtype": "bf16", "prompt": "text"})
                for path in ("unfused", "per-token", "fused", "my_rope:rope_of_a_long_name"):
                    key = Key(case=case, path=path, mode="eager", l2="cold")
                    keys.append(KeyFacts(key=key, status="measured", reason="because " * 20))
                    rows += [(key.name, n, "wall", 10, 1000 + 7 * n + len(path), None) for n in range(6)]
    write_run(folder, replace(run, keys=tuple(keys)))
    append_samples(folder, pl.DataFrame(rows, schema=samples_schema(), orient="row"))
    text = report_markdown(report(gathered(open_run(folder))))
    assert len(text) < LIMIT
    assert "more rows" in text
    assert [n for n, _ in re.findall(r"^## (\d+)\. (.*)$", text, re.MULTILINE)] == [str(n) for n in range(1, 13)]


def test_the_median_call_of_a_replay_is_one_call(repository: Path) -> None:
    folder = repository / "traces/h200-nsight"
    data = gathered(open_run(folder))
    for name, one in data.captured.items():
        path, mode = name.split(".")[:2]
        if mode == "graph" and one.timeline is not None:
            assert one.timeline.kernels == (25 if path == "unfused" else 1)
            assert one.kernels["per_call"].sum() == pytest.approx(one.timeline.kernels)


def test_a_text_is_the_same_without_what_a_page_alone_shows(repository: Path) -> None:
    folder = repository / "traces/h200-nsight"
    page, text = (cleaned_report(open_run(folder), page=page) for page in (True, False))
    assert report_markdown(text[0]) == report_markdown(page[0])
    assert text[1] == page[1]


def test_noise_of_a_path_against_itself_is_about_one(shipped_report) -> None:  # type: ignore[no-untyped-def]
    found = noise(read_run(shipped_report.run).samples)
    assert len(found) >= 16
    assert figure([one.median for one in found.values()]).median == pytest.approx(1, abs=0.05)  # type: ignore[union-attr]


def test_labels_tell_the_l2_state_where_there_are_both() -> None:
    base = drawn_key("fused")
    assert side_label(base, [base]) == "fused · eager"
    assert side_label(base, [base, replace(base, l2="hot")]) == "fused · eager · cold"
    assert base.case.words == "28b · TP 1 · 64 tokens · bf16 · image prompt"


def blocks(made: Report, name: str) -> tuple[Block, ...]:
    return next(one.blocks for one in made.sections if one.key == name)


def section(text: str, number: int) -> str:
    return text.split(f"\n## {number}. ")[1].split("\n## ")[0]
