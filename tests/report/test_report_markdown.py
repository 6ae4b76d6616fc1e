"""Names in Markdown, letter for letter, as a renderer shows them; folding, pictures, addresses."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rope_prof.cli import main
from rope_prof.views.report.markdown import HEAD_LINES, LIMIT
from rope_prof.views.words.markdown import code, md
from rope_prof.views.words.names import shown
from tests.report.report_reading import plain, read, rendered

NASTY = st.text(alphabet=st.sampled_from(list("ab_*`|\\<>[]()!#@:$~&;=+-. 1\n\t\x1bé中")), max_size=30)
quick = settings(max_examples=200)


def spaced(text: str) -> str:
    """Runs of blanks as one: a reader of HTML sees no more."""
    return re.sub(r"\s+", " ", text).strip()


@quick
@given(NASTY)
def test_text_is_shown_letter_for_letter(text: str) -> None:
    assert spaced(plain(md(text))) == spaced(shown(text.replace("\n", " ")))


@quick
@given(NASTY)
def test_a_name_in_a_cell_is_shown_letter_for_letter_and_is_one_cell(name: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {code(name)} | {md(name)} |\n"
    (rows,) = read(rendered(table)).tables
    assert [spaced(cell) for cell in rows[1]] == [spaced(shown(name)), spaced(shown(name.replace("\n", " ")))]


@quick
@given(NASTY)
def test_no_text_makes_a_tag(text: str) -> None:
    tags = {tag for tag, _ in read(rendered(f"x {md(text)} y {code(text)}")).tags}
    assert tags <= {"p", "code"}


@pytest.mark.parametrize("word", ["@somebody", "#12", "GH-3", ":tada:", "$x$", "https://a.example", "www.a.example"])
def test_what_github_changes_stands_in_code(word: str) -> None:
    assert f"<code>{word}</code>" in rendered(md(f"it says {word} here"))


def test_hostile_names_stand_whole_in_the_text(hostile_report) -> None:  # type: ignore[no-untyped-def]
    from tests.dashboard.drawn_run import HOSTILE

    page = read(rendered(hostile_report.markdown))
    cells = [spaced(cell) for table in page.tables for row in table for cell in row]
    for name in HOSTILE:
        assert any(spaced(shown(name)) in cell for cell in cells), name
    assert {tag for tag, _ in page.tags} <= {
        *("h1", "h2", "p", "ul", "li", "strong", "em", "code", "pre", "details", "summary", "a"),
        *("table", "thead", "tbody", "tr", "th", "td", "picture", "source", "img"),
    }
    links = [facts.get("href") or facts.get("src") or facts.get("srcset") for _, facts in page.tags]
    assert all(link is None or link.startswith("before-after.") for link in links)


def test_the_text_is_short_and_folds_its_long_parts(shipped_report) -> None:  # type: ignore[no-untyped-def]
    text = shipped_report.markdown
    assert len(text) < LIMIT
    assert text.count("<details>") == text.count("</details>") > 4
    page = read(rendered(text))
    assert not page.faults
    assert not page.open


def test_pictures_are_png_and_svg_in_light_and_dark(shipped_report) -> None:  # type: ignore[no-untyped-def]
    names = {path.name for path in shipped_report.folder.iterdir()}
    figures = ("before-after", "requests", "prediction", "step-parts", "layer-decode")
    grounds = [(name, ground) for name in figures for ground in ("light", "dark")]
    pictures = {f"{name}.{ground}.{kind}" for name, ground in grounds for kind in ("png", "svg")}
    assert names == pictures | {"report.md"}
    corners = {}
    for ground in ("light", "dark"):
        with Image.open(shipped_report.folder / f"before-after.{ground}.png") as image:
            assert image.width > 2000
            picture = image.convert("RGB")
            corners[ground] = sum(picture.getpixel((2, 2)))
            assert len(picture.resize((200, 60)).getcolors(12_000) or ()) > 20
        root = ElementTree.parse(shipped_report.folder / f"before-after.{ground}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [e for e in root.iter() if any("href" in a or a.startswith("on") for a in e.attrib)]
    assert corners["dark"] < 100 < 700 < corners["light"]


def test_image_base_stands_before_every_picture(tmp_path: Path) -> None:
    from tests.dashboard.drawn_run import write_gpu_run

    run = write_gpu_run(tmp_path / "run", tokens=(64,))
    words = ["export", str(run), "--to", "markdown", "-o", str(tmp_path / "out")]
    assert main([*words, "--image-base", "https://example.com/pictures"]) == 0
    page = read(rendered((tmp_path / "out/report.md").read_text("utf-8")))
    links = [f.get("href") or f.get("src") or f.get("srcset") for tag, f in page.tags if tag in {"a", "img", "source"}]
    assert len(links) == 6  # light and dark before the fold, and those and their SVG behind it
    assert all(link and link.startswith("https://example.com/pictures/before-after.") for link in links)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--to", "html", "-o", "{folder}"), "is a folder; expected a file to write"),
        (("--to", "markdown", "-o", "{file}"), "is a file; expected a folder"),
        (("--to", "markdown", "-o", "{folder}/x", "--image-base", 'a "b'), "is no address"),
        (("--to", "html", "-o", "{folder}/x", "--image-base", "x"), "--image-base goes with --to markdown"),
    ],
)
def test_refusals_say_what_to_do(
    words: tuple[str, ...], said: str, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    typed = [word.format(folder=tmp_path, file=file) for word in words]
    assert main(["export", str(repository / "traces/h100-ernie28b"), *typed]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_it_begins_with_what_a_reviewer_needs_and_one_fold(shipped_report) -> None:  # type: ignore[no-untyped-def]
    head, fold, rest = shipped_report.markdown.partition("<details>\n<summary>The evidence")
    lines = head.rstrip().splitlines()
    assert fold
    assert len(lines) <= HEAD_LINES
    assert "each at its best" in lines[4]
    assert [line.split(" |")[0] for line in lines if line.startswith("| ")] == [
        *("| a call", "| ---", "| best of each, wall"),
        *("| compile, wall", "| graph, wall", "| eager, wall", "| eager, device's clock"),
    ]
    assert head.count("<picture>") == 1
    for word in ("Accuracy: ", "Against stock", "7 of 24", "fused · compile loses to unfused · compile"):
        assert word in head
    assert "Command: `python -m rope_prof record" in head
    assert rest.rstrip().endswith("</details>")
    assert rest.index("## 1. Verdict") < rest.index("## 12. ")
