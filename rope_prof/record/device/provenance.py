"""Which code was measured and on which host: a commit, how busy the host was, a name for the host that tells nobody.

Knows git by its command line alone; a tree without git, or a host without a program `git`, has no commit.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: Random names that a Linux system gives itself: for as long as it is installed, else until it is started anew.
_NAMES = (Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"))
_GIT_S = 20


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, and whether files that git follows differ from it."""

    name: str
    dirty: bool


def measured_code() -> Path:
    """The folder whose commit says what was measured: where the command runs if git follows it, else this package."""
    here = Path.cwd()
    return here if git(here, "rev-parse", "--show-toplevel") else Path(__file__).resolve().parents[3]


def commit_of(folder: Path) -> Commit | None:
    """The commit that is checked out in the repository around `folder`; None without one."""
    name = git(folder, "rev-parse", "--short=12", "HEAD")
    if not name:
        return None
    changed = git(folder, "status", "--porcelain", "--untracked-files=no")
    return Commit(name, dirty=bool(changed))


def git(folder: Path, *words: str) -> str | None:
    """What git says to `words` in `folder`; None where it refuses, hangs or is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=_GIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def host_load() -> float | None:
    """Processes that ran or waited on the host, averaged over the last minute; None where it does not say."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def host_id(names: tuple[Path, ...] = _NAMES) -> str | None:
    """Twelve digits that are the same on one host and differ between hosts; None where the system has no such name.

    A hash of the system's own random name, so that nobody who reads it can try names of hosts against it.
    """
    for path in names:
        try:
            random_name = path.read_text().strip()
        except OSError:
            continue
        if random_name:
            return hashlib.sha256(f"rope_prof {random_name} {platform.node()}".encode()).hexdigest()[:12]
    return None
