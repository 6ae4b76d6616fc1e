"""What is installed is what was tested: the lock holds hashes of all, its versions are those of constraints.txt."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PIN = re.compile(r"(?m)^([a-z0-9][a-z0-9._-]*)==(\S+)(.*) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)")


def locked(repository: Path) -> dict[str, str]:
    """Name -> version; a package that differs by platform or Python is named once."""
    return {found[1]: found[2] for found in PIN.finditer((repository / "constraints.lock").read_text())}


def test_every_line_of_the_lock_is_a_pin_with_hashes_and_no_address(repository: Path) -> None:
    text = (repository / "constraints.lock").read_text()
    assert PIN.sub("", text).strip() == ""
    assert "://" not in text
    assert len(locked(repository)) > 150


def test_the_lock_and_the_constraints_name_the_same_versions(repository: Path) -> None:
    lock = locked(repository)
    lines = [line for line in (repository / "constraints.txt").read_text().splitlines() if "==" in line]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    assert {name: lock[name] for name in pins if name in lock} == {name: v for name, v in pins.items() if name in lock}
    assert lock["torch"] == pins["torch"]


def test_every_dependency_is_locked_and_the_build_is_pinned(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    asked = [*project["project"]["dependencies"], *(one for extra in extras.values() for one in extra)]
    lock = locked(repository)
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name == "rope-prof" or requirement.specifier.contains(lock[name]), requirement
    assert all(re.fullmatch(r"[a-z]+==[\d.]+", one) for one in project["build-system"]["requires"])
