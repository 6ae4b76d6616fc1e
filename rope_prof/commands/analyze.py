"""`analyze`: judge a trace, then say what the GPU did, where it idled and why, and what each range cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rope_prof.commands import words
from rope_prof.commands.documents import emit
from rope_prof.commands.kept import say_kept
from rope_prof.commands.words import UNUSABLE_EXIT, argument, option
from rope_prof.errors import TraceError, UsageError
from rope_prof.io.layout import NSIGHT_FILE
from rope_prof.io.store import ANSWERED_TO
from rope_prof.io.trace.formats import kinds
from rope_prof.io.trace.members import is_archive

if TYPE_CHECKING:
    from rope_prof.analysis.chains.chains import Chains
    from rope_prof.model.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeWords:
    """The words of the command: which traces, what of them, and how many processes for many."""

    traces: list[str] = argument(
        f"{kinds(lambda one: one.writer)}; or folders, globs and URLs of many: their ranks side by side",
        parser=words.place,
        metavar="TRACE...",
    )
    range_: words.Range = None
    json_: words.Json = False
    out: Path | None = option(
        None,
        "FILE.parquet: the table of all gaps, split by cause; many traces: the folder of their dataset",
        "-o",
        "--out",
        parser=words.path,
        metavar="PATH",
    )
    capture_trace: list[str] | None = option(
        None,
        "how the graphs were captured (vLLM's graph_capture_rank_0…, SGLang's bs_…, torch's stacks): "
        "names the kernels of replays by module and line; may be given again",
        "--capture-trace",
        parser=words.place,
        metavar="FILE|FOLDER",
    )
    device: str | None = option(None, "'cpu': take leaf operators as kernels in a trace without GPU events")
    chains: bool = option(False, "repeated sequences of small kernels, by what fusing them could save", "--chains")
    bandwidth: float | None = option(None, "of the GPU's memory, for the byte floors of --chains", metavar="GB/S")
    workers: int | None = option(None, "many traces: processes, else one a core")
    memory: str | None = option(None, "many traces: for all processes together, as in 8G", metavar="SIZE")
    dask: str | None = option(None, "many traces: the scheduler of a running Dask cluster", metavar="ADDRESS")
    scheduler_file: Path | None = option(
        None, "many traces: the file that a Dask scheduler wrote", "--scheduler-file", parser=words.path
    )


@words.command
def analyze(asked: AnalyzeWords) -> None:
    """Judge a trace, then account for its time. Exits 3 if there is nothing to account for."""
    _check(asked.device, asked.bandwidth)
    many = {name: getattr(asked, name) for name in ("workers", "memory", "dask", "scheduler_file")}
    if any(one is not None for one in many.values()) or _several(asked.traces):
        if asked.chains or asked.capture_trace:
            raise UsageError(f"--{'chains' if asked.chains else 'capture-trace'} looks at one trace; name one file")
        from rope_prof.commands.analyze_many import Many, analyze_all

        analyze_all(
            asked.traces, Many(**many), range_=asked.range_, device=asked.device, json_=asked.json_, out=asked.out
        )
        return
    trace = Path(asked.traces[0])
    if asked.out is None and not asked.capture_trace and trace.is_file() and trace.stat().st_size < ANSWERED_TO:
        counted = trace.parent / NSIGHT_FILE
        inputs = (trace, *([counted] if counted.exists() else []))
        say_kept(("analyze", asked), inputs, partial(_analyze, trace, asked))
    else:
        _analyze(trace, asked)


def _analyze(trace: Path, asked: AnalyzeWords) -> None:
    """Print it, and write the gaps. What it needs is dear to load, and not needed where the answer is kept."""
    from rich.console import Console

    from rope_prof.commands.account import account_of
    from rope_prof.views.blocks.chains import chain_blocks
    from rope_prof.views.terminal.writer import printed

    range_, captures = asked.range_, asked.capture_trace or []
    account = account_of(trace, range_=range_, device=asked.device, bandwidth=asked.bandwidth, captures=captures)
    if asked.out is not None:
        _write_gaps(account.held, asked.out, asked.device)
    found = account.found if asked.chains else None
    if asked.json_:
        emit(account.document() | _chains_json(found))
    else:
        console = Console()
        account.printed_on(console)
        if range_ is not None and account.answer.devices and not account.answer.ranges:
            console.print(f"no range that launched GPU work has {range_!r} in its name", markup=False, highlight=False)
        if asked.chains and found is None:
            console.print("no chains: they need a trace with the times of its kernels")
        if found is not None:
            printed(console, chain_blocks(found))
    if account.answer.integrity.verdict == "unusable":
        raise typer.Exit(UNUSABLE_EXIT)


def _chains_json(found: Chains | None) -> dict[str, Any]:
    """`chains`, best first, with what they rest on, where chains were asked for."""
    if found is None:
        return {}
    from rope_prof.analysis.chains.saving import HI_ASSUMES, LO_ASSUMES

    return {
        "steps": found.steps,
        "assumes": {"lo": LO_ASSUMES, "hi": HI_ASSUMES},
        "bandwidths": {device: asdict(speed) for device, speed in found.bandwidths.items()},
        "chains": [asdict(chain) for chain in found.chains],
    }


def _several(traces: list[str]) -> bool:
    if len(traces) == 1 and Path(traces[0]).is_file() and not is_archive(Path(traces[0])):
        return False
    from rope_prof.io.trace.storage import several

    return several(traces)


def _check(device: str | None, bandwidth: float | None) -> None:
    if device not in (None, "cpu"):
        raise UsageError(f"unknown device {device!r}; expected 'cpu' or none (GPU events are found by themselves)")
    if bandwidth is not None and not 1 <= bandwidth <= 100_000:
        raise UsageError(f"--bandwidth {bandwidth:g} GB/s; expected 1 to 100000, as in --bandwidth 4800 for an H200")


def _write_gaps(held: Trace, out: Path, device: str | None) -> None:
    from rope_prof.analysis.trace.analyze import accounted, gap_table

    part = out.with_name(f".{out.name}.partial")
    try:
        gap_table(accounted(held, device)).write_parquet(part)
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TraceError(f"cannot write {str(out)!r}: {error.strerror or error}") from error
