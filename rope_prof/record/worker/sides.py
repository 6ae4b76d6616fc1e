"""The other side of a recording: a git revision in a worktree of its own for as long as it is needed, another Python.

A side is how its workers are started, and a label: path `fused` of the side `1a2b3c4` is the path `fused@1a2b3c4`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rope_prof.errors import UsageError
from rope_prof.record.device.provenance import git
from rope_prof.record.worker.process import Start

#: Between a path and its side; no module's name holds it.
MARK = "@"
_PREFIX = "rope_prof-side-"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSide:
    """One side: `words` say what it is, `kernels` is a folder that stands in for this program's own kernels,
    `revision` the commit that it has."""

    label: str
    words: str
    start: Start = field(default_factory=Start)
    kernels: str | None = None
    revision: str | None = None


def with_side(path: str, label: str) -> str:
    """`fused` and `1a2b3c4` -> `fused@1a2b3c4`."""
    return f"{path}{MARK}{label}"


def split(path: str) -> tuple[str, str]:
    """`fused@1a2b3c4` -> (`fused`, `1a2b3c4`); a path of this side has the label ``."""
    bare, _, label = path.partition(MARK)
    return bare, label


def slug(text: str) -> str:
    """What of `text` may stand in a label."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "other"


@contextmanager
def other_side(revision: str | None, python: str | None, preload: Sequence[str]) -> Iterator[RecordedSide | None]:
    """The side of `revision`, run by `python` where it is given; None where neither is. Its worktree is gone after.

    Errors: UsageError for a revision that does not exist or cannot be checked out, no repository, no such program.
    """
    if revision is None and python is None:
        yield None
        return
    program, environment = sys.executable, ""
    if python is not None:
        program = _program(python)
        environment = slug(Path(program).absolute().parent.parent.name)
    if revision is None:
        start = Start(python=program, folders=(), preload=tuple(preload))
        yield RecordedSide(label=environment, words=f"environment {environment}", start=start)
        return
    with checked_out(revision, Path.cwd()) as (top, tree, commit):
        label = commit if not environment else f"{commit}-{environment}"
        words = f"git revision {commit} ({revision})" + (f" in environment {environment}" if environment else "")
        own = Path(__file__).resolve().parents[3] == top.resolve()
        kernels = str(tree / "kernels") if own else None
        folders = () if python is not None and own else _moved(top, tree, [*sys.path, str(Path.cwd())], own=own)
        cwd = None if own else str(tree / Path.cwd().relative_to(top))
        start = Start(python=program, folders=folders, cwd=cwd, preload=tuple(preload))
        yield RecordedSide(label=label, words=words, start=start, kernels=kernels, revision=commit)


def _program(python: str) -> str:
    """The interpreter called `python`; of a folder, the one of that environment."""
    path = Path(python)
    if path.is_dir():
        path = path / "bin" / "python"
    found = str(path) if path.is_file() and os.access(path, os.X_OK) else shutil.which(python)
    if found is None:
        raise UsageError(f"--python {python!r} is no program and no environment; expected one as in .venv/bin/python")
    return str(Path(found).absolute())


def _moved(top: Path, tree: Path, folders: Sequence[str], *, own: bool) -> tuple[str, ...]:
    """`folders` of an import path, those inside `top` as they are in `tree`; this program's own stays as it is."""
    found = []
    for folder in filter(None, folders):
        path = Path(folder).absolute()
        inside = path.is_relative_to(top) and not own
        found.append(str(tree / path.relative_to(top)) if inside else str(path))
    return tuple(dict.fromkeys(found))


def known_revision(revision: str, folder: Path) -> tuple[Path, str]:
    """(the repository around `folder`, the short name of `revision`). Errors: UsageError where there is none."""
    found = git(folder, "rev-parse", "--show-toplevel")
    if not found:
        raise UsageError(f"revision {revision!r} needs a git repository here, and git; {str(folder)!r} is in none")
    commit = git(Path(found), "rev-parse", "--verify", "--quiet", "--short=7", f"{revision}^{{commit}}")
    if not commit:
        raise UsageError(f"{revision!r} is no revision of this repository; see `git log --oneline`")
    return Path(found), commit


@contextmanager
def checked_out(revision: str, folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """(the repository around `folder`, a worktree of `revision`, its short name); the worktree is gone after."""
    top, commit = known_revision(revision, folder)
    _forget_the_dead(top)
    scratch = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    tree = scratch / "tree"
    try:
        if git(top, "worktree", "add", "--detach", "--quiet", str(tree), commit) is None:
            raise UsageError(
                f"revision {revision!r} cannot be checked out into {str(scratch)!r}; is there space? "
                "see `git worktree add`"
            )
        with _terminated_as_by_hand():
            yield top, tree, commit
    finally:
        git(top, "worktree", "remove", "--force", str(tree))
        shutil.rmtree(scratch, ignore_errors=True)
        git(top, "worktree", "prune")


@contextmanager
def _terminated_as_by_hand() -> Iterator[None]:
    """A request to end this process, or the end of its terminal, ends the recording as Ctrl-C does meanwhile, so that
    no worktree is left.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [each for each in (signal.SIGTERM, signal.SIGHUP) if main and signal.getsignal(each) is signal.SIG_DFL]
    for each in ours:
        signal.signal(each, signal.default_int_handler)  # SIGINT itself is ignored in a script's background
    try:
        yield
    finally:
        for each in ours:
            signal.signal(each, signal.SIG_DFL)


def _forget_the_dead(top: Path) -> None:
    """Remove the worktrees of recordings that were killed before they could."""
    for scratch in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = scratch.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(scratch, ignore_errors=True)
    git(top, "worktree", "prune")
