"""Both sides of the page Compare: what the address asks for, what is taken where it says nothing, what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rope_prof.dashboard.kept import kept
from rope_prof.dashboard.shell import Seen

from rope_prof.analysis.comparison.sides import Side
from rope_prof.dashboard import loading, view
from rope_prof.io.run.folder import RunFolder
from rope_prof.model.run import KeyFacts
from rope_prof.opened.comparison import bare_side, comparison, side_of
from rope_prof.views.words.comparison import Comparison

#: The path or mode of a side that picks all of them.
ALL = "all"
#: The sides' names in the address; their path and mode follow as `from_path`, `from_mode`.
FROM, TO = "from", "to"


@dataclass(frozen=True, slots=True)
class Pick:
    """A run by its name, a path and a mode of it or ALL."""

    run: str
    path: str
    mode: str


def defaults(seen: Seen, bases: Mapping[str, tuple[str | None, KeyFacts]]) -> tuple[Pick, Pick]:
    """The baseline that every page shows, and what to hold against it.

    Against another run: the same path and mode of the shown one. Else fused where it is chosen and was measured, as the
    overview has it, or the last chosen path that was.
    """
    facts = view.keys_of(seen.folder.run, seen.case)
    name, held = bases.get(seen.view.base, (None, facts[0]))
    base = Pick(name or seen.name, held.key.path, held.key.mode)
    if name is not None:
        return base, Pick(seen.name, base.path, base.mode)
    return base, _other(seen, facts, base)


def _other(seen: Seen, facts: Sequence[KeyFacts], base: Pick) -> Pick:
    sides = [f for f in facts if (f.key.path, f.key.mode) != (base.path, base.mode)]
    wanted = [f for f in sides if seen.view.has(f.key) and f.status == "measured"]
    measured = [f for f in sides if f.status == "measured"]
    found = next((some for some in (wanted, measured, sides) if some), None)
    if found is None:
        return base
    one = next((f for f in found if (f.key.path, f.key.mode) == ("fused", "eager")), found[-1])
    return Pick(seen.name, one.key.path, one.key.mode)


def choices(folder: RunFolder, what: str) -> list[str]:
    """What a side can be: every `path` or `mode`, or one of the run's."""
    return [ALL, *dict.fromkeys(getattr(f.key, what) for f in folder.run.keys)]


def typed(folder: RunFolder, side: Pick) -> str:
    """`RUN[:PATH[/MODE]]`, as the command reads it; the folder from here where it lies below."""
    here = Path.cwd()
    where = folder.path.resolve()
    shown = str(where.relative_to(here)) if where.is_relative_to(here) else str(where)
    path, mode = ("" if value == ALL else value for value in (side.path, side.mode))
    return f"{shown}:{path}/{mode}" if mode else f"{shown}:{path}" if path else shown


def bare(folder: RunFolder, side: Pick) -> Side:
    """That side without its captures: enough to tell what differs."""
    return bare_side(typed(folder, side), loading.opened(folder.path), *_picked(side))


def _picked(side: Pick) -> tuple[str | None, str | None]:
    return None if side.path == ALL else side.path, None if side.mode == ALL else side.mode


@kept(64)
def compared(folders: tuple[RunFolder, RunFolder], sides: tuple[Pick, Pick], *, anyway: bool) -> Comparison:
    """What `compare` finds of both. Errors: NotComparableError and UsageError, as the command says them."""
    words = (typed(folders[0], sides[0]), typed(folders[1], sides[1]))
    base, cand = (
        side_of(word, loading.opened(folder.path), *_picked(side))
        for word, folder, side in zip(words, folders, sides, strict=True)
    )
    return comparison(words, base, cand, paired=same_run(folders), anyway=anyway)


def same_run(folders: tuple[RunFolder, RunFolder]) -> bool:
    """Whether both sides are of one run: their rounds are paired then."""
    return folders[0].path.resolve() == folders[1].path.resolve()
