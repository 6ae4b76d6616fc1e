"""Kernel names for people: short enough for an axis, and safe in the pseudo-HTML that Plotly reads in every text."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Sequence

#: What tells one templated ATen kernel from another: its functor or inner kernel.
_TELLING = re.compile(r"\b(\w*Functor\w*|\w+_kernel_cuda|\w+_kernel_impl)\b")
#: The unnamed namespace, as Kineto and as nsys spell it.
_NAMELESS = re.compile(r"(?:\(anonymous namespace\)|<unnamed>)::")
_CPP = re.compile(r"[A-Za-z_][\w:~ ]*")
#: What parts the arguments of a template or a call.
_PARTS = re.compile(r"[<>(),\s]+")
_TELLS = 24
_PLAIN = {"gpu_kernel_impl", "gpu_kernel_impl_nocast", "BinaryFunctor", "BUnaryFunctor", "AUnaryFunctor"}


class CutName(str):
    """A text without a part of it; `whole` is all of it, by which a cleaner judges: half a secret has no form."""

    whole: str

    def __new__(cls, text: str, whole: str) -> CutName:
        """`text`, which stands for `whole`."""
        made = super().__new__(cls, text)
        made.whole = getattr(whole, "whole", whole)
        return made


def ends(text: str, keep: int) -> CutName:
    """As many letters of the two ends of `text`."""
    return CutName(f"{text[: keep - keep // 2]}…{text[len(text) - keep // 2 :]}", text)


def clipped(text: str, limit: int) -> str:
    """`text`, or as much of its two ends as `limit` letters hold."""
    return text if len(text) <= limit else ends(text, limit - 1)


def changed(text: str, change: Callable[[str], str]) -> str:
    """What `change` makes of a text; of one that is cut, of the whole, cut again."""
    if not isinstance(text, CutName):
        return change(text)
    after = change(text.whole)
    return text if after == text.whole else clipped(after, max(4, len(text)))


def short_name(name: str, limit: int = 44) -> str:
    """`void at::native::elementwise_kernel<..., MulFunctor<...>>(...)` -> `elementwise_kernel · MulFunctor`.

    A name that fits, or is not C++ with a template or signature, keeps its letters; over `limit` it loses its middle.
    So does a range `FSDP::pre_forward (encoder.block.1)`: in C++ no space stands before a signature.
    """
    if len(name) <= limit:
        return name
    plain = _NAMELESS.sub("", name)
    begun = re.split(r"[<(]", plain, maxsplit=1)[0]
    head = begun.strip()
    if head == name.strip() or begun[-1:].isspace() or not _CPP.fullmatch(head):
        return clipped(name, limit)
    base = head.split()[-1].split("::")[-1] or head
    inside = plain[len(head) :]
    telling = next((m for m in _TELLING.findall(inside) if m not in _PLAIN), None)
    return CutName(clipped(f"{base} · {telling}" if telling else base, limit), name)


def told_apart(names: Iterable[str], limit: int = 44) -> dict[str, str]:
    """The short name of each; names that would have one are told apart by those of their parts that differ."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(short_name(name, limit), []).append(name)
    found = {}
    for short, wholes in alike.items():
        for name, own in zip(wholes, _differing(wholes), strict=True):
            found[name] = CutName(f"{short} <{own}>", name) if own else short
    return found


def _differing(names: Sequence[str]) -> list[str]:
    """Of each name those parts that tell it from the others, as few as do; the first that differ count first."""
    parts = [[piece for part in _PARTS.split(name) for piece in _pieces(part)] for name in names]
    told = [""] * len(names)
    for column in zip(*parts, strict=False):
        more = [f"{before}, {own}" if before else own for before, own in zip(told, column, strict=True)]
        if len({*more}) > len({*told}):
            told = more
    return told


def _pieces(part: str) -> list[str]:
    """A part without its namespaces; a long one by its own pieces: `tilesize64x64x8` of a name without a template."""
    bare = part.rpartition("::")[2]
    return bare.split("_") if len(bare) > _TELLS else [bare]


def grid_words(grid: str) -> str:
    """`2433x2x1` -> `grid 2,433 x 2`: sides of one block at the end are left out."""
    sides = grid.split("x")
    while len(sides) > 1 and sides[-1] == "1":
        sides.pop()
    return f"grid {' x '.join(f'{int(side):,}' if side.isdecimal() else side for side in sides)}"


def plotly_text(text: str) -> str:
    """That text letter for letter in a Plotly label or hover, which reads a subset of HTML and breaks no long word."""
    return html.escape(text)


def folded(text: str, width: int = 72) -> str:
    """`plotly_text` of a long name over several lines, for a hover box that would else leave the screen."""
    return "<br>".join(plotly_text(text[i : i + width]) for i in range(0, len(text), width)) or ""


def shown(text: str) -> str:
    """The text with control characters (terminal escapes, newlines) made visible."""
    if text.isprintable():
        return str(text)
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
