"""The tools: what each takes, which command answers it, what comes back."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from rope_prof import __version__
from rope_prof.agents.asking import Answer, RefusedError, ask
from rope_prof.agents.permitted import Permitted
from rope_prof.errors import RopeProfError, RunError, UsageError
from rope_prof.io.run.folder import read_run
from rope_prof.units import MS

INSTRUCTIONS = (
    "Settles whether fusing kernels helps, by how much, and why. Begin with `record` (baseline and candidates of an "
    "operation, on this machine) and read verdicts from `compare`; `analyze` says why a GPU was idle in any trace, "
    "`explain_gap` what one gap waited for, `diff` what changed between two traces. Times are nanoseconds unless a "
    "name says otherwise. A figure that is null is withheld: its `reason` says why. Never read a figure from what a "
    "kernel prints."
)
#: No trace has a time beyond it, and sums of two such are still whole numbers of 64 bits.
_FAR_NS = 1 << 61
Documents = dict[str, Any]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Texts = Annotated[list[Text], Field(max_length=64)]


def server(permitted: Permitted) -> MCPServer[Any]:
    """The server over those folders; it answers until its input ends."""
    made: MCPServer[Any] = MCPServer("rope_prof", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools(permitted)
    for tool in (tools.record, tools.show, tools.compare, tools.analyze, tools.diff, tools.explain_gap):
        made.add_tool(_honest(tool))
    return made


def _honest(tool: Callable[..., Awaitable[Documents]]) -> Callable[..., Awaitable[Documents]]:
    """An error that a caller can cure, as one JSON object: `code`, `exit_code`, `message`."""

    @wraps(tool)
    async def answered(*args: Any, **more: Any) -> Documents:
        try:
            return await tool(*args, **more)
        except RopeProfError as error:
            raise ToolError(json.dumps({"error": error.as_json()}, ensure_ascii=False)) from error

    return answered


class Tools:
    """Each public method is a tool of its name."""

    def __init__(self, permitted: Permitted) -> None:
        self._permitted = permitted

    async def record(
        self,
        context: Context[Any, Any],
        operation: Text = "mrope",
        values: dict[str, Texts] | None = None,
        paths: Texts | None = None,
        modes: list[Literal["eager", "compile", "graph"]] | None = None,
        device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto",
        quick: bool = True,
        out: Text | None = None,
    ) -> Documents:
        """Measure every path of an operation on this machine: paired rounds, captures, accuracy against float64.

        `operation`: one that ships (mrope, rmsnorm-quant, silu-mul, column-amax) or FILE.py:object below a permitted
        folder, which is run. `values`: axis -> values, as {"tokens": ["1", "64"]}. `paths`, `modes`: all where left
        out. `out`: the run folder to make. Answers with the document of `show`, the folder, and what failed.
        """
        folder = self._permitted.path(out) if out else self._permitted.home / f"run-{datetime.now():%Y%m%d-%H%M%S-%f}"
        words = ["record", "--json", "--operation", self._operation(operation), "--device", device, "-o", str(folder)]
        for axis, texts in (values or {}).items():
            words += ["--set", f"{axis}={','.join(texts)}"]
        for option, given in (("--path", map(self._path, paths or ())), ("--mode", modes or ())):
            words += [word for text in given for word in (option, text)]
        done = await self._ask([*words, *(["--quick"] if quick else [])], context, folder)
        if not (folder / "run.json").is_file():
            done.document()  # raises what ended it
            raise RefusedError(f"nothing was recorded (code {done.exit_code})", done.exit_code)
        shown = (await self._ask(["show", str(folder), "--json"], context)).document()
        return {"run": str(folder), "exit_code": done.exit_code, "error": done.error, "show": shown}

    async def show(self, context: Context[Any, Any], run: Text) -> Documents:
        """The figures of a run folder: each key's times, kernels, bubbles, accuracy; the headline best against best."""
        return (await self._ask(["show", str(self._permitted.path(run)), "--json"], context)).document()

    async def compare(
        self, context: Context[Any, Any], base: Text, cand: Text, fail_on: Texts | None = None
    ) -> Documents:
        """Faster, slower or the same, with intervals: RUN[:PATH[/MODE]] against another, of one run or of two.

        `fail_on`: bounds as `wall>3%`, `device>3%`, `kernels>0%`. `exit_code`: 0 all bounds hold, 1 one fails, 4 one
        cannot be judged (which is no pass).
        """
        sides = [self._permitted.first(text) for text in (base, cand)]
        bounds = [word for text in fail_on or () for word in ("--fail-on", text)]
        done = await self._ask(["compare", *sides, "--json", *bounds], context)
        return done.document() | {"exit_code": done.exit_code}

    async def analyze(
        self, context: Context[Any, Any], trace: Text, range: Text | None = None, chains: bool = False
    ) -> Documents:
        """Any trace of Kineto, Nsight Systems or others: is it sound, where was the GPU idle and why, by range.

        `range`: only ranges of that name. `chains`: also which chains of kernels are worth fusing, and what it saves.
        """
        words = ["analyze", str(self._permitted.path(trace)), "--json"]
        words += ["--range", range] if range else []
        return (await self._ask([*words, *(["--chains"] if chains else [])], context)).document()

    async def diff(self, context: Context[Any, Any], before: Text, after: Text, range: Text | None = None) -> Documents:
        """Two traces: what changed a call, why, and which kernels are gone, new or fused."""
        sides = [str(self._permitted.path(text)) for text in (before, after)]
        words = ["compare", *sides, "--json", *(["--range", range] if range else [])]
        return (await self._ask(words, context)).document()

    async def explain_gap(
        self,
        context: Context[Any, Any],
        trace: Text,
        at_ms: float | None = None,
        longest: Annotated[int, Field(ge=1, le=100)] = 5,
    ) -> Documents:
        """What the GPU waited for: the gap at `at_ms` of the trace's own clock, else the `longest` gaps.

        Each with its cause, its two kernels, the launch that ended it and the range around that.
        """
        with tempfile.TemporaryDirectory(prefix="rope_prof-") as folder:
            table = Path(folder) / "gaps.parquet"
            words = ["analyze", str(self._permitted.path(trace)), "--json", "--out", str(table)]
            integrity = (await self._ask(words, context)).document()["integrity"]
            gaps = pl.read_parquet(table)
        return {"integrity": integrity, "gaps": _picked(gaps, at_ms, longest)}

    def _operation(self, text: str) -> str:
        """A name of ours, or a file of the permitted folders with its object; no module of the environment."""
        file, mark, name = text.partition(":")
        if not mark and not file.endswith(".py"):
            return text
        if not file.endswith(".py"):
            raise UsageError(f"operation {text!r} names a module; expected FILE.py:object below a permitted folder")
        return f"{self._permitted.path(file)}{mark}{name}"

    def _path(self, text: str) -> str:
        """A name of the operation's own, or MODULE:function of a file where relative names begin."""
        module, mark, _ = text.partition(":")
        if mark and not self._permitted.path(f"{module.replace('.', '/')}.py").is_file():
            raise UsageError(
                f"path {text!r} names no file here; expected MODULE:function of one in {self._permitted.home}"
            )
        return text

    async def _ask(self, words: Sequence[str], context: Context[Any, Any], folder: Path | None = None) -> Answer:
        async def tick(seconds: float) -> None:
            done, total = _progress(folder)
            await context.report_progress(done if total else seconds, total, f"{words[0]}: {seconds:.0f} s")

        return await ask(words, self._permitted.home, tick)


def _progress(folder: Path | None) -> tuple[int, int | None]:
    """(keys that are done, keys in all) of the run that is being made there; (0, None) where none is yet."""
    if folder is not None and folder.is_dir():
        with suppress(RunError):
            keys = read_run(folder).run.keys
            return sum(facts.status != "pending" for facts in keys), len(keys)
    return 0, None


def _picked(pieces: pl.DataFrame, at_ms: float | None, longest: int) -> list[Documents]:
    """Those gaps, longest first, each with its pieces by cause. Errors: UsageError where nothing was idle then."""
    if at_ms is not None:
        begin, moment = pl.col("gap_start_ns"), round(max(-_FAR_NS, min(_FAR_NS, at_ms * MS)))
        pieces = pieces.filter(begin <= moment, begin + pl.col("gap_dur_ns") > moment)
        if not pieces.height:
            raise UsageError(f"no GPU was idle at {at_ms} ms; leave `at_ms` out for the longest gaps")
    if not pieces.height:
        return []
    facts = [name for name in pieces.columns if name not in {"device", "gap", "start_ns", "dur_ns", "cause"}]
    by_gap = pieces.group_by("device", "gap", maintain_order=True).agg(
        pl.col(facts).first(), causes=pl.struct("cause", "start_ns", "dur_ns")
    )
    return by_gap.sort("gap_dur_ns", descending=True).head(longest).drop("gap").to_dicts()
