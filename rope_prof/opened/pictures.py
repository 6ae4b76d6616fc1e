"""An opened run, or any trace, drawn as one native Perfetto trace: for `export`, `open` and the dashboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rope_prof.errors import RunError, TraceError
from rope_prof.io.layout import NATIVE_SUFFIX
from rope_prof.io.run.folder import RunFolder
from rope_prof.io.trace.read import read_trace
from rope_prof.model.trace import Trace
from rope_prof.views.perfetto.export import PerfettoFile, perfetto_bytes, run_trace

if TYPE_CHECKING:  # a server, which an export does not need
    from rope_prof.opened.run import OpenedRun
    from rope_prof.serve.server import MadeFile


def draw_run(run: OpenedRun, case: str | None = None, clean: Callable[[str], str] = str) -> PerfettoFile:
    """All traces of a run, or of one case, as one, every text as `clean` gives it.

    Errors: RunError where it has none, or one is damaged.
    """
    wanted = [facts for facts in run.run.keys if case in (None, facts.key.case.name)]
    found = {facts.key.name: run.trace(facts) for facts in wanted}
    traces = {name: trace for name, trace in found.items() if trace is not None}
    if not traces:
        raise no_trace(run.folder)
    return run_trace(run.run, run.rows, traces, clean)


def no_trace(folder: RunFolder) -> RunError:
    """The sentence on a run of which nothing can be drawn."""
    return RunError(
        f"no trace in run '{folder.path}' ({len(folder.run.keys)} keys, none captured, or the files are gone); "
        f"{folder.run.going_on(str(folder.path))}"
    )


def draw_trace(path: Path, clean: Callable[[str], str] = str) -> bytes:
    """Any trace with its bubbles. Errors: TraceError for a file without a timeline."""
    return drawn(read_trace(path), path, clean)


def drawn(trace: Trace, path: Path, clean: Callable[[str], str] = str) -> bytes:
    """A trace that was read from `path`, or a part of it. Errors: as `draw_trace`."""
    frames = (trace.gpu, trace.calls, trace.ranges, trace.ops)
    if not any(frame.height for frame in frames):
        raise TraceError(
            f"nothing to draw in {str(path)!r} ({trace.format}, {trace.events} events, none with a time); "
            "expected a trace with kernels, launches or ranges"
        )
    return perfetto_bytes(trace, path.name, clean)


def case_traces(run: OpenedRun) -> dict[str, Callable[[], MadeFile]]:
    """`<case>.pftrace` -> what draws all traces of that case as one, for each case that has any."""
    keys = (facts.key for facts in run.run.keys if run.folder.trace_path(facts.key.name) is not None)
    cases = dict.fromkeys(key.case.name for key in keys)
    return {f"{case}{NATIVE_SUFFIX}": partial(_made_case, run, case) for case in cases}


def _made_case(run: OpenedRun, case: str) -> MadeFile:
    """All traces of a case as one, zoomed to one call of each side."""
    from rope_prof.serve.server import FirstLook, MadeFile

    drawn = draw_run(run, case)
    zoom = drawn.zooms[case]
    return MadeFile(drawn.data, FirstLook(zoom.start_ns, zoom.end_ns, zoom.pins, zoom.sides))


def made_trace(path: Path) -> MadeFile:
    """Any trace, for the server that hands it out."""
    from rope_prof.serve.server import MadeFile

    return MadeFile(draw_trace(path))
