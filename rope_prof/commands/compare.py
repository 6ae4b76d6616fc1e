"""`compare BASE CAND`: two runs, two selections of one, or two traces; a verdict each and an exit code for CI."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rope_prof.commands import words
from rope_prof.commands.compare_words import FORMATS, CompareWords
from rope_prof.commands.kept import private, say_kept
from rope_prof.commands.words import place
from rope_prof.errors import UsageError
from rope_prof.io.layout import RUN_FILE
from rope_prof.io.run.history import history_folder
from rope_prof.model.baseline import PREFIX


@words.command
def compare(asked: CompareWords) -> None:
    """Faster, slower or the same, with intervals.

    Exit: 0 all bounds hold, 1 a bound fails, 2 usage, 3 not comparable, 4 a bound cannot be judged.
    """
    form, sides = asked.form, (asked.base, asked.cand)
    if form not in FORMATS:
        raise UsageError(f"unknown --format {form!r}; expected {', '.join(FORMATS)}")
    if asked.as_json and form not in {"text", "json"}:
        raise UsageError(f"--json and --format {form} ask for two things; say one")
    if asked.strict and asked.allow_unknown:
        raise UsageError("--strict fails what cannot be judged and --allow-unknown passes it; say one")
    for word in sides:
        place(word.partition(":")[0])
    if any(word.startswith(PREFIX) for word in sides):  # a name means another run tomorrow
        _compare(asked)
        return
    inputs = [path for word in sides for path in _places(word)]
    inputs += [history_folder()] if history_folder().exists() else []
    rest = private() if form not in {"text", "json"} else ""
    say_kept(("compare", asked, rest), inputs, partial(_compare, asked))


def _compare(asked: CompareWords) -> None:
    from rope_prof.commands.compare_sides import compare_sides  # dear to load, and not needed where the answer is kept

    compare_sides(asked)


def _places(word: str) -> Iterator[Path]:
    """The files and run folders that `RUN[:PATH[/MODE]]` can name; a path and a folder may hold colons."""
    cuts = [len(word), *(i for i, letter in enumerate(word) if letter == ":")]
    for path in (Path(word[:i]) for i in cuts if i):
        if path.is_file() or (path / RUN_FILE).exists():
            yield path
