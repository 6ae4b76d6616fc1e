"""The page that lists a run's traces: every link is there, bars keep their scale, names are shown letter for letter."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from rope_prof.analysis.run.rows import Row
from rope_prof.analysis.stats import Figure
from rope_prof.io.run.schema import MROPE
from rope_prof.model.run import Machine, Run
from rope_prof.views.report.html import report_html
from rope_prof.views.report.index import trace_index

CASE = MROPE.case({"model": "28b", "tp": 1, "tokens": 973, "dtype": "bf16", "prompt": "image"})
MACHINE = Machine(
    device="cpu", device_name="a CPU", python="3.12", platform="linux", cpu_name="a CPU", cpu_cores=2, torch="2.13.0"
)


def row(path: str, *, busy_ns: float | None, wall_ns: float | None, raw_ns: float | None = None) -> Row:
    wall = None if wall_ns is None else Figure(median=wall_ns, lo=None, hi=None, n=5)
    return Row(
        key=f"{path}.eager.cold",
        case=CASE,
        path=path,
        mode="eager",
        l2="cold",
        rank=0,
        status="measured",
        reason=None,
        kernels_per_call=25.0,
        kernel_ns=busy_ns,
        busy_ns=busy_ns,
        period_ns=None,
        bubble_raw_ns=raw_ns,
        bubble_corrected_ns=None if wall_ns is None or busy_ns is None else wall_ns - busy_ns,
        wall_ns=wall,
        device_ns=None,
        inflation=None,
        speedup=None,
        speedup_interval=None,
        max_error=None,
        accuracy=None,
        first_call_ns=None,
        bytes_moved=None,
    )


def page(*rows: Row, name: str = "a run", links: dict[str, str] | None = None) -> str:
    run = Run(
        schema_version=1,
        name=name,
        created="2026-11-23",
        rope_prof="0.1.0",
        command="rope_prof record",
        seed=1,
        machine=MACHINE,
        operation=MROPE,
        keys=(),
    )
    addresses = {each.key: f"/open/{each.path}" for each in rows} if links is None else links
    return report_html(trace_index(run, rows, addresses, dict.fromkeys(addresses, 2048), {}), served=True)


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str | None]:
        return [found["href"] for tag, found in self.tags if tag == "a" and not str(found["href"]).startswith("#")]


def drawn(text: str) -> list[tuple[str, float]]:
    """(what it is, how long it takes in µs by its scale) of each part of the bars, legend left out."""
    found = re.findall(r'<rect[^>]* width="([\d.]+)" height="22[^>]*class="f-(kernel|bubble)"', text)
    whole = sum(float(width) for width, _ in found[:2])
    return [(role, float(width) / whole) for width, role in found]


def test_every_trace_is_a_link() -> None:
    rows = (row("unfused", busy_ns=80e3, wall_ns=320e3), row("fused", busy_ns=5e3, wall_ns=8e3))
    assert Seen(page(*rows)).links() == ["/open/unfused", "/open/fused"]


def test_a_key_without_a_trace_says_why_and_is_no_link() -> None:
    rows = (row("unfused", busy_ns=80e3, wall_ns=320e3), row("fused", busy_ns=None, wall_ns=None))
    seen = Seen(page(*rows, links={rows[0].key: "/open/unfused"}))
    assert seen.links() == ["/open/unfused"]
    assert "no trace · measured" in seen.text


def test_busy_and_bubble_share_one_scale() -> None:
    """Each part as long as its time, whichever call of the case it is of."""
    text = page(row("unfused", busy_ns=80e3, wall_ns=320e3), row("fused", busy_ns=4e3, wall_ns=8e3))
    parts = [("kernel", 0.25), ("bubble", 0.75), ("kernel", 0.0125), ("bubble", 0.0125)]
    assert [(role, round(part, 4)) for role, part in drawn(text)] == parts
    assert 'class="doubt' not in text


def test_a_raw_bubble_is_struck_out_and_not_drawn() -> None:
    text = page(row("unfused", busy_ns=50e3, wall_ns=None, raw_ns=150e3))
    assert '<td class="doubt r">150 µs</td>' in text
    assert drawn(text) == []


def test_a_negative_bubble_is_written_but_not_drawn() -> None:
    text = page(row("fused", busy_ns=10e3, wall_ns=8e3))
    assert [role for role, _ in drawn(text)] == ["kernel"]
    assert "-2.00 µs" in text


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b", '"quoted"', "_x_ $y$ :smile: ![p](http://e/)"])
def test_a_name_is_shown_letter_for_letter_and_runs_nothing(name: str) -> None:
    seen = Seen(page(row(name, busy_ns=1.0, wall_ns=2.0), name=name))
    assert seen.text.count(name) >= 3
    assert {tag for tag, _ in seen.tags}.isdisjoint({"script", "img", "iframe"})
    assert [found["href"] for tag, found in seen.tags if tag == "link"] == ["data:,"]


def test_the_page_asks_for_nothing() -> None:
    text = page(row("unfused", busy_ns=80e3, wall_ns=320e3))
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
