"""Commit, dirt, load and host: read of a repository made here, and of a folder that has none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rope_prof.record.device.provenance import Commit, commit_of, git, host_id, host_load, measured_code


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit of one file."""
    words = ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "one"]
    (tmp_path / "path.py").write_text("x = 1\n")
    for command in (["init", "-q"], ["add", "path.py"], words):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True, capture_output=True)
    return tmp_path


def test_a_commit_is_clean_until_a_file_of_it_changes(tree: Path) -> None:
    name = git(tree, "rev-parse", "--short=12", "HEAD")
    assert name is not None
    assert commit_of(tree) == Commit(name, dirty=False)
    (tree / "recording.txt").write_text("not followed")
    assert commit_of(tree) == Commit(name, dirty=False)
    (tree / "path.py").write_text("x = 2\n")
    assert commit_of(tree) == Commit(name, dirty=True)


def test_no_repository_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_of(tmp_path) is None
    monkeypatch.chdir(tmp_path)
    assert measured_code() == Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git(tmp_path, "status") is None


def test_where_the_command_runs_is_what_is_measured(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert measured_code() == tree


def test_a_host_has_a_name_that_tells_nobody(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("aa\n")
    other.write_text("bb\n")
    found = host_id((tmp_path / "none", one))
    assert found is not None
    assert len(found) == 12
    assert found == host_id((one,)) != host_id((other,))
    assert host_id((tmp_path / "none",)) is None


def test_the_load_is_a_number_of_processes() -> None:
    load = host_load()
    assert load is None or load >= 0
