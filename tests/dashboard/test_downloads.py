"""What a page gives away is an export: every kind of canary in every kind of file, and none of them goes along."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from rope_prof.dashboard.downloads import Offered, OfPage

from rope_prof.dashboard import downloads
from rope_prof.errors import RunError
from rope_prof.io.run.redact import Cleaner
from rope_prof.io.run.secrets import BLANK
from rope_prof.views.blocks.model import mapped
from rope_prof.views.draw.palette import palette
from rope_prof.views.draw.svg import Drawing, Text, fitted
from rope_prof.views.words.names import short_name
from tests.io.canaries import CANARIES, WORDS
from tests.io.test_canaries import TEXTS, database, found, png, trace_text


def drawing() -> Drawing:
    """All of them in full, cut to fit, and as names of kernels."""
    whole = [Text(x=0, y=12.0 * k, text=text, title=text) for k, text in enumerate(TEXTS)]
    cut = [Text(x=0, y=12.0 * k, text=fitted(f"kernel<{text}>", 90)) for k, text in enumerate(TEXTS)]
    short = [Text(x=0, y=12.0 * k, text=short_name(f"kernel<{text}>(int)" * 3, 24)) for k, text in enumerate(TEXTS)]
    return Drawing(width=800, height=9000, title=TEXTS[4], shapes=(*whole, *cut, *short))


@pytest.fixture
def made(tmp_path: Path) -> list[Offered]:
    """What a page with all of them offers."""
    table = pl.DataFrame({"kernel": TEXTS, TEXTS[4]: TEXTS, TEXTS[5]: TEXTS, "n": range(len(TEXTS))})
    clean = Cleaner(WORDS)
    (tmp_path / "of-cnryuser.trace.json").write_text(trace_text())
    (tmp_path / "picture.png").write_bytes(png())
    database(tmp_path / "x.sqlite")
    traces = [(name, tmp_path / name) for name in ("of-cnryuser.trace.json", "picture.png", "x.sqlite")]
    what = OfPage(drawing, lambda: table, TEXTS, None)
    return [*downloads.made("run", palette("light"), clean, what), *downloads.copies(traces, clean)]


def test_nothing_that_is_given_away_holds_one(made: list[Offered], tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for one in made:
        (out / one.name).write_bytes(one.make())
    assert {path.suffix for path in out.iterdir()} == {".png", ".svg", ".csv", ".md", ".json", ".sqlite"}
    assert found(sorted(out.iterdir())) == []
    assert f"of-{BLANK}.trace.json" in {one.name for one in made}


@pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.kind)
def test_of_a_cut_text_no_half_is_left(canary: object) -> None:
    text = canary.text  # type: ignore[attr-defined]
    gone = canary.gone  # type: ignore[attr-defined]
    clean = Cleaner(WORDS)
    for cut in (fitted(f"kernel<{text}> at", 80), short_name(f"kernel {text} " * 3, 30)):
        after = mapped(cut, clean)
        assert not any(gone[at : at + 5] in after for at in range(max(1, len(gone) - 4))), (cut, after)


def test_a_text_that_holds_nothing_private_is_cut_as_before() -> None:
    cut = fitted("a_long_name_of_a_kernel_without_anything", 90)
    assert "…" in cut
    assert mapped(cut, Cleaner(WORDS)) == cut


def test_what_cannot_be_cleaned_is_listed_and_not_offered(tmp_path: Path) -> None:
    report = tmp_path / "x.ncu-rep"
    report.write_bytes(b"\x00\x01")
    other = tmp_path / "x.json"
    other.write_bytes(b"\x80\x04\x95\x00")
    files = [("report", report), ("pickle", other)]
    (one,) = downloads.copies(files, Cleaner(WORDS))
    with pytest.raises(RunError, match="is not given away: it is neither text"):
        one.make()
    (said,) = downloads.withheld(files)
    assert said.startswith("x.ncu-rep cannot be cleaned")
