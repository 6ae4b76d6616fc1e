"""`export RUN|TRACE --to FORMAT -o PATH`: what was recorded, in a form for other tools and other people."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from pathlib import Path

import typer

from rope_prof.commands import words
from rope_prof.commands.documents import VERSION, emit
from rope_prof.commands.kept import kept, private
from rope_prof.commands.words import argument, needed, option
from rope_prof.errors import UsageError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.kept import Answer
from rope_prof.io.layout import DATASET_FILE
from rope_prof.units import size

#: Those that hold a trace, or a part of one.
PARTS = ("kineto", "perfetto")
#: Formats of other benchmarks' tools, as `opened.exchange` names them.
EXCHANGE = ("nvbench", "pytest-benchmark", "github-benchmark", "openmetrics")
FORMATS = ("perfetto", "kineto", "html", "markdown", "archive", *EXCHANGE)
MARKDOWN_FILE = "report.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportWords:
    """The words of the command: what to export, in which form, where to."""

    source: Path = argument("A run folder, or any trace that analyze reads.", parser=words.path, metavar="RUN|TRACE")
    to: str = needed(
        "perfetto: one native trace, both sides of each fusion on one timeline. "
        "kineto: any trace as JSON of torch.profiler. "
        "html: a run, or what to fix in a trace, as one page that needs nothing else. "
        "markdown: the same for a pull request, with pictures. "
        "archive: a copy without host, user, environment and paths. "
        "nvbench: device times as NVBench's JSON. "
        "pytest-benchmark: wall times as its JSON, for its compare. "
        "github-benchmark: customSmallerIsBetter of github-action-benchmark. "
        "openmetrics: text for Prometheus.",
        "--to",
        metavar="|".join(FORMATS),
    )
    out: Path = needed(
        "FILE.pftrace; FILE.json.gz or .json for kineto; FILE.html; a folder for markdown; a folder, .zip, "
        ".tar or .tar.gz for archive; "
        "else a file.",
        "-o",
        "--out",
        parser=words.path,
        metavar="PATH",
    )
    cut: str | None = option(
        None,
        "kineto, perfetto: only one call of a range, by its name or a pattern, or the time from START to END "
        "since the trace's begin, as 120ms:125.5ms. What ran in it stays whole, with its launches.",
        metavar="RANGE|START:END",
    )
    call: int | None = option(None, "--cut RANGE: which call, from 0 on; else the one of median length.")
    image_base: str | None = option(
        None, "markdown: where the pictures will lie; without it, beside it.", "--image-base", metavar="URL"
    )
    as_json: words.Json = False


@words.command
def export(asked: ExportWords) -> None:
    """Write a run or a trace for others: all of a trace or a part, a report, a cleaned copy, its figures."""
    to, out, cut = asked.to, asked.out, asked.cut
    if asked.image_base is not None and to != "markdown":
        raise UsageError(f"--image-base goes with --to markdown, not with --to {to!r}")
    if asked.call is not None and cut is None:
        raise UsageError(f"--call {asked.call} without --cut RANGE")
    if cut is not None and to not in PARTS:
        raise UsageError(f"--cut goes with --to {' or '.join(PARTS)}, not with --to {to!r}")
    if cut == "":
        raise UsageError("--cut is empty; expected the name of a range or START:END, or leave it out for all of it")
    said = _written(asked)
    for line in said:
        typer.echo(line)
    if asked.as_json:
        files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
        total = sum(path.stat().st_size for path in files)
        emit({"schema_version": VERSION, "to": to, "out": str(out), "bytes": total, "notes": list(said)})


def _written(asked: ExportWords) -> list[str]:
    """Write it; what there is to say: where it is, what was cleaned, what could not be, what is not in it."""
    source, to, out = asked.source, asked.to, asked.out
    if to == "markdown":
        return _markdown(source, out, asked.image_base)
    if to == "archive":
        from rope_prof.io.run.archive import write_archive

        return list(write_archive(source, out).lines())
    if to not in FORMATS:
        raise UsageError(f"unknown --to {to!r}; expected one of {', '.join(map(repr, FORMATS))}")
    part = to == "kineto" or asked.cut is not None
    if part and source.is_dir():
        raise UsageError(f"{str(source)!r} is a folder; expected one trace: name a file in it")
    made = "part" if part else to
    if out.is_dir():
        as_ = _NAMES.get(made, f"{to}.json")
        raise UsageError(f"{str(out)!r} is a folder; expected a file to write, as -o {as_}")
    if part:
        answer = _kept(source, "part_answer", to, asked.cut or "", "" if asked.call is None else str(asked.call))
    else:
        answer = _kept(source, *(("exchange_answer", to) if to in EXCHANGE else (f"{to}_answer",)))
    data = answer["file"]
    if to == "kineto" and out.suffix == ".gz":
        data = gzip.compress(data, 6, mtime=0)
    _write(out, data)
    more = _OPENED.get(made, "").format(out=out)
    return [f"{out}: {size(len(data))}{more}", *answer["said"].decode().splitlines()]


#: What a file is called where its name was left out, and what to do with it.
_NAMES = {"html": "report.html", "perfetto": "fusion.pftrace", "part": "step.json.gz"}
_OPENED = {
    "html": ", one page that makes no request; open it in any browser",
    "perfetto": "; open it with `rope_prof open {out}` or at https://ui.perfetto.dev",
    "part": "; `rope_prof analyze {out}`, or open it at https://ui.perfetto.dev",
}


def _markdown(source: Path, out: Path, image_base: str | None) -> list[str]:
    """`report.md` and its pictures in the folder `out`, the text last."""
    if out.is_file():
        raise UsageError(f"{str(out)!r} is a file; expected a folder to write into, as -o report")
    base = "" if not image_base else image_base.rstrip("/") + "/"
    if any(c.isspace() or c in "<>\"'()\\" for c in base):
        raise UsageError(f"--image-base {image_base!r} is no address; expected one as https://example.com/pictures")
    answer = _kept(source, "markdown_answer", base)
    for name in sorted(answer.keys() - {"said", "text"}):
        _write(out / name, answer[name])
    _write(out / MARKDOWN_FILE, answer["text"])
    letters = len(answer["text"].decode())
    return [f"{out / MARKDOWN_FILE}: {letters:,} characters, pictures beside it", *answer["said"].decode().splitlines()]


def _kept(source: Path, made: str, *words: str) -> Answer:
    """What that function of `export_answers` makes of `source`, cleaned, from the cache where nothing changed.

    A dataset's ranks lie elsewhere: it is made anew.
    """

    def make() -> Answer:
        from rope_prof.commands import export_answers  # dear to load, and not needed where the answer is kept

        answer: Answer = getattr(export_answers, made)(source, *words)
        return answer

    if (source / DATASET_FILE).is_file():
        return make()
    return kept(("export", made, source, *words, private()), (source,), make)


def _write(path: Path, data: bytes) -> None:
    write_atomic(path, lambda part: part.write_bytes(data))
