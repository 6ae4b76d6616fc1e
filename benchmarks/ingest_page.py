"""What docs/ingest.md says of speed, made from the benchmark's JSON: `python benchmarks/ingest.py --table`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/ingest.md"
RESULTS = ROOT / "docs/results/ingest.json"
NATIVE = RESULTS.with_name("ingest-native.json")
BEGIN = re.compile(r"<!-- SPEED: begin .*? -->\n")
END = "<!-- SPEED: end -->"
NAMES = {
    "ours": "rope_prof: load + `analyze` with every range and every idle cause",
    "hta": "HolisticTraceAnalysis: load + idle breakdown + launch statistics",
    "perfetto": "Perfetto: load + kernel, busy, span and launch totals in SQL",
}
#: Who wrote the native file.
WRITERS = {
    "torch": "**as torch 2.14 writes it**, native and Chrome JSON from one set of columns",
    "export": "as our export draws it, with as many events again that explain it, and the trace that was drawn",
}
WAYS = {"": "by the compiled scans", "_in_python": "in Python alone", "_packed": "compiled, gzip"}


def figures(said: dict[str, Any]) -> str:
    """The Markdown between the marks."""
    return "\n".join((*_machine(said), "", *_table(said["tools"]), "", *_notes(said))) + "\n"


def _machine(said: dict[str, Any]) -> Iterator[str]:
    machine, trace = said["machine"], said["trace"]
    load = machine.get("load")
    busy = f", load {load['before']:.1f} before the run" if load else ", shared with other work during the run"
    yield f"`{said['command']}`"
    yield f"on {machine['cores']} cores of an {machine['cpu']}{busy}; Python {machine['python']}"
    tools = said["tools"]
    versions = [tools["ours"]["version"]]
    versions += [
        f"{name} {tools[tool]['version']}"
        for tool, name in (("hta", "HolisticTraceAnalysis"), ("perfetto", "Perfetto"))
        if "version" in tools.get(tool, ())
    ]
    yield f"({', '.join(versions)}). The trace: {trace['events']:,} events, {trace['bytes'] / 1e6:,.0f} MB,"
    yield f"{trace['kernels'] + trace['memcpys']:,} GPU events. Median of the rounds [least, most]:"


def _table(tools: dict[str, Any]) -> Iterator[str]:
    ours = tools["ours"]
    heads = ("", "wall, s", "processor, s", "peak, MB", "bytes per byte of JSON", "wall / ours", "processor / ours")
    yield f"| {' | '.join(heads)} |"
    yield f"|---|{'---:|' * (len(heads) - 1)}"
    for tool, name in NAMES.items():
        row = tools.get(tool, {"failed": "not run"})
        if "failed" in row:
            yield f"| {name} | {row['failed']} | | | | | |"
            continue
        wall, cpu = row["wall_s"], row["cpu_s"]["median"]
        slower = f"{wall['median'] / ours['wall_s']['median']:.1f}x", f"{cpu / ours['cpu_s']['median']:.1f}x"
        spread = f"{wall['median']:.1f} [{wall['lo']:.1f}, {wall['hi']:.1f}]"
        peak = f"{row['peak_bytes'] / 1e6:,.0f} | {row['peak_bytes_per_byte']:.2f}"
        yield f"| {name} | {spread} | {cpu:.1f} | {peak} | {' | '.join(('1', '1') if tool == 'ours' else slower)} |"


def _notes(said: dict[str, Any]) -> Iterator[str]:
    tools, trace = said["tools"], said["trace"]
    exact = [tool for tool, row in tools.items() if row.get("totals_exact") and all(row["totals_exact"].values())]
    events = trace["kernels"] + trace["memcpys"]
    linked = ", ".join(f"{row['linked']:,} by {tool}" for tool, row in tools.items() if "linked" in row)
    yield f"- Totals equal to the generator's, to the nanosecond: {', '.join(exact) or 'none'}."
    yield f"- GPU events linked to their launch, of {events:,}: {linked}."
    yield f"- {_targets(said)}"
    if isinstance(cache := said["reopen"], dict):
        first, again = cache["first_s"], cache["again_s"]
        first_time = f"{first:.1f} s the first time in Python alone"
        yield f"- Reopening from the cache takes {again:.2f} s in the process, after {first_time}."
    if NATIVE.exists():
        yield from _native(json.loads(NATIVE.read_text()))
    run = said["linear"]
    ours, made = run["tools"]["ours"], run["trace"]
    times = made["events"] / trace["events"]
    work = ours["cpu_s"]["median"] / tools["ours"]["cpu_s"]["median"]
    yield f"- **{made['bytes'] / 1e9:.1f} GB**: {made['events']:,} events in {ours['wall_s']['median']:.0f} s of wall"
    yield (
        f"  and {ours['cpu_s']['median']:.0f} s of processor time, {ours['peak_bytes'] / 1e9:.1f} GB at most: "
        f"{ours['peak_bytes_per_byte']:.2f} bytes per byte. {times:.1f} times the events took"
    )
    yield f"  {work:.1f} times the processor time."


def _native(said: dict[str, Any]) -> Iterator[str]:
    """How long the same events take as native Perfetto, reading alone."""
    load = said["machine"]["load"]["before"]
    yield f"- Native Perfetto (`{said['command']}`, load {load:.1f} before): processor time of reading,"
    yield "  where the same events as JSON take so much:"
    for writer, words in WRITERS.items():
        held = said["native"].get(writer, "not run")
        if isinstance(held, str) or "failed" in held:
            yield f"  - {words}: {held if isinstance(held, str) else held['failed']}"
            continue
        files = (f"{held['events'][one]:,} events in {held['bytes'][one] / 1e6:,.0f} MB" for one in ("native", "json"))
        yield f"  - {words} ({', JSON '.join(files)}):"
        for how, way in WAYS.items():
            times = [held["work_s"][name + how]["median"] for name in ("native", "json")]
            share = _target(held["share_of_json"]["work_s"][how], said["target_share"], "{:.2f} of the time", most=True)
            peak = [held["peak_bytes"][name + how] / 1e6 for name in ("native", "json")]
            yield (
                f"    - {way}: {times[0]:.2f} s, JSON {times[1]:.2f} s: {share}; in wall time "
                f"{held['share_of_json']['read_s'][how]:.2f}; at most {peak[0]:,.0f} MB and {peak[1]:,.0f} MB"
            )


def _targets(said: dict[str, Any]) -> str:
    """Each target with what was measured, and whether it is met."""
    tools, targets = said["tools"], said["targets"]
    ours = tools["ours"]
    parts = [_target(ours["peak_bytes_per_byte"], targets["peak_bytes_per_byte"], "{:.2f} bytes per byte", most=True)]
    for tool, times in targets["times_faster"].items():
        if "cpu_s" in tools.get(tool, ()):
            ratio = tools[tool]["cpu_s"]["median"] / ours["cpu_s"]["median"]
            parts.append(_target(ratio, times, f"{tool} takes {{:.1f}} times the processor time", most=False))
    return "Targets: " + "; ".join(parts) + "."


def _target(value: float, target: float, text: str, *, most: bool) -> str:
    met = value <= target if most else value >= target
    return f"{text.format(value)} ({'at most' if most else 'at least'} {target:g}: {'met' if met else '**not met**'})"


def split(text: str) -> tuple[str, str, str]:
    """The page before, between and after the marks. Errors: ValueError where a mark is gone."""
    begin = BEGIN.search(text)
    if begin is None or END not in text:
        raise ValueError(f"{PAGE} has lost the marks of its figures")
    end = text.index(END)
    return text[: begin.end()], text[begin.end() : end], text[end:]


def made() -> str:
    """`figures` of the committed results."""
    return figures(json.loads(RESULTS.read_text()))


def write() -> None:
    """Put them into the page."""
    before, _, after = split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(before + made() + after, encoding="utf-8")
