"""A report as one page that needs nothing else: its style, its script, its pictures are inside, and it may ask nobody.

The page's policy (CSP) allows the style and the script by their hash alone; every text is escaped. Without a script it
reads and prints as it is; the script adds zoom, kept in the address.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import fields
from html import escape
from importlib.resources import files

from rope_prof.views.blocks.model import Card, Headline, Picture, Report, Section
from rope_prof.views.draw.palette import DARK, LIGHT, Palette
from rope_prof.views.draw.svg import CAUSE, colour, svg_inline
from rope_prof.views.page.writer import Writer, text
from rope_prof.views.words.names import short_name

_BUTTONS = (
    ("in", "+", "zoom in"),
    ("out", "−", "zoom out"),
    ("left", "‹", "left"),
    ("right", "›", "right"),
    ("fit", "fit", "fit"),
)
_HELP = "drag to zoom, shift-drag to move, double click to fit · keys W A S D F · click for facts"
NOT_MEASURED = "not measured"
#: Longer names are folded.
NAME_LENGTH = 72


def report_html(report: Report, *, served: bool = False) -> str:
    """The page. Its only addresses are its own sections; one that is `served` has links too, and no script."""
    style = f"{_colours()}{_asset('report.css')}"
    script = "" if served else _asset("report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    sections = [s for s in report.sections if s.number is not None or s.blocks]
    head = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy, quote=True)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{text(report.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
    )
    top = (
        f'<header><h1>{text(report.title)}</h1><p class="kicker">{text(report.kicker)}</p>'
        f"{_headline(report.headline)}{_cards(report.cards)}</header>\n"
    )
    links = "".join(f'<a href="#{escape(s.key, quote=True)}">{text(s.title)}</a>' for s in sections)
    writer = _ReportWriter(served=served)
    body = "\n".join(_section(section, writer) for section in sections)
    end = "" if served else f"<script>{script}</script>\n"
    promise = "" if served else " This page makes no request and needs no server."
    return (
        f'{head}{top}<nav aria-label="sections"><div>{links}</div></nav>\n<main>\n{body}\n</main>\n'
        f"<footer>Written by rope_prof.{promise}</footer>\n{end}</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return files("rope_prof.views.report").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _colours() -> str:
    """The palettes as custom properties, and a class for each role of a drawing. Print takes the light one."""
    classes = "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role})}}" for role in _roles(LIGHT))
    return (
        f":root{{{_properties(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme: dark){{:root{{{_properties(DARK)}}}}}\n{classes}\n"
    )


def _properties(palette: Palette) -> str:
    return ";".join(f"--{role}:{colour(palette, role)}" for role in _roles(palette))


def _roles(palette: Palette) -> list[str]:
    """Every role that a drawing may use."""
    plain = [f.name for f in fields(palette) if f.name not in {"ground", "paths", "causes", "kernels"}]
    return [*plain, *(f"path{k}" for k in range(len(palette.paths))), *(f"{CAUSE}{name}" for name in palette.causes)]


def _headline(found: Headline | None) -> str:
    if found is None:
        return ""
    tone = f" {found.tone}" if found.tone else ""
    big = f"<b>{text(found.factor)}</b>" if found.factor else ""
    return (
        f'<div class="hero{tone}">{big}<div><strong>{text(found.words)}</strong><p>{text(found.detail)}</p></div></div>'
    )


def _cards(cards: tuple[Card, ...]) -> str:
    each = "".join(
        f'<div class="card"><h3>{text(c.title)}</h3><div>{text(c.before)}<i>→</i><b>{text(c.after)}</b></div>'
        f"<p>{text(c.note)}</p></div>"
        for c in cards
    )
    return f'<div class="cards">{each}</div>' if cards else ""


def _section(section: Section, writer: Writer) -> str:
    number = "" if section.number is None else str(section.number)
    blocks = [block for block in section.blocks if block.where != "markdown"]
    body = writer.blocks(blocks) or f'<p class="muted">{NOT_MEASURED}</p>'
    key = escape(section.key, quote=True)
    title = f"<h2><i>{number}</i>{text(section.title)}</h2>"
    if section.folded:
        return f'<section id="{key}"><details><summary>{title}</summary>\n{body}\n</details></section>'
    return f'<section id="{key}">{title}\n{body}\n</section>'


class _ReportWriter(Writer):
    def __init__(self, *, served: bool) -> None:
        self.linked = ' target="_blank" rel="noopener"' if served else None

    def name(self, name: str) -> str:
        """A name whole; a long one short, and whole once it is opened."""
        whole = f"<code>{text(name)}</code>"
        if len(name) <= NAME_LENGTH:
            return whole
        return f"<details><summary><code>{text(short_name(name, NAME_LENGTH))}</code></summary>{whole}</details>"

    def figure(self, figure: Picture) -> str:
        caption = f"<figcaption>{text(figure.caption)}</figcaption>" if figure.caption else ""
        if figure.drawing.axis is None:
            return f"<figure>{svg_inline(figure.drawing)}{caption}</figure>"
        buttons = "".join(
            f'<button type="button" data-do="{do}" aria-label="{label}">{sign}</button>' for do, sign, label in _BUTTONS
        )
        return (
            f'<figure><div class="bar">{buttons}<span>{_HELP}</span></div>{svg_inline(figure.drawing)}'
            f'<div class="info" aria-live="polite"></div>{caption}</figure>'
        )
