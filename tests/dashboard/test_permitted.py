"""Files are opened from the permitted folders alone, whatever is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rope_prof.dashboard.allowed_files import asked_folders, named, offered, resolve

from rope_prof.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside = tmp_path / "open"
    (inside / "deep").mkdir(parents=True)
    (inside / "a.json").write_text("{}")
    (inside / "deep/b.json.gz").write_text("")
    (inside / "notes.txt").write_text("")
    (inside / "run.json").write_text("{}")
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "open-too").mkdir()
    (tmp_path / "open-too/c.json").write_text("{}")
    (inside / "link.json").symlink_to(tmp_path / "secret.json")
    (inside / "up").symlink_to(tmp_path)
    (inside / "within.json").symlink_to(inside / "a.json")
    return inside


def test_the_folders_are_those_of_the_command_line(tmp_path: Path) -> None:
    words = ["--run", "r", "--folder", "one", "--folder", str(tmp_path)]
    assert asked_folders(words) == [Path("one"), tmp_path]


def test_traces_are_offered_by_name_and_no_link_is_followed(folder: Path) -> None:
    assert offered(named([folder])) == ["open/a.json", "open/deep/b.json.gz"]


def test_folders_of_one_name_are_told_apart_and_the_same_one_counts_once(tmp_path: Path) -> None:
    for place in ("x/t", "y/t"):
        (tmp_path / place).mkdir(parents=True)
    found = named([tmp_path / "x/t", tmp_path / "y/t", tmp_path / "x/../x/t", tmp_path / "none"])
    assert found == {"t": tmp_path / "x/t", "t-2": tmp_path / "y/t"}


@pytest.mark.parametrize("text", ["open/a.json", "a.json", " open/a.json ", "deep/b.json.gz", "open/within.json"])
def test_what_lies_inside_opens(folder: Path, text: str) -> None:
    assert resolve(named([folder]), text).is_relative_to(folder)


def test_an_absolute_path_inside_opens(folder: Path) -> None:
    assert resolve(named([folder]), str(folder / "a.json")) == folder / "a.json"


@pytest.mark.parametrize(
    "text",
    ["../secret.json", "open/../../secret.json", "open/link.json", "link.json", "open/up/secret.json",
     "up/open/../secret.json", "/etc/passwd", "open", "", ".", "/", "open/deep", "open/none.json", "a.json\0",
     "~/x.json", "open/up/open-too/c.json"],
)  # fmt: skip
def test_nothing_else_opens(folder: Path, text: str) -> None:
    with pytest.raises(UsageError):
        resolve(named([folder]), text)


def test_a_folder_whose_name_begins_alike_is_not_inside(folder: Path) -> None:
    with pytest.raises(UsageError):
        resolve(named([folder]), str(folder.parent / "open-too/c.json"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    parts=st.lists(st.sampled_from(["..", ".", "open", "up", "link.json", "a.json", "secret.json", "deep", "", "/"]))
)
def test_no_path_made_of_these_parts_leads_out(folder: Path, parts: list[str]) -> None:
    try:
        found = resolve(named([folder]), "/".join(parts))
    except UsageError:
        return
    assert found.is_file()
    assert Path(os.path.realpath(found)).is_relative_to(folder)
