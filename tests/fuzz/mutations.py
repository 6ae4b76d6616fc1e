"""Traces that were made to lie, kind by kind, and the law that each kind is held to.

    python -m tests.fuzz.mutations --cases 40 --seed 1      # of each kind; prints the table of docs/reliability.md

A case is a trace (a shipped one, or a real one where `../shared/real-traces` is present), a kind and a seed. A kind
changes the trace and says what must follow: `found` (the finding is there, and shares are withheld where it makes them
wrong), or `unprovable`, with the finding that says why. Anything else breaks the law.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from rope_prof.analysis.trace.analyze import Analysis, analyze
from rope_prof.analysis.trace.launches import launched
from rope_prof.io.kineto.reader import KinetoReader
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace

ROOT: Final = Path(__file__).resolve().parents[2]
REAL: Final = ROOT.parent / "shared/real-traces"
LOST: Final = ("missing_kernels", "missing_kernels_start")
#: Findings that say why a launch without a kernel proves nothing.
EXCUSED: Final = ("launches_after_last_record", "unmatched_launches", "captured_launches", "empty_moves")
FAR: Final = 10**12


@dataclass(frozen=True)
class Outcome:
    """What the law says of one case: `found`, `unprovable`, or why it is broken."""

    word: str
    why: str = ""


FOUND: Final = Outcome("found")
Kind = Callable[[Trace, random.Random], Outcome | None]
KINDS: dict[str, Kind] = {}


def kind(mutate: Kind) -> Kind:
    """One of `KINDS`, under its own name; None where the trace has nothing to mutate so."""
    KINDS[mutate.__name__] = mutate
    return mutate


def codes(answer: Analysis) -> dict[str, int]:
    return {finding.code: finding.count for finding in answer.integrity.findings}


def withheld(answer: Analysis) -> bool:
    return answer.integrity.reason is not None and all(use.idle_share is None for use in answer.devices)


def said(answer: Analysis, *wanted: str, withholds: bool = True) -> Outcome:
    """Whether one of those findings is there, and whether it withholds the shares as it should."""
    held = codes(answer)
    if not set(wanted) & set(held):
        return Outcome("broken", f"none of {wanted}: {held}")
    if withheld(answer) != withholds:
        return Outcome("broken", f"withheld is {not withholds}: {held}")
    return FOUND


def gpu(trace: Trace, change: pl.Expr | pl.DataFrame) -> Trace:
    """The trace with other GPU events."""
    return replace(trace, gpu=change if isinstance(change, pl.DataFrame) else trace.gpu.filter(change))


def single(trace: Trace, kinds: tuple[str, ...] = ("kernel",)) -> pl.DataFrame:
    """Events that are alone on their correlation and have a launch, with their row."""
    events = launched(trace).with_row_index("row")
    alone = pl.col("correlation").n_unique().over("correlation") == pl.len().over("correlation")
    return events.filter(alone & pl.col("launch_start_ns").is_not_null() & pl.col("kind").is_in(kinds))


def lost(trace: Trace, rows: list[int]) -> Outcome:
    """Every launch whose record was removed is counted, as lost or with the reason why the file proves nothing."""
    before, after = codes(analyze(trace)), codes(answer := analyze(gpu(trace, ~row_is(rows))))
    if not answer.devices:
        return said_so(after, "no_gpu_events")
    more = {code: after.get(code, 0) - before.get(code, 0) for code in (*LOST, *EXCUSED)}
    if sum(more.values()) != len(rows):
        return Outcome("broken", f"{len(rows)} records removed, {more}")
    if any(more[code] for code in LOST):
        return FOUND if withheld(answer) else Outcome("broken", f"found and not withheld: {after}")
    return Outcome("unprovable", ", ".join(code for code in EXCUSED if more[code]))


def said_so(held: dict[str, int], code: str) -> Outcome:
    return FOUND if code in held else Outcome("broken", f"no {code}: {held}")


def row_is(rows: list[int]) -> pl.Expr:
    return pl.int_range(pl.len()).is_in(rows)


def part(rows: list[int], draw: random.Random) -> list[int]:
    """One to a third of them: side by side or anywhere."""
    count = draw.randint(1, max(1, len(rows) // 3))
    at = draw.randint(0, len(rows) - count)
    return rows[at : at + count] if draw.random() < 0.5 else draw.sample(rows, count)


@kind
def kernels_removed(trace: Trace, draw: random.Random) -> Outcome | None:
    rows = single(trace)["row"].to_list()
    return lost(trace, part(rows, draw)) if len(rows) > 3 else None


@kind
def copies_and_sets_removed(trace: Trace, draw: random.Random) -> Outcome | None:
    """Where half of the calls of their name keep their record."""
    held = single(trace, ("memcpy", "memset"))
    rows = held["row"].to_list()
    if len(rows) < 4:
        return None
    gone = part(rows, draw)
    left = set(held.filter(~pl.col("row").is_in(gone))["launch_name"])
    return lost(trace, gone) if set(held.filter(pl.col("row").is_in(gone))["launch_name"]) <= left else None


@kind
def xpu_records_removed(trace: Trace, draw: random.Random) -> Outcome | None:
    name = draw.choice(["urEnqueueKernelLaunch", "urEnqueueKernelLaunchWithArgsExp", "zeCommandListAppendLaunchKernel"])
    calls = trace.calls.with_columns(
        name=pl.when(pl.col("name").str.contains("LaunchKernel")).then(pl.lit(name)).otherwise("name")
    )
    rows = single(trace)["row"].to_list()
    return lost(replace(trace, calls=calls, device_names={}), part(rows, draw)) if len(rows) > 3 else None


@kind
def graph_nodes_removed(trace: Trace, draw: random.Random) -> Outcome | None:
    """Of replays that others equal: the missing nodes are lost, or there was no time to run them."""
    events = launched(trace).with_row_index("row").filter(pl.col("launch_name").str.contains("GraphLaunch"))
    replays = [rows["row"].to_list() for _, rows in events.group_by("launch_start_ns", maintain_order=True)]
    sizes = Counter(map(len, replays))
    if not sizes or sizes.most_common(1)[0][1] < 3:
        return None
    whole = [rows for rows in replays if len(rows) == sizes.most_common(1)[0][0]]
    rows = draw.choice(whole)
    if len(rows) < 4:
        return None
    before = codes(analyze(trace)).get("graph_replays_differ", 0)
    gone = draw.sample(rows, draw.randint(1, len(rows) // 2))
    answer = analyze(gpu(trace, ~row_is(gone)))
    held = codes(answer)
    if held.get("missing_graph_kernels", 0) + held.get("graph_replays_differ", 0) - before != len(gone):
        return Outcome("broken", f"{len(gone)} nodes removed: {held}")
    if "missing_graph_kernels" in held:
        return FOUND if withheld(answer) else Outcome("broken", f"not withheld: {held}")
    return Outcome("unprovable", "graph_replays_differ")


def stretched(trace: Trace, row: int, until: int) -> Trace:
    longer = pl.when(row_is([row])).then(until - pl.col("start_ns")).otherwise("dur_ns")
    return gpu(trace, trace.gpu.with_columns(dur_ns=longer))


def in_lanes(trace: Trace) -> list[pl.DataFrame]:
    """The launches of each stream in order: single events and whole graphs, with the `row` that ends last."""
    events = launched(trace).with_row_index("row").with_columns(end=pl.col("start_ns") + pl.col("dur_ns"))
    unit = pl.when(pl.col("launch_start_ns").is_not_null()).then("launch_start_ns").otherwise("start_ns")
    whole = events.group_by("device", "stream", unit.alias("unit")).agg(
        pl.col("start_ns").min(), pl.col("row").sort_by("end").last(), pl.col("end").max(), pl.len().alias("events")
    )
    return [rows.sort("start_ns") for _, rows in whole.group_by("device", "stream", maintain_order=True)]


def order(trace: Trace, name: str) -> Trace:
    """The same work on a card of that name."""
    return replace(trace, device_names=dict.fromkeys(trace.gpu["device"].unique(), name), metadata={})


@kind
def duration_over_several_in_order(trace: Trace, draw: random.Random) -> Outcome | None:
    """On a card that begins a launch when the one before has ended: two whole launches inside one are impossible."""
    lanes = [rows for rows in in_lanes(trace) if rows.height > 8 and rows["events"].max() == 1]
    if not lanes:
        return None
    rows = draw.choice(lanes)
    at, over = draw.randint(0, rows.height - 6), draw.randint(2, 4)
    card = order(trace, draw.choice(["AMD Instinct MI300X", "NVIDIA A100-SXM4-80GB", "Tesla V100"]))
    until = rows["end"][at + over] + draw.choice([0, 1500])
    if set(codes(analyze(card))) & {"impossible_overlap"} or rows["start_ns"][at + 1] - rows["start_ns"][at] < 2000:
        return None
    return said(analyze(stretched(card, rows["row"][at], until)), "impossible_overlap")


@kind
def duration_over_several_anywhere(trace: Trace, draw: random.Random) -> Outcome | None:
    """On a card with programmatic dependent launch: four whole launches inside one are impossible."""
    lanes = [rows for rows in in_lanes(trace) if rows.height > 20 and rows["events"].max() == 1]
    if not lanes:
        return None
    rows = draw.choice(lanes)
    at, over = draw.randint(0, rows.height - 18), draw.randint(5, 14)
    return said(analyze(stretched(trace, rows["row"][at], rows["end"][at + over] + 1500)), "impossible_overlap")


@kind
def duration_over_one_on_a_new_card(trace: Trace, draw: random.Random) -> Outcome | None:
    """Programmatic dependent launch may do that: the overlap is said, and nothing is withheld for it."""
    lanes = [rows for rows in in_lanes(trace) if rows.height > 8 and rows["events"].max() == 1]
    if not lanes or withheld(analyze(card := order(trace, "NVIDIA H100 80GB HBM3"))):
        return None
    rows = draw.choice(lanes)
    at = draw.randint(0, rows.height - 3)
    first, second = rows.row(at, named=True), rows.row(at + 1, named=True)
    if second["end"] - second["start_ns"] < 3 or first["end"] > second["start_ns"]:
        return None
    answer = analyze(stretched(card, first["row"], (second["start_ns"] + second["end"]) // 2 + 1))
    told = codes(answer)
    if "stream_overlap" not in told:
        return Outcome("broken", f"not said: {told}")
    if "impossible_overlap" in told:
        return Outcome("broken", f"withheld: {told}")
    return Outcome("unprovable", "stream_overlap")


@kind
def graph_launch_stretched(trace: Trace, draw: random.Random) -> Outcome | None:
    """A stream finishes a graph launch before it begins the next."""
    lanes = [rows.filter(pl.col("events") > 1) for rows in in_lanes(trace)]
    lanes = [rows for rows in lanes if rows.height > 2]
    if not lanes:
        return None
    rows = draw.choice(lanes)
    at = draw.randint(0, rows.height - 2)
    following = rows.row(at + 1, named=True)
    into = following["start_ns"] + max(2500, (following["end"] - following["start_ns"]) // 3)
    return said(analyze(stretched(trace, rows["row"][at], into)), "impossible_overlap")


@kind
def node_stretched_inside_a_graph(trace: Trace, draw: random.Random) -> Outcome | None:
    """Over several nodes of its own launch and stream, on whatever card: its other runs are shorter than that."""
    events = launched(trace).with_row_index("row").filter(pl.col("launch_name").str.contains("GraphLaunch"))
    lane = ["launch_start_ns", "stream"]
    ordered = events.with_columns(end=pl.col("start_ns") + pl.col("dur_ns")).sort(*lane, "start_ns")
    runs = pl.len().over("name", "grid", "block")
    over = draw.randint(5, 9)
    ordered = ordered.with_columns(runs=runs, until=pl.col("end").shift(-over).over(lane))
    ordered = ordered.with_columns(calm=(pl.col("end") <= pl.col("start_ns").shift(-1).over(lane)))
    held = ordered.filter((pl.col("runs") > 3) & pl.col("until").is_not_null() & pl.col("calm"))
    if not held.height or not events["dur_ns"].min() > 0:  # type: ignore[operator]
        return None
    one = held.row(draw.randint(0, held.height - 1), named=True)
    return said(analyze(stretched(trace, one["row"], one["until"] + 1500)), "impossible_overlap")


@kind
def durations_to_one_end(trace: Trace, draw: random.Random) -> Outcome | None:
    """Deferred stamps: kernels of one stream all end at one instant."""
    lanes = [rows for rows in in_lanes(trace) if rows.height > 12 and rows["events"].max() == 1]
    if not lanes:
        return None
    rows = draw.choice(lanes)
    count = draw.randint(10, rows.height)
    held = rows.tail(count)["row"].to_list()
    end = rows["end"].max() + draw.choice([0, 10**6, 10**9])
    longer = pl.when(row_is(held)).then(end - pl.col("start_ns")).otherwise("dur_ns")
    return said(analyze(gpu(trace, trace.gpu.with_columns(dur_ns=longer))), "impossible_overlap")


@kind
def gpu_clock_early(trace: Trace, draw: random.Random) -> Outcome | None:
    """Launches in the file and the GPU's clock ahead by more than the shortest wait."""
    delays = launched(trace).select((pl.col("start_ns") - pl.col("launch_start_ns")).alias("d"))["d"].drop_nulls()
    if not len(delays) or int(delays.min()) < 0:
        return None
    shift = int(delays.min()) + draw.randint(10_000, 10**9)
    moved = trace.gpu.with_columns(pl.col("start_ns") - shift)
    return said(analyze(gpu(trace, moved)), "kernel_before_launch")


@kind
def gpu_clock_late(trace: Trace, draw: random.Random) -> Outcome | None:
    """Past the end of a synchronisation that waited for all of the device: no queue explains that."""
    waits = trace.calls.filter(pl.col("name").str.contains("(?i)deviceSynchronize") & (pl.col("dur_ns") > 0))
    events = launched(trace).filter(pl.col("launch_start_ns").is_not_null())
    if not waits.height or not events.height or trace.gpu["device"].n_unique() > 1:
        return None
    last = waits.sort("start_ns").row(-1, named=True)
    before = events.filter(pl.col("launch_start_ns") + pl.col("launch_dur_ns") < last["start_ns"])
    if not before.height or before["launch_process"].unique().to_list() != [last["process"]]:
        return None
    room = last["start_ns"] + last["dur_ns"] - int((before["start_ns"] + before["dur_ns"]).max())
    shift = max(room, 0) + draw.randint(2_000, 10**8)
    return said(analyze(gpu(trace, trace.gpu.with_columns(pl.col("start_ns") + shift))), "ends_after_sync")


@kind
def few_early_starts(trace: Trace, draw: random.Random) -> Outcome | None:
    """Two starts 0.4 µs before their launch, in a span of over a millisecond: the share comes with its bound."""
    events = single(trace)
    whole = analyze(trace)
    if events.height < 40 or len(whole.devices) != 1 or withheld(whole) or whole.devices[0].span_ns < 10**6:
        return None
    rows = draw.sample(events["row"].to_list(), 2)
    at = pl.when(pl.col("row").is_in(rows)).then(pl.col("launch_start_ns") - 400).otherwise("start_ns")
    moved = launched(trace).with_row_index("row").with_columns(start_ns=at).select(trace.gpu.columns)
    answer = analyze(gpu(trace, moved))
    if "early_starts" not in codes(answer) or answer.devices[0].idle_share_bound is None:
        return Outcome("broken", str(codes(answer)))
    return FOUND if not set(codes(answer)) & {"kernel_before_launch"} else Outcome("broken", str(codes(answer)))


@kind
def events_twice(trace: Trace, draw: random.Random) -> Outcome | None:
    rows = single(trace).filter(pl.col("dur_ns") > 0)["row"].to_list()
    if len(rows) < 3:
        return None
    again = part(rows, draw)
    answer = analyze(gpu(trace, pl.concat([trace.gpu, trace.gpu[again]])))
    if codes(answer).get("duplicate_events") != len(again):
        return Outcome("broken", f"{len(again)} twice: {codes(answer)}")
    return FOUND if withheld(answer) else Outcome("broken", "not withheld")


@kind
def no_correlation(trace: Trace, draw: random.Random) -> Outcome | None:
    """The launches are taken for those of the events without a correlation; none is said to have run later."""
    before = analyze(trace)
    rows = single(trace)["row"].to_list()
    if len(rows) < 4 or withheld(before):
        return None
    gone = part(rows, draw)
    loose = pl.when(~row_is(gone)).then("correlation")
    answer = analyze(gpu(trace, trace.gpu.with_columns(correlation=loose)))
    held, was = codes(answer), codes(before)
    if held.get("unmatched_launches", 0) != was.get("unmatched_launches", 0) + len(gone):
        return Outcome("broken", f"{len(gone)} loose: {held}")
    same = [(a.busy_ns, a.idle_ns) for a in answer.devices] == [(b.busy_ns, b.idle_ns) for b in before.devices]
    return FOUND if same and not withheld(answer) else Outcome("broken", f"figures changed: {held}")


@kind
def start_and_end_zero(trace: Trace, draw: random.Random) -> Outcome | None:
    if trace.gpu.height < 4 or int(trace.gpu["start_ns"].min()) < 10**6:  # type: ignore[arg-type]
        return None
    rows = part(list(range(trace.gpu.height)), draw)
    none = [pl.when(~row_is(rows)).then(name).otherwise(0).alias(name) for name in ("start_ns", "dur_ns")]
    answer = analyze(gpu(trace, trace.gpu.with_columns(none)))
    if codes(answer).get("untimed_events") != len(rows):
        return Outcome("broken", f"{len(rows)} untimed: {codes(answer)}")
    return FOUND if withheld(answer) else Outcome("broken", "not withheld")


@kind
def ranks_merged(trace: Trace, draw: random.Random) -> Outcome | None:
    """The same device number and correlations from another process, a little later."""
    if trace.gpu["process"].null_count() < trace.gpu.height or not launched(trace)["launch_start_ns"].count():
        return None
    late = draw.randint(0, 50_000)

    def other(frame: pl.DataFrame) -> pl.DataFrame:
        moved = frame.with_columns(pl.col("start_ns") + late)
        return moved.with_columns(pl.col("process") + 1000) if frame is not trace.gpu else moved

    frames = {name: getattr(trace, name) for name in ("gpu", "calls", "ranges", "ops")}
    both = {name: pl.concat([frame, other(frame)]) for name, frame in frames.items()}
    return said(analyze(replace(trace, **both)), "merged_processes", "merged_ranks", "duplicate_events")


@kind
def sessions_merged(trace: Trace, draw: random.Random) -> Outcome | None:
    if not launched(trace)["launch_start_ns"].count():
        return None
    frames = {name: getattr(trace, name) for name in ("gpu", "calls", "ranges", "ops")}
    later = FAR + draw.randint(0, FAR)
    both = {n: pl.concat([f, f.with_columns(pl.col("start_ns") + later)]) for n, f in frames.items()}
    return said(analyze(replace(trace, **both)), "merged_sessions", "merged_processes")


@kind
def told_otherwise(trace: Trace, draw: random.Random) -> Outcome | None:
    """What changes no fact (order, numbers, zero of the clock, streams' numbers) changes no verdict and no figure."""
    before = analyze(trace)
    shift, add = draw.randint(-(10**6), 10**12), draw.randint(1, 10**6)
    seed = draw.randint(0, 10**6)
    frames = {name: getattr(trace, name) for name in ("gpu", "calls", "ranges", "ops", "overheads")}
    frames = {
        name: f.with_columns(pl.col("start_ns") + shift).sample(fraction=1, shuffle=True, seed=seed)
        for name, f in frames.items()
    }
    for name in ("gpu", "calls"):
        frames[name] = frames[name].with_columns(pl.col("correlation") + add)
    end = None if trace.window_end_ns is None else trace.window_end_ns + shift
    answer = analyze(replace(trace, **frames, window_end_ns=end))
    same = codes(answer) == codes(before) and answer.integrity.reason == before.integrity.reason
    figures = [(a.busy_ns, a.idle_ns, a.idle_by_cause_ns) for a in answer.devices]
    same &= figures == [(b.busy_ns, b.idle_ns, b.idle_by_cause_ns) for b in before.devices]
    return FOUND if same else Outcome("broken", f"{codes(before)} became {codes(answer)}")


@functools.cache
def _text(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The head and the events of a small Kineto file, each as text."""
    held = json.loads(gzip.decompress(path.read_bytes()))
    events = held.pop("traceEvents")
    return held, [json.dumps(event) for event in events]


def from_text(trace: Trace, events: list[str]) -> Trace:
    head, _ = _text(Path(trace.source))
    top = "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in head.items())
    return KinetoReader("mutated").read(iter([f'{{{top}"traceEvents": [{", ".join(events)}]}}'.encode()]))


def _events(trace: Trace, *categories: str) -> tuple[list[str], list[int]] | None:
    if trace.format != "kineto" or trace.events > 5000:
        return None
    events = list(_text(Path(trace.source))[1])
    return events, [k for k, text in enumerate(events) if json.loads(text).get("cat") in categories]


@kind
def key_twice_in_a_gpu_event(trace: Trace, draw: random.Random) -> Outcome | None:
    held = _events(trace, "kernel", "gpu_memcpy", "gpu_memset")
    if held is None or not held[1]:
        return None
    events, rows = held
    for k in (rows := part(rows, draw)):
        event = json.loads(events[k])
        inside = bool(event.get("args")) and draw.random() < 0.8
        key = draw.choice(sorted(event["args"] if inside else event))
        at = events[k].index('"args": {') + 9 if inside else 1
        events[k] = f"{events[k][:at]}{json.dumps(key)}: 0, {events[k][at:]}"
    answer = analyze(from_text(trace, events))
    if codes(answer).get("duplicate_keys") != len(rows):
        return Outcome("broken", f"{len(rows)} twice: {codes(answer)}")
    return FOUND if withheld(answer) else Outcome("broken", "not withheld")


@kind
def text_that_json_refuses(trace: Trace, draw: random.Random) -> Outcome | None:
    """Of host events: mended, and no figure changes."""
    held = _events(trace, "cpu_op", "python_function", "user_annotation", "cuda_runtime")
    if held is None or not held[1]:
        return None
    events, rows = held
    wrong = [r'"C:\Users\x\new.py(3): f"', "N/A", "nan", r'"a "quoted" b"', r'"D:\dir\"', "-inf", "1.#QNAN"]
    rows = part(rows, draw)
    for k in rows:
        bad = f'"note": {draw.choice(wrong)}'
        events[k] = (
            events[k].replace('"args": {', f'"args": {{{bad}, ', 1).replace(", }", "}")
            if '"args": {' in (events[k])
            else f'{events[k][:-1]}, "args": {{{bad}}}}}'
        )
    before, answer = analyze(trace), analyze(from_text(trace, events))
    if codes(answer).get("mended_events", 0) != len(rows):
        return Outcome("broken", f"{len(rows)} events: {codes(answer)}")
    same = [replace(a, name=None) for a in answer.devices] == [replace(b, name=None) for b in before.devices]
    return FOUND if same else Outcome("broken", "figures changed")


@kind
def file_cut(trace: Trace, draw: random.Random) -> Outcome | None:
    held = _events(trace, "kernel")
    if held is None or not held[1]:
        return None
    text = f'{{"schemaVersion": 1, "traceEvents": [{", ".join(held[0])}]}}'.encode()
    answer = analyze(KinetoReader("cut").read(iter([text[: draw.randint(len(text) // 2, len(text) - 3)]])))
    return said(answer, "cut_json") if answer.devices else said_so(codes(answer), "no_gpu_events")


@functools.cache
def traces() -> tuple[Trace, ...]:
    """Shipped captures of every path and mode, and the real traces that are here."""
    shipped = sorted((ROOT / "traces").glob("*/*.trace.json.gz"))
    held = [path for path in shipped if path.stat().st_size < 60_000]
    real = [path for path in sorted(REAL.glob("*")) if path.name[:2] in ("02", "05", "14") or path.suffix == ".sqlite"]
    return tuple(read_trace(path) for path in (*held, *real))


def cases(name: str, count: int, seed: int) -> Iterator[tuple[str, Outcome]]:
    """`count` cases of a kind: what was mutated, and the outcome. Traces that hold nothing of it are drawn anew."""
    draw = random.Random(f"{seed} {name}")
    left = count
    for _ in range(10 * (count + len(traces()))):
        if not left:
            return
        trace = draw.choice(traces())
        state = draw.getrandbits(32)
        outcome = KINDS[name](trace, random.Random(state))
        if outcome is not None:
            left -= 1
            yield f"{name} of {Path(trace.source).name}, state {state}", outcome


def main() -> int:
    """Print the table; exit 1 where a law is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(KINDS))
    wanted = parser.parse_args()
    total: Counter[str] = Counter()
    lines = ["| kind | cases | found | not provable, and why | broken |", "|---|---:|---:|---|---:|"]
    for name in [wanted.kind] if wanted.kind else KINDS:
        told = list(cases(name, wanted.cases, wanted.seed))
        words = Counter(outcome.word for _, outcome in told)
        why = Counter(outcome.why for _, outcome in told if outcome.word == "unprovable")
        reasons = ", ".join(f"{count} {reason}" for reason, count in why.most_common())
        title = name.replace("_", " ")
        lines.append(f"| {title} | {len(told)} | {words['found']} | {reasons} | {words['broken']} |")
        total += words
        sys.stderr.writelines(f"{case}: {one.why}\n" for case, one in told if one.word == "broken")
    lines.append(f"| all | {total.total()} | {total['found']} | {total['unprovable']} | {total['broken']} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return int(total["broken"] > 0)


if __name__ == "__main__":
    sys.exit(main())
