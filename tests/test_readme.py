"""README says what is so: its figures are the shipped run's, its options exist, its files are there.

`python tests/test_readme.py` writes the tables of figures.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "traces/h200-ernie28b"


def best() -> str:
    """The Markdown table of each side in its best mode, with what only one mode or clock says."""
    from rope_prof.analysis.run.headline import ModeStep
    from rope_prof.io.run.folder import read_run
    from rope_prof.opened.run import OpenedRun
    from rope_prof.units import microseconds, ratio

    def said(step: ModeStep) -> str:
        return f"{ratio(step.ratio.median)} [{step.ratio.lo:.3g}, {step.ratio.hi:.3g}]"

    lines = [
        "| tokens | best without it, µs | fused, µs | best against best | graph, both | compile, both | eager, both |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in OpenedRun(read_run(RUN)).headlines:
        if one.path == "fused" and one.best is not None:
            same = {step.cand_mode: said(step) for step in one.same}
            sides = (
                f"{microseconds(one.best.before_ns)} ({one.best.base_mode})",
                f"{microseconds(one.best.after_ns)} ({one.best.cand_mode})",
            )
            cells = (
                f"{one.case['tokens']:,}",
                *sides,
                f"**{said(one.best)}**",
                *(same[mode] for mode in ("graph", "compile", "eager")),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figures() -> str:
    """The Markdown table of the shipped run, with the command and the machine that made it."""
    from rope_prof.io.run.folder import read_run
    from rope_prof.opened.run import OpenedRun
    from rope_prof.units import microseconds, ratio
    from rope_prof.views.blocks.run import interval
    from rope_prof.views.words.machine import machine_line

    folder = read_run(RUN)
    lines = [
        f"`python -m rope_prof record` on {machine_line(folder.run.machine)}; 28B, TP 1, bf16, cold L2.",
        "",
        "| tokens | path | kernels | busy µs | bubble µs | = host | + queue | wall µs [95 %] | speedup | max error |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for tokens, rows in groupby(OpenedRun(folder).rows, key=lambda row: row.case["tokens"]):
        for first, row in zip((f"{tokens:,}", *[""] * 99), rows, strict=False):
            wall = f"{microseconds(row.wall_ns.median)} {interval(row.wall_ns)}" if row.wall_ns else row.status
            kernels = "" if row.kernels_per_call is None else f"{row.kernels_per_call:g}"
            path = row.path if row.mode == "eager" else f"{row.path}, {row.mode}"
            error = "" if row.max_error is None else f"{row.max_error:.2g}"
            cells = (
                first,
                path,
                kernels,
                microseconds(row.busy_ns),
                microseconds(row.bubble_corrected_ns) + (" ≠" if row.bubbles_agree is False else ""),
                microseconds(row.bubble_host_ns),
                microseconds(row.bubble_queue_ns),
                wall,
                ratio(row.speedup),
                error,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def split(text: str, table: str) -> tuple[str, str, str]:
    """`text` before, between and after the marks of that table."""
    begin = re.search(rf"<!-- {table}: begin .*? -->\n", text)
    assert begin is not None, f"README.md has lost the marks of {table}"
    end = text.index(f"<!-- {table}: end -->")
    return text[: begin.end()], text[begin.end() : end], text[end:]


@pytest.mark.parametrize(("table", "made"), [("BEST", best), ("TABLE", figures)])
def test_the_figures_are_those_of_the_shipped_run(table: str, made: Callable[[], str]) -> None:
    if not RUN.is_dir():
        pytest.skip(f"no run in '{RUN}'")
    assert split((ROOT / "README.md").read_text(encoding="utf-8"), table)[1] == made(), (
        "run `python tests/test_readme.py`"
    )


def test_every_option_that_it_names_exists() -> None:
    import typer

    from rope_prof.cli import application

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    group = typer.main.get_command(application())
    context = group.make_context("rope_prof", [], resilient_parsing=True)
    names = group.list_commands(context)  # type: ignore[attr-defined]
    commands = [group.resolve_command(context, [name])[1] for name in names]  # type: ignore[attr-defined]
    known = {option for command in commands for each in command.params for option in each.opts}
    assert {"--json", "--path"} <= known
    ours = "\n".join(line for line in text.splitlines() if "pip install" not in line)
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert named
    assert named <= known
    rows = re.findall(r"^\| [^|`]+ \| `(\w+)", text, flags=re.MULTILINE)
    assert {"record", "analyze", "gate"} <= set(rows)
    for command in (*rows, *re.findall(r"python -m rope_prof (\w+)", text)):
        assert command in names, command


def test_every_link_leads_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#]+)\)", text)
    assert targets
    for target in targets:
        assert (ROOT / target).exists(), target


def test_the_json_contract_names_every_field() -> None:
    from dataclasses import fields

    from rope_prof.analysis.run.rows import Row

    text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
    contract = text[text.index("- `keys`: one object per key") : text.index("- `comparable`")]
    derived = {"accuracy"}
    renamed = {"throttled": "throttled_samples", "other_clock": "other_clock_samples"}
    for field in fields(Row):
        name = renamed.get(field.name, field.name)
        assert name in derived or re.search(rf"\b{name}\b", contract), name


def test_ci_runs_the_test_command_of_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^.*pip install -c constraints\.txt -e '\.\[test\]'.*$", text, flags=re.MULTILINE)
    assert command.endswith("-m pytest")
    assert "pip install -c constraints.txt -e '.[test]'" in (ROOT / ".ci/run").read_text()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    page = ROOT / "README.md"
    for name, table in (("BEST", best), ("TABLE", figures)):
        first, _, rest = split(page.read_text(encoding="utf-8"), name)
        page.write_text(first + table() + rest, encoding="utf-8")
