"""Texts and names letter for letter in Markdown, which GitHub would change otherwise.

A name from a file goes into a code span, since GitHub turns `@a`, `#1`, `:smile:`, `$x$` and addresses into something
else everywhere but in code; what a code span cannot hold is written as `<code>` with every letter but plain ones as a
character reference. Text of ours is escaped, and a word in it that GitHub would change becomes code too.
"""

from __future__ import annotations

import re
from html import escape

from rope_prof.views.words.names import shown

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~&])")
_CHANGED = re.compile(r"@\w|:\w+:|\w://|www\.|#\w|\$|\bGH-\d|\b[0-9a-f]{7,40}\b", re.IGNORECASE)
_START = re.compile(r"^(\s*)(#{1,6}(?:\s|$)|[-+](?=\s|$)|[-=]+\s*$|\d+(?=[.)](?:\s|$)))")


def md(text: str) -> str:
    """That text letter for letter in a paragraph, a list or a table cell."""
    pieces = re.split(r"(\s+)", shown(text.replace("\n", " ")))
    line = "".join(code(p) if _CHANGED.search(p) else _SPECIAL.sub(r"\\\1", p) for p in pieces)
    return _START.sub(lambda m: f"{m[1]}&#{ord(m[2][0])};{m[2][1:]}", line)


def code(name: str) -> str:
    """That name letter for letter as code, in a table too."""
    text = shown(name)
    if not text:
        return ""
    if re.search(r"[`|\\]|^\s|\s$|\s\s", text):
        letters = "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in text)
        return f"<code>{letters}</code>"
    return f"`{text}`"


def html_text(text: str) -> str:
    """That text inside a line of HTML, which Markdown leaves alone."""
    pieces = re.split(r"(\s+)", shown(text))
    return "".join(f"<code>{escape(p)}</code>" if _CHANGED.search(p) else escape(p) for p in pieces)


def clip(text: str, most: int) -> str:
    """`text`, its middle left out where it is longer than `most`."""
    keep = (most - 1) // 2
    return text if len(text) <= most else f"{text[:keep]}…{text[-keep:]}"
