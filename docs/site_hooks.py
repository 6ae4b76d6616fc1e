"""Hooks of the documents' site: pages that lie outside of `docs/`, and the files that pages point to.

README, CHANGELOG and SECURITY are pages of the site under names of their own. A link to another file of the repository
(`../kernels/…`) leads to a copy of that file in the site, so that it works wherever the site lies; a link to a file
that is not there stays as it is, which a strict build refuses.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: Page of the site -> file of the repository.
OUTSIDE = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "security.md": "SECURITY.md",
    "skill.md": "SKILL.md",
}
#: Where copies of the repository's files lie in the site.
COPIES = "files"
_LINK = re.compile(r"\]\((?![a-z]+:|#|/)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages from outside of `docs/`, and every file that a page points to."""
    from mkdocs.structure.files import File

    for page, name in OUTSIDE.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    pages = [(one.src_uri, one.content_string) for one in files.documentation_pages()]
    wanted = {target for page, text in pages for target in _targets(page, text)}
    for target in sorted(wanted):
        if (ROOT / target).is_file() and not target.startswith("docs/") and target not in OUTSIDE.values():
            files.append(File.generated(config, f"{COPIES}/{target}.txt", content=(ROOT / target).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text with its links as they are in the site."""
    uri = page.file.src_uri
    return _LINK.sub(lambda found: f"]({_in_site(uri, found[1], files)}{found[2] or ''})", markdown)


def _targets(page: str, text: str) -> list[str]:
    return [_of_repository(page, found[1]) for found in _LINK.finditer(text)]


def _of_repository(page: str, link: str) -> str:
    """The path from the root of the repository that `link` of that page stands for."""
    parts: list[str] = [] if page in OUTSIDE else ["docs", *PurePosixPath(page).parent.parts]
    for part in PurePosixPath(link).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _in_site(page: str, link: str, files: Files) -> str:
    """Where that link leads in the site, from the page: each page of ours lies at the top or one folder down."""
    target = _of_repository(page, link)
    up = "../" * page.count("/")
    named = {name: uri for uri, name in OUTSIDE.items()}
    if target in named:
        return up + named[target]
    if target.startswith("docs/"):
        return up + target.removeprefix("docs/")
    copy = f"{COPIES}/{target}.txt"
    return up + copy if files.get_file_from_path(copy) is not None else link
