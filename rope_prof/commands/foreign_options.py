"""`record --definition`, `--task`: files of others -> the word that finds their operation, now and on `--resume`."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.errors import UsageError
from rope_prof.foreign.words import word

DEFINITION = "rope_prof.foreign.flashinfer"
TASK = "rope_prof.foreign.kernelbench"


def foreign_word(
    definition: str | None,
    task: str | None,
    solutions: Sequence[str],
    workload: str | None,
    values: Sequence[tuple[str, Sequence[str]]],
) -> str | None:
    """The word of `--operation` for those options; None where none was given. Errors: UsageError.

    `values`: what `--set` says; it gives the open axes of a definition theirs.
    """
    if definition is not None and task is not None:
        raise UsageError("--definition and --task are two operations; leave one of them out")
    if definition is None and task is None:
        given = "--solution" if solutions else "--workload" if workload else None
        if given is not None:
            raise UsageError(f"{given} belongs to an operation; name it by --definition FILE.json or --task FILE.py")
        return None
    own = [("solution", each) for each in solutions]
    if task is not None:
        if workload is not None:
            raise UsageError("--workload belongs to a --definition; a task makes its own inputs")
        return word(TASK, [("task", task), *own])
    assert definition is not None
    more = [("workload", workload)] if workload is not None else []
    axes = [] if workload is not None else [(axis, ",".join(words)) for axis, words in values]
    return word(DEFINITION, [("definition", definition), *own, *more, *axes])
