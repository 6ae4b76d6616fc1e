"""The documents as a site: a strict build ends well, holds what its pages point to, and refuses a broken link."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = re.compile(r'^version(?: = "|: )([\d.]+)"?$', re.MULTILINE)


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's files, without what the site does not read."""
    folder = tmp_path_factory.mktemp("documents")
    named = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for name in named:
        if not name.startswith(("traces/h", "tests/")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_site_builds_and_every_document_is_a_page(copy: Path) -> None:
    site = copy / "site"
    done = build(copy, site)
    assert done.returncode == 0, done.stderr
    assert "excluded from the built site" not in done.stderr
    for page in (*(ROOT / "docs").glob("*.md"), Path("security.md"), Path("changelog.md"), Path("skill.md")):
        assert (site / page.stem / "index.html").is_file(), page
    assert "files/kernels/mrope/reference.py.txt" in (site / "any-fusion/index.html").read_text()
    assert "<summary>Every path and mode" in (page := (site / "index.html").read_text())
    assert page.count("<table>") >= 4
    assert (site / "files/kernels/mrope/reference.py.txt").read_bytes() == (
        ROOT / "kernels/mrope/reference.py"
    ).read_bytes()


@pytest.mark.parametrize("link", ["chains.md#no-such-part", "no-such-page.md", "../rope_prof/no_such.py"])
def test_a_broken_link_ends_the_build(copy: Path, tmp_path: Path, link: str) -> None:
    page = copy / "docs" / "fleet.md"
    whole = page.read_text()
    page.write_text(f"{whole}\n[broken]({link})\n")
    try:
        done = build(copy, tmp_path / "site")
    finally:
        page.write_text(whole)
    assert done.returncode != 0
    assert link.split("#")[-1] in done.stderr


def test_every_page_stands_in_the_navigation() -> None:
    text = re.sub(r"!!python/name:\S+", "", (ROOT / "mkdocs.yml").read_text())
    named = set(re.findall(r"[\w-]+\.md", str(yaml.safe_load(text)["nav"])))
    assert named == {page.name for page in (ROOT / "docs").glob("*.md")} | {
        "index.md",
        "security.md",
        "changelog.md",
        "skill.md",
    }


def test_the_version_is_one() -> None:
    import rope_prof

    for name in ("pyproject.toml", "CITATION.cff"):
        found = VERSION.search((ROOT / name).read_text())
        assert found is not None
        assert found[1] == rope_prof.__version__, name
    assert f"## [{rope_prof.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
