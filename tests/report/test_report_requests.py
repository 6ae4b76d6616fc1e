"""End to end in both reports: stacked parts, prediction, the parts of a step, one layer of it before and after."""

from __future__ import annotations

import re

from rope_prof.views.blocks.model import Picture
from rope_prof.views.draw.svg import Text

PICTURES = ("requests", "prediction", "step-parts", "layer-decode")


def test_the_markdown_has_its_pictures_light_and_dark(shipped_report) -> None:  # type: ignore[no-untyped-def]
    for name in PICTURES:
        for ground in ("light", "dark"):
            for kind in ("png", "svg"):
                assert (shipped_report.folder / f"{name}.{ground}.{kind}").stat().st_size > 1000
        assert f'src="{name}.light.png"' in shipped_report.markdown


def test_the_page_has_them_and_a_layer_of_each_phase_to_zoom(shipped_report) -> None:  # type: ignore[no-untyped-def]
    html = shipped_report.html
    start = html.index('<section id="requests"')
    section = html[start : html.index("</section>", start)]
    assert section.count("<svg") == len(PICTURES) + 1
    assert set(re.findall(r'data-zoom="([^"]*)"', section)) == {"layer-decode", "layer-prefill"}


def test_a_step_is_marked_as_stretched_and_both_paths_are_on_one_scale(shipped_report) -> None:  # type: ignore[no-untyped-def]
    (section,) = (one for one in shipped_report.report.sections if one.key == "requests")
    figures = {block.name: block for block in section.blocks if isinstance(block, Picture)}
    texts = [shape.text for shape in figures["layer-decode"].drawing.shapes if isinstance(shape, Text)]
    assert {"unfused", "fused"} <= set(texts)
    assert "stretched" in figures["layer-decode"].caption
    parts = " ".join(s.text for s in figures["step-parts"].drawing.shapes if isinstance(s, Text))
    assert parts.count("stretched by the profiler") == 2
    assert "ms unprofiled" in parts


def test_what_the_calls_foretold_stands_beside_what_came(shipped_report) -> None:  # type: ignore[no-untyped-def]
    for text in (shipped_report.markdown, shipped_report.html):
        assert "fused, CUDA graphs: 28 layers x (44.1 − 1.94) µs a call = 1.18 ms a token, by the calls" in text
        assert "fused, first token, eager: 28 layers x" in text


def test_a_run_without_whole_requests_has_none_of_it(hostile_report) -> None:  # type: ignore[no-untyped-def]
    assert not (hostile_report.folder / "requests.light.png").exists()
    assert "*not measured*" in hostile_report.markdown
