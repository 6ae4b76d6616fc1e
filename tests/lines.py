"""How many lines the house has, and for which uses: those that it had when it was last judged, and each one since.

    python -m tests.lines [TREE]     # rope_prof and dashboard of that checkout, else of this one

A file counts for the first use below whose pattern it fits, and of another file the definitions that stand behind its
name. What fits none serves uses that stood at the commit `BASE`, also where those have grown. That commit by the same
count: `git archive cd54db3 | tar x -C DIR; python -m tests.lines DIR`.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("rope_prof", "dashboard")
BASE = "cd54db3"
OLD = f"the uses of {BASE}"
#: A use that came after `BASE` -> the files that serve it alone, or `file: definitions` of one that serves others too.
USES = {
    "callables of a script, and in pytest": "rope_prof/fusion/* rope_prof/testing.py rope_prof/pytest_plugin.py",
    "any operation, and what it says of itself": """
        rope_prof/foreign/* rope_prof/commands/foreign_options.py rope_prof/io/run/schema.py
        rope_prof/record/bench/claims.py rope_prof/record/bench/operations.py
        rope_prof/model/run.py: OperationFacts OutputAccuracy AxisFacts LayoutError
        rope_prof/record/bench/accuracy.py: OutputDeviation deviations _require_alike _require_repeated ShapeError _said
        rope_prof/record/loop/plan.py: parse_values facts_of operation_of _whole_number _split
        rope_prof/record/loop/plan.py: _lacks _check _require_names _needs_triton
        rope_prof/record/requests/patch.py: CacheWritePatch
        rope_prof/record/requests/accuracy.py: written
        rope_prof/record/requests/steps.py: empty_static_cache
        rope_prof/record/loop/describe.py: own_words
        rope_prof/views/words/labels.py: AxisValue axes""",
    "a path in a process of its own, several a side, tampering": """
        rope_prof/record/worker/* rope_prof/record/bench/copies.py rope_prof/record/bench/layouts.py
        rope_prof/record/bench/values.py
        rope_prof/record/device/provenance.py rope_prof/analysis/run/processes.py rope_prof/analysis/student.py
        rope_prof/commands/record.py: _require_workers _why_together _revision
        rope_prof/record/session.py: last_process
        rope_prof/analysis/stats.py: DrawnRounds interval_of_logs drawn_mean""",
    "verdicts over runs, and gates": """
        rope_prof/analysis/comparison/apart.py rope_prof/analysis/comparison/family.py
        rope_prof/analysis/comparison/gates.py rope_prof/commands/gate*.py rope_prof/views/words/comparable.py
        rope_prof/analysis/comparison/compare.py: _corrected _judge_times
        rope_prof/analysis/comparison/evidence.py: _within_process BothSides.between""",
    "best against best, closure by side, bubble parts, clocks and heat": """
        rope_prof/views/words/bubbles.py
        rope_prof/views/blocks/bubbles.py: parts_figure _parts
        rope_prof/views/blocks/overview.py: _best _rivals
        rope_prof/views/words/machine.py: condition_words ran_line
        rope_prof/views/words/requests.py: layer_lines
        rope_prof/analysis/run/headline.py rope_prof/views/words/headline.py rope_prof/views/report/brief.py
        rope_prof/analysis/run/closure.py rope_prof/analysis/run/conditions.py rope_prof/analysis/requests/per_layer.py
        rope_prof/model/samples.py: conditions_schema
        rope_prof/analysis/comparison/evidence.py: BubbleParts
        rope_prof/analysis/comparison/compare.py: _replayed_once
        rope_prof/record/device/throttle.py: Conditions""",
    "baselines under names and their history": """
        rope_prof/*/baseline*.py rope_prof/*/history.py rope_prof/io/run/shelf.py dashboard/*/history.py
        rope_prof/analysis/comparison/changes.py
        rope_prof/opened/comparison.py: history""",
    "findings that prove a trace wrong; whose work a range owns": """
        rope_prof/analysis/trace/backward.py rope_prof/analysis/trace/cards.py rope_prof/analysis/trace/clocks.py
        rope_prof/analysis/trace/collectives.py rope_prof/analysis/trace/copies.py
        rope_prof/analysis/trace/graph_nodes.py rope_prof/analysis/trace/identity.py
        rope_prof/analysis/trace/openings.py rope_prof/analysis/trace/proof.py rope_prof/analysis/trace/workers.py
        rope_prof/io/kineto/identity.py rope_prof/io/kineto/seen.py rope_prof/io/trace/same.py
        rope_prof/views/blocks/findings.py
        rope_prof/analysis/trace/overlaps.py: _launches _held_nodes _holds _depth _graphs_cross _early _joined
        rope_prof/analysis/trace/missing.py: _must_have_run _theirs _recorded _moved_nothing
        rope_prof/analysis/trace/launches.py: _behind _joined _latest restarts
        rope_prof/analysis/trace/ranges.py: outside _backward Outside outermost
        rope_prof/views/blocks/trace.py: _communication outside_words more_ranges""",
    "traces of Perfetto, ROCm, Proton's timeline, Arrow tables": """
        rope_prof/io/perfetto/* rope_prof/io/rocm/* rope_prof/io/sqlite.py rope_prof/io/trace/foreign.py
        rope_prof/io/trace/members.py rope_prof/io/trace/proton_trace.py rope_prof/io/trace/tables.py
        rope_prof/model/drawn.py
        rope_prof/views/perfetto/sides.py: _node_tracks
        rope_prof/io/trace/formats.py: _is_proton_trace _is_rocprof
        rope_prof/io/trace/formats.py: _read_perfetto _read_proton_trace _read_rocpd _read_rocprof
        rope_prof/io/trace/formats.py: FileStart.rocpd FileStart.tables FileStart.packets
        rope_prof/io/trace/nsys.py: read_nsys_folder
        rope_prof/io/trace/unpack.py: Unpacked._unzstd""",
    "two traces: what changed and why": """
        rope_prof/analysis/diff/* rope_prof/views/*/trace_diff.py rope_prof/commands/compare_traces.py
        rope_prof/views/words/differences.py dashboard/pages/two_traces.py
        rope_prof/commands/words.py: Stretches
        dashboard/foreign_traces.py: side_lanes held shared_range""",
    "a part of a trace; any trace as Kineto's; a compiled scan": """
        rope_prof/analysis/trace/cut.py rope_prof/io/kineto/writer.py rope_prof/opened/cuts.py
        rope_prof/io/kineto/scanner.py rope_prof/io/compiled.py""",
    "timelines: search, groups, flames, memory, pairs, as unprofiled": """
        rope_prof/views/timeline/unprofiled.py
        rope_prof/views/timeline/captions.py: unprofiled_panel
        rope_prof/views/timeline/look.py: look_words look_asked
        rope_prof/views/timeline/window.py: _sought _groupings
        dashboard/shell.py: look looked _beside
        rope_prof/analysis/selection/* rope_prof/analysis/trace/kernel_class.py rope_prof/analysis/trace/nesting.py
        rope_prof/views/timeline/aligned.py
        rope_prof/views/timeline/flame.py rope_prof/views/timeline/marks.py rope_prof/views/words/groupings.py
        rope_prof/analysis/trace/memory.py rope_prof/views/timeline/memory.py
        rope_prof/io/kineto/columns.py: _memory
        rope_prof/io/kineto/structs.py: MemoryArgs memory_args""",
    "what to do about a trace, and about those of all ranks": """
        rope_prof/analysis/fixes/* rope_prof/views/*/fixes.py rope_prof/analysis/ranks/losses.py
        rope_prof/analysis/ranks/late.py: host_late
        rope_prof/analysis/ranks/rank.py: HostLate
        rope_prof/analysis/ranks/rows.py: _fix _host_time
        rope_prof/views/report/trace.py
        rope_prof/views/blocks/ranks.py: loss_blocks _sound _host_ranges
        dashboard/foreign_traces.py: to_fix""",
    "a server captured while it serves, its steps by phase": """
        rope_prof/engines/* rope_prof/commands/capture.py rope_prof/analysis/trace/phases.py
        rope_prof/views/blocks/trace.py: phase_table""",
    "kernels of replays by module, operator and line": """
        rope_prof/analysis/trace/captured.py rope_prof/analysis/trace/modules.py rope_prof/io/trace/captures.py
        rope_prof/analysis/trace/sites.py: LaunchSites.lines LaunchSites.modules LaunchSites.module_paths
        rope_prof/analysis/trace/sites.py: LaunchSites._lines LaunchSites._modules LaunchSites._python
        rope_prof/analysis/trace/sites.py: LaunchSites._or_captured""",
    "ranks timed alone and at once; torch's monitor": """
        rope_prof/analysis/run/rank_causes.py rope_prof/record/capture/profiler.py
        rope_prof/record/loop/rounds.py: Rounds.alone
        rope_prof/record/ranks.py: OtherRanks
        rope_prof/record/loop/protocols.py: Others
        rope_prof/views/blocks/ranks.py: run_answer run_blocks cause_tables _slowness
        rope_prof/views/words/ranks.py: cause_lines _over_ranks _none _slow_line shown_by _over _bubble_lines""",
    "figures for other tools": """
        rope_prof/views/exchange/* rope_prof/opened/exchange.py rope_prof/commands/export_answers.py""",
    "agents, and one document a command": """
        rope_prof/agents/* rope_prof/commands/mcp.py rope_prof/commands/documents.py""",
    "charts to zoom": """
        rope_prof/views/draw/plotly_charts.py rope_prof/views/draw/chart.py dashboard/drawing.py""",
    "copies without secrets, limits, one writer, answers kept": """
        rope_prof/io/run/clean_[fjm]*.py rope_prof/io/run/secrets.py rope_prof/io/run/writer.py rope_prof/io/store.py
        rope_prof/io/bombs.py rope_prof/io/kept.py
        rope_prof/commands/kept.py
        rope_prof/views/words/names.py: CutName changed
        dashboard/downloads.py: clean_table copies _trace withheld""",
    "Perfetto of one's own, and who may ask a server of ours": """
        rope_prof/serve/builds.py rope_prof/serve/hosts.py dashboard/gate.py
        rope_prof/commands/open.py: version_lines
        dashboard/server.py: allowed_names""",
}


def files(tree: Path) -> dict[str, int]:
    """Each Python file of the packages -> its lines, as `wc -l` counts them."""
    found = (path for folder in FOLDERS for path in sorted((tree / folder).rglob("*.py")))
    return {path.relative_to(tree).as_posix(): path.read_bytes().count(b"\n") for path in found}


def patterns(words: str) -> dict[str, tuple[str, ...]]:
    """File, or pattern of files -> the definitions of it; none for all of it."""
    found: dict[str, tuple[str, ...]] = {}
    for line in words.strip().splitlines():
        file, of, names = line.partition(":")
        if of:
            found[file.strip()] = found.get(file.strip(), ()) + tuple(names.split())
        else:
            found |= dict.fromkeys(file.split(), ())
    return found


def defined(source: str) -> dict[str, int]:
    """Each definition at the top of a module, and of its classes -> its lines with the blank ones before it."""
    found, above = {}, 0
    for node in ast.parse(source).body:
        inner = node.body if isinstance(node, ast.ClassDef) else []
        for one in (node, *inner):
            if isinstance(one, ast.FunctionDef | ast.ClassDef):
                name = one.name if one is node else f"{node.name}.{one.name}"  # type: ignore[attr-defined]
                first = min(each.lineno for each in (one, *one.decorator_list))
                found[name] = (one.end_lineno or first) - (above if one is node else first - 2)
        above = node.end_lineno or above
    return found


def by_use(tree: Path) -> Counter[str]:
    """Lines of each use. Errors: KeyError for a file or a definition that is gone."""
    counted, sums, uses = files(tree), Counter[str](), {use: patterns(words) for use, words in USES.items()}
    for use, found in uses.items():
        for pattern, names in found.items():
            if names:
                lines = defined((tree / pattern).read_text(encoding="utf-8"))
                taken = sum(lines[name] for name in names)
                sums[use] += taken
                counted[pattern] -= taken
                continue
            fitting = [file for file in counted if fnmatch(file, pattern)]
            if not fitting:
                raise KeyError(pattern)
            sums[use] += sum(counted.pop(file) for file in fitting)
    sums[OLD] = sum(counted.values())
    return sums


def by_room(tree: Path) -> Counter[str]:
    """Lines of `rope_prof/analysis`, `dashboard` and the others."""
    sums: Counter[str] = Counter()
    for file, lines in files(tree).items():
        parts = file.split("/")
        sums["/".join(parts[:2]) if parts[0] == "rope_prof" and len(parts) > 2 else parts[0]] += lines
    return sums


def main(tree: Path) -> None:
    """Print both counts; of a tree without this file, which has the uses of `BASE` alone, the first."""
    counts = [by_room(tree)] + ([by_use(tree)] if (tree / "tests/lines.py").exists() else [])
    for sums in counts:
        rows = [*sorted(sums.items()), ("all", sum(sums.values()))]
        sys.stdout.write("\n".join(f"{name:68} {lines:7,}" for name, lines in rows) + "\n\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
