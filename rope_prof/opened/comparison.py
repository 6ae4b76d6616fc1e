"""Two sides of opened runs against each other: what `compare` prints and the page Compare draws."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from rope_prof.analysis.comparison.apart import larger
from rope_prof.analysis.comparison.compare import ALL_METRICS, compare
from rope_prof.analysis.comparison.evidence import Known
from rope_prof.analysis.comparison.gates import Gate, check
from rope_prof.analysis.comparison.history import known as known_before
from rope_prof.analysis.comparison.sides import Side, differences
from rope_prof.analysis.run.differences import unlike_machines, unlike_states
from rope_prof.errors import UsageError
from rope_prof.io.run.folder import is_run
from rope_prof.io.run.history import kept_runs
from rope_prof.io.run.redact import PrivateWords, cleaner
from rope_prof.model.history import machine_kind
from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.views.blocks.compare import compare_blocks
from rope_prof.views.blocks.model import Bullets, mapped
from rope_prof.views.report.markdown import blocks_markdown
from rope_prof.views.words.comparison import Comparison


def comparison(
    words: tuple[str, str],
    base: Side,
    cand: Side,
    *,
    paired: bool,
    anyway: bool = False,
    bounds: Mapping[str, Gate] | None = None,
    strict: bool = False,
    allow_unknown: bool = False,
    known: Known | None = None,
    store: str | None = None,
) -> Comparison:
    """All that `compare` prints of two sides, which were typed as `words`. Errors: those of `compare.compare`.

    `known`: how far runs of the same code differed, where more is known than this machine kept; `store`: as typed.
    """
    gates = bounds or {}
    before = None if paired else history(base, cand, known)
    verdicts = compare(base, cand, paired=paired, anyway=anyway, metrics=ALL_METRICS, known=before)
    return Comparison(
        typed=words,
        base=base,
        cand=cand,
        paired=paired,
        command=typed(*words, list(gates), strict=strict, anyway=anyway, allow_unknown=allow_unknown, store=store),
        verdicts=verdicts,
        checked=check(list(gates.values()), verdicts),
        allow_unknown=allow_unknown,
        differences=differences(base, cand),
        unlike=() if paired else (*unlike_machines(base.run, cand.run), *unlike_states(base.samples, cand.samples)),
    )


def history(base: Side, cand: Side, known: Known | None = None) -> Known | None:
    """What runs of the same code differed by on machines like that of both sides; None where those are two kinds.

    Of what is `known` elsewhere and what runs that were kept here say, the larger counts.
    """
    one, other = (machine_kind(side.run.machine) for side in (base, cand))
    if one != other:
        return None
    here = partial(known_before, kept_runs(base.run.machine))
    return here if known is None else lambda key, clock: larger(here(key, clock), known(key, clock))


def sides(base: str, cand: str) -> tuple[tuple[Side, Side], bool]:
    """(what both words name, whether it is of one run): `RUN[:PATH[/MODE]]` each. A run is opened once. A whole run
    against itself is two runs that hold one recording.

    A path may itself hold a colon (`module:function`). Errors: RunError for no run; UsageError for a path or mode that
    the run has not.
    """
    (first, *left), (second, *right) = _words(base), _words(cand)
    one = first.resolve() == second.resolve()
    opened = open_run(first)
    ours = _picked(base, opened, *left)
    return (ours, _picked(cand, opened if one else open_run(second), *right)), one and any((*left, *right))


def folder_of(word: str) -> Path:
    """The folder that `RUN[:PATH[/MODE]]` names."""
    return _words(word)[0]


def _words(text: str) -> tuple[Path, str | None, str | None]:
    """The folder, the path and the mode of one word: the shortest start of it that is a run is the folder."""
    cuts = [len(text), *(i for i, letter in enumerate(text) if letter == ":")]
    cut = next((i for i in cuts if is_run(Path(text[:i]))), cuts[0])
    path, _, mode = text[cut + 1 :].partition("/")
    return Path(text[:cut]), path or None, mode or None


def _picked(text: str, opened: OpenedRun, path: str | None, mode: str | None) -> Side:
    keys = opened.run.keys
    for what, name, known in (
        ("path", path, {facts.key.path for facts in keys}),
        ("mode", mode, {facts.key.mode for facts in keys}),
    ):
        if name and name not in known:
            raise UsageError(f"no {what} {name!r} in run '{opened.path}'; it has {', '.join(sorted(known))}")
    return side_of(text, opened, path, mode)


def side_of(text: str, opened: OpenedRun, path: str | None, mode: str | None) -> Side:
    """That path and mode of a run (None: all of them), with the figures of their captures; `text` is what was typed."""
    bare = bare_side(text, opened, path, mode)
    captures = {facts.key.name: opened.figures_or_reason(facts) for facts in bare.keys}
    return Side(label=bare.label, run=bare.run, samples=bare.samples, path=path, mode=mode, captures=captures)


def bare_side(text: str, opened: OpenedRun, path: str | None, mode: str | None) -> Side:
    """The same without its captures: enough to tell what differs."""
    return Side(label=repr(text), run=opened.run, samples=opened.samples, path=path, mode=mode)


def cleaned_markdown(found: Comparison, words: PrivateWords | None = None) -> tuple[str, str]:
    """The Markdown of `found` for everybody, without private words as a report's, and the line that says what went.

    `words`: what counts as private besides tokens and paths; by default this machine's own.
    """
    clean = cleaner(words)
    *blocks, how = mapped(compare_blocks(found), clean)
    assert isinstance(how, Bullets)
    said = replace(how, items=(*how.items, *filter(None, [clean.notice()])))
    return blocks_markdown("", (*blocks, said), "").rstrip("\n"), clean.sentence()


def typed(
    base: str,
    cand: str,
    fail_on: list[str],
    *,
    strict: bool,
    anyway: bool,
    allow_unknown: bool = False,
    store: str | None = None,
) -> str:
    """The command, so that it can be typed again."""
    bounds = [word for text in fail_on for word in ("--fail-on", text)]
    bounds += [] if store is None else ["--store", store]
    said = {"--strict": strict, "--allow-unknown": allow_unknown, "--anyway": anyway}
    flags = [flag for flag, on in said.items() if on]
    return shlex.join(["python", "-m", "rope_prof", "compare", base, cand, *bounds, *flags])
