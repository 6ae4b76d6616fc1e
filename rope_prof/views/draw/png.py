"""A drawing as PNG, without a browser: the same shapes, painted by Pillow with a font that is handed in.

Shapes are painted at twice the final size and reduced, so that edges between pixels are as soft as a browser's;
texts are set at the final size.
"""

from __future__ import annotations

import io
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rope_prof.views.draw.palette import Palette
from rope_prof.views.draw.stack import moved
from rope_prof.views.draw.svg import MARGIN, Drawing, Line, Marker, Rect, Shape, Text, colour, mark_points, placed
from rope_prof.views.words.names import shown

#: Pixels of the file per pixel of the drawing: sharp on a screen of high density.
SCALE = 2
_FINE = 2
#: So many colours are kept as they are, of so many as may be.
_KEPT, _MOST_SEEN = 128, 1 << 12
#: zlib's level; above it packing takes six times as long for a tenth less.
_PACKED = 6
#: Where red, green and blue stand in a pixel of four bytes.
_PLACES, _RGB = np.array([1, 1 << 8, 1 << 16], np.uint32), np.uint32(0xFFFFFF)
_WEIGHTS = {False: 400, True: 600}


def png(drawing: Drawing, palette: Palette, font: bytes) -> bytes:
    """The picture on the palette's ground. `font` is a font file that FreeType reads."""
    fine = SCALE * _FINE
    size = tuple(round((side + 2 * MARGIN) * fine) for side in (drawing.width, drawing.height))
    image = Image.new("RGB", (size[0], size[1]), palette.paper)
    brush = ImageDraw.Draw(image)
    shapes = [moved(shape, MARGIN, MARGIN) for shape in placed(drawing)]
    for shape in shapes:
        _paint(brush, shape, palette, fine)
    small = image.reduce(_FINE)
    pen = ImageDraw.Draw(small)
    for shape in shapes:
        if isinstance(shape, Text):
            _write(pen, shape, palette, font)
    out = io.BytesIO()
    indexed(small).save(out, "PNG", compress_level=_PACKED)
    return out.getvalue()


def indexed(image: Image.Image) -> Image.Image:
    """The image in 256 colours: those of most of its pixels, and what `Image.quantize` makes of the others, of soft
    edges. A picture has some hundred, so that this takes a fifth of the time that `quantize` of all pixels takes.
    """
    counted = image.getcolors(_MOST_SEEN)
    if counted is None:
        return image.quantize(dither=Image.Dither.NONE)
    seen = np.array([rgb for _, rgb in sorted(counted, reverse=True)], np.uint8)
    rare = Image.fromarray(seen[np.newaxis, _KEPT:] if len(seen) > _KEPT else seen[np.newaxis, :1])
    rare = rare.quantize(_KEPT, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    number = np.append(np.arange(_KEPT), np.asarray(rare)[0] + _KEPT)[: len(seen)].astype(np.uint8)
    known = (seen.astype(np.uint32) * _PLACES).sum(axis=1, dtype=np.uint32)
    order = np.argsort(known)
    pixels = (np.asarray(image.convert("RGBX")).view("<u4")[:, :, 0]) & _RGB
    rows, columns = np.nonzero(pixels != known[0])  # the ground is most of it
    found = np.zeros(pixels.shape, np.uint8)
    found[rows, columns] = number[order][np.searchsorted(known[order], pixels[rows, columns])]
    made = Image.fromarray(found, "P")
    made.putpalette(np.resize(seen[:_KEPT], (_KEPT, 3)).tobytes() + bytes(rare.getpalette() or ()))
    return made


def _paint(brush: ImageDraw.ImageDraw, shape: Shape, palette: Palette, fine: int) -> None:
    if isinstance(shape, Rect):
        box = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
        corners = tuple(value * fine for value in box)
        left, top, right, bottom = corners
        if right - left >= 1 and bottom - top >= 1:
            radius = min(shape.radius * fine, (right - left) / 2)
            brush.rounded_rectangle((left, top, right - 1, bottom - 1), radius, fill=colour(palette, shape.role))
    elif isinstance(shape, Line):
        points = [(x * fine, y * fine) for x, y in shape.points]
        ink, width = colour(palette, shape.role), max(1, round(shape.width * fine))
        for piece in _dashes(points, 5.0 * fine, 4.0 * fine) if shape.dash else [points]:
            if len(piece) > 1:
                brush.line(piece, fill=ink, width=width, joint="curve")
    elif isinstance(shape, Marker):
        ink = colour(palette, shape.role)
        inside = palette.paper if shape.hollow else ink
        if shape.shape == "circle":
            reach = shape.size * fine
            x, y = shape.x * fine, shape.y * fine
            brush.ellipse((x - reach, y - reach, x + reach, y + reach), inside, ink, round(1.6 * fine))
        else:
            brush.polygon([(x * fine, y * fine) for x, y in mark_points(shape)], inside, ink, round(1.6 * fine))


def _dashes(points: list[tuple[float, float]], on: float, off: float) -> list[list[tuple[float, float]]]:
    """The strokes of a dashed line; the pattern runs on around corners."""
    pieces: list[list[tuple[float, float]]] = []
    run = 0.0
    for (x1, y1), (x2, y2) in pairwise(points):
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        done = 0.0
        while done < length:
            phase = run % (on + off)
            step = min((on if phase < on else on + off) - phase, length - done) or length - done
            if phase < on:
                ends = (done / length, (done + step) / length)
                pieces.append([(x1 + (x2 - x1) * t, y1 + (y2 - y1) * t) for t in ends])
            done, run = done + step, run + step
    return pieces


def _write(pen: ImageDraw.ImageDraw, shape: Text, palette: Palette, font: bytes) -> None:
    side = {"start": "l", "middle": "m", "end": "r"}[shape.anchor]
    face = _face(font, round(shape.size * SCALE, 1), shape.bold)
    where = (shape.x * SCALE, shape.y * SCALE)
    pen.text(where, shown(shape.text), fill=colour(palette, shape.role), font=face, anchor=f"{side}s")


@lru_cache(maxsize=64)
def _face(font: bytes, size: float, bold: bool) -> ImageFont.FreeTypeFont:
    face = ImageFont.truetype(io.BytesIO(font), size)
    try:
        face.set_variation_by_axes([_WEIGHTS[bold]])
    except OSError:  # a font of one weight
        return face
    return face
