"""docs/reports.md: its excerpt and its picture are what `export` writes of the run that ships."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/reports.md"
PICTURE = ROOT / "docs/img/report-before-after.png"
BEGIN = "<!-- REPORT: begin (python tests/report/test_reports_page.py writes what stands between these marks) -->\n"
END = "<!-- REPORT: end -->\n"
SECTIONS = ("1. Verdict", "2. Paths and modes")


def excerpt(markdown: str) -> str:
    """The headline and the first tables, their headings a step lower; folded parts are left out."""
    import re

    head, *parts = markdown.split("\n## ")
    chosen = [part for part in parts if part.startswith(SECTIONS)]
    text = "\n\n".join([*head.splitlines()[2:5:2], *(f"### {part.strip()}" for part in chosen)])
    return re.sub(r"<details>.*?</details>\n\n", "", text, flags=re.DOTALL) + "\n"


def between(page: str) -> str:
    return page.split(BEGIN)[1].split(END)[0]


def test_the_excerpt_is_what_export_writes(shipped_report) -> None:  # type: ignore[no-untyped-def]
    assert between(PAGE.read_text("utf-8")) == excerpt(shipped_report.markdown)


def test_the_picture_is_what_export_draws(shipped_report) -> None:  # type: ignore[no-untyped-def]
    from PIL import Image, ImageChops

    with Image.open(PICTURE) as kept, Image.open(shipped_report.folder / "before-after.light.png") as made:
        assert kept.size == made.size
        apart = ImageChops.difference(kept.convert("L"), made.convert("L")).histogram()
        assert sum(apart[64:]) < 0.01 * kept.width * kept.height  # another Pillow may set letters a little otherwise


def test_it_names_every_section_and_option() -> None:
    from rope_prof.views.report.report import TITLES

    page = PAGE.read_text("utf-8")
    for number, _, title in TITLES:
        assert f"| {number} | {title} |" in page
    for word in ("--to html", "--to markdown", "--image-base", "60,000"):
        assert word in page


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT)]
    from tempfile import TemporaryDirectory

    from rope_prof.opened.report import cleaned_report
    from rope_prof.opened.run import open_run
    from tests.report.conftest import write_text

    with TemporaryDirectory() as scratch:
        made, _ = cleaned_report(open_run(Path("traces/h100-ernie28b")))
        write_text(made, Path(scratch))
        text = (Path(scratch) / "report.md").read_text("utf-8")
        PICTURE.write_bytes((Path(scratch) / "before-after.light.png").read_bytes())
    page = PAGE.read_text("utf-8")
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}{excerpt(text)}{END}{after}", "utf-8")
