"""Kernel names for people: short enough for an axis, and safe in the pseudo-HTML that Plotly reads in every text."""

from __future__ import annotations

import html
import re

#: What tells one templated ATen kernel from another: its functor or inner kernel.
_TELLING = re.compile(r"\b(\w*Functor\w*|\w+_kernel_cuda|\w+_kernel_impl)\b")
#: The unnamed namespace, as Kineto and as nsys spell it.
_NAMELESS = re.compile(r"(?:\(anonymous namespace\)|<unnamed>)::")
_CPP = re.compile(r"[A-Za-z_][\w:~ ]*")
_PLAIN = {"gpu_kernel_impl", "gpu_kernel_impl_nocast", "BinaryFunctor", "BUnaryFunctor", "AUnaryFunctor"}


def short_name(name: str, limit: int = 44) -> str:
    """`void at::native::elementwise_kernel<..., MulFunctor<...>>(...)` -> `elementwise_kernel · MulFunctor`.

    A name that fits, or is not C++ with a template or signature, keeps its letters; over `limit` it loses its middle.
    """
    if len(name) <= limit:
        return name
    plain = _NAMELESS.sub("", name)
    head = re.split(r"[<(]", plain, maxsplit=1)[0].strip()
    if head == name.strip() or not _CPP.fullmatch(head):
        return _clip(name, limit)
    base = head.split()[-1].split("::")[-1] or head
    inside = plain[len(head) :]
    telling = next((m for m in _TELLING.findall(inside) if m not in _PLAIN), None)
    return _clip(f"{base} · {telling}" if telling else base, limit)


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    keep = limit - 1
    return f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}"


def plotly_text(text: str) -> str:
    """That text letter for letter in a Plotly label or hover, which reads a subset of HTML and breaks no long word."""
    return html.escape(text)


def folded(text: str, width: int = 72) -> str:
    """`plotly_text` of a long name over several lines, for a hover box that would else leave the screen."""
    return "<br>".join(plotly_text(text[i : i + width]) for i in range(0, len(text), width)) or ""


def shown(text: str) -> str:
    """The text with control characters (terminal escapes, newlines) made visible."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
