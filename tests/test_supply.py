"""What is installed is what was tested: the lock holds hashes of all, its versions are those of constraints.txt."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
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


def told(folder: Path, repository: Path, audit: str = "", licence: str = "MIT", hashes: bool = True) -> Any:
    """What `.ci/supply` says of one package, where its tools answer so."""
    tools, out = folder / ".ci-tools" / "bin", '"${@: -1}"'
    tools.mkdir(parents=True)
    (folder / ".ci").mkdir()
    shutil.copy(repository / ".ci" / "supply", folder / ".ci" / "supply")
    (folder / "constraints.lock").write_text("six==1.0\n")
    (folder / "pyproject.toml").write_text("")
    part: dict[str, Any] = {"name": "six", "externalReferences": [{"hashes": ["00"]}] if hashes else []}
    answers = {
        "pip-audit": f"echo '{audit}' >{out}; exit 1" if audit.startswith("{") else f"echo '{audit}' >&2; exit 1",
        "pip-licenses": f"echo '{json.dumps([{'Name': 'six', 'License': licence}])}' >{out}",
        "cyclonedx-py": f"echo '{json.dumps({'components': [part]})}' >{out}",
    }
    for name in ("pip", "uv", *answers):
        (tools / name).write_text(f"#!/usr/bin/env bash\n{answers.get(name, 'true')}\n")
        (tools / name).chmod(0o755)
    (tools / "python").symlink_to(sys.executable)
    return subprocess.run(["bash", ".ci/supply"], cwd=folder, capture_output=True, text=True, check=False)


def audited(*packages: dict[str, Any]) -> str:
    return json.dumps({"dependencies": packages})


SOUND = {"name": "six", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "other", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("changes", "failed", "said"),
    [
        ({"audit": audited(SOUND)}, "", "1 packages, none with a known weakness"),
        ({"audit": audited(UNKNOWN)}, "", "has no data on any of the 1 packages"),
        ({"audit": "Could not connect"}, "", "the index is out of reach"),
        ({"audit": "no such option"}, "audit", "no such option"),
        ({"audit": audited(SOUND, UNKNOWN)}, "audit", "other: not known to the index"),
        ({"audit": audited(SOUND | {"vulns": [{"id": "CVE-1"}]})}, "audit", "six 1.0: CVE-1"),
        ({"audit": audited(SOUND), "licence": "GNU General Public License v3 (GPLv3)"}, "licences", "six: GNU General"),
        ({"audit": audited(SOUND), "licence": "AGPL-3.0-only"}, "licences", "six: AGPL-3.0-only"),
        ({"audit": audited(SOUND), "licence": "UNKNOWN"}, "licences", "six: UNKNOWN"),
        ({"audit": audited(SOUND), "licence": "BSD; GPL-2.0"}, "", "none under the GNU General Public License alone"),
        ({"audit": audited(SOUND), "licence": "LGPL-3.0-or-later"}, "", "1 components"),
        ({"audit": audited(SOUND), "hashes": False}, "sbom", "not in the bill of materials with a hash: ['six']"),
    ],
)
def test_each_check_of_the_supply_can_fail(
    tmp_path: Path, repository: Path, changes: dict[str, Any], failed: str, said: str
) -> None:
    done = told(tmp_path, repository, **changes)
    assert said in done.stdout + done.stderr
    assert done.returncode == bool(failed)
    assert f"failed: {failed}" in done.stderr if failed else "failed" not in done.stderr


def test_ci_runs_it(repository: Path) -> None:
    assert "check .ci/supply\n" in (repository / ".ci" / "run").read_text()
