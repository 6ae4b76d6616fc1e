"""Several drawings as one, each under the other with its heading: what a page shows apart and gives away together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rope_prof.views.draw.svg import Drawing, Line, Shape, Text, placed

#: Room for a heading, and between two drawings.
HEAD = 30.0
APART = 18.0


def stacked(drawings: Sequence[Drawing], title: str) -> Drawing:
    """Each drawing under its own title, as wide as the widest. Errors: ValueError for none."""
    if not drawings:
        raise ValueError("no drawing to stack; expected at least one")
    shapes: list[Shape] = []
    y = 0.0
    for one in drawings:
        shapes.append(Text(x=0, y=y + 16, text=one.title, size=14, bold=True))
        shapes += [moved(shape, 0, y + HEAD) for shape in placed(one)]
        y += HEAD + one.height + APART
    width = max(one.width for one in drawings)
    return Drawing(width=width, height=y - APART, title=title, shapes=tuple(shapes))


def moved(shape: Shape, right: float, down: float) -> Shape:
    """The shape that far to the right and down."""
    if isinstance(shape, Line):
        return replace(shape, points=tuple((x + right, y + down) for x, y in shape.points))
    return replace(shape, x=shape.x + right, y=shape.y + down)
