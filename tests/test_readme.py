"""README says what is so: its figures are the shipped run's, its options exist, its files are there.

`python tests/test_readme.py` writes the table of figures.
"""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "traces/h100-ernie28b"
BEGIN = re.compile(r"<!-- TABLE: begin .*? -->\n")
END = "<!-- TABLE: end -->"
#: A compiler leaves the launch of a hand-written kernel as it is and copies around it: `show` has those rows.
LEFT_OUT = {("per-token", "compile"), ("fused", "compile")}


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
    shown = [row for row in OpenedRun(folder).rows if (row.path, row.mode) not in LEFT_OUT]
    for tokens, rows in groupby(shown, key=lambda row: row.case["tokens"]):
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


def split() -> tuple[str, str, str]:
    """README before, between and after the marks of the table."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    begin = BEGIN.search(text)
    assert begin is not None, "README.md has lost the marks of its table"
    end = text.index(END)
    return text[: begin.end()], text[begin.end() : end], text[end:]


def test_the_figures_are_those_of_the_shipped_run() -> None:
    if not RUN.is_dir():
        pytest.skip(f"no run in '{RUN}'")
    assert split()[1] == figures(), "run `python tests/test_readme.py`"


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
    for command in re.findall(r"python -m rope_prof (\w+)", text):
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

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    contract = text[text.index("keys[] ") : text.index("Times are ns per call")]
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
    before, _, after = split()
    (ROOT / "README.md").write_text(before + figures() + after, encoding="utf-8")
