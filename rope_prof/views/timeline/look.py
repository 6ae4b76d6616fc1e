"""What the viewer of a timeline looks at, as the browser tells it: checked here, since anything can come from there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rope_prof.units import US

COLOURINGS: Final = ("kind", "kernel")
_WIDEST: Final = 8000
_FARTHEST_NS: Final = 1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Window and stretch in ns from zero; `picked` is (side, lane, item); `name` the key of a chosen kernel or cause.

    `seq` numbers what the browser sent, so that it knows which answer is which; `id` is of the picture it looked at.
    """

    window: tuple[float, float] | None = None
    width: int = 1200
    seq: int = 0
    id: str | None = None
    colour: str = "kind"
    ops: bool = False
    overlay: bool = False
    stretch: tuple[float, float] | None = None
    picked: tuple[str, int, int] | None = None
    name: str | None = None


def look_of(sent: Any) -> Look:
    """The `Look` in what was sent; a part that is not as expected is as if it had not been sent."""
    if not isinstance(sent, Mapping):
        return Look()
    colour, name, shown = sent.get("colour"), sent.get("name"), sent.get("id")
    return Look(
        window=pair(sent.get("window")),
        width=min(max(_whole(sent.get("width"), 1200), 100), _WIDEST),
        seq=_whole(sent.get("seq"), 0),
        id=shown if isinstance(shown, str) else None,
        colour=colour if isinstance(colour, str) and colour in COLOURINGS else "kind",
        ops=sent.get("ops") is True,
        overlay=sent.get("overlay") is True,
        stretch=pair(sent.get("stretch")),
        picked=_picked(sent.get("picked")),
        name=name if isinstance(name, str) and len(name) <= 32 else None,
    )


def pair(sent: Any) -> tuple[float, float] | None:
    """Two finite numbers, the smaller first; None for anything else."""
    if not isinstance(sent, (list, tuple)) or len(sent) != 2:
        return None
    if not all(isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x) for x in sent):
        return None
    lo, hi = float(sent[0]), float(sent[1])
    return (lo, hi) if lo < hi and max(abs(lo), abs(hi)) < _FARTHEST_NS else None


def _whole(sent: Any, default: int) -> int:
    real = isinstance(sent, (int, float)) and not isinstance(sent, bool) and math.isfinite(sent)
    return int(sent) if real and abs(sent) < 2**53 else default


def _picked(sent: Any) -> tuple[str, int, int] | None:
    if not isinstance(sent, (list, tuple)) or len(sent) != 3 or not isinstance(sent[0], str):
        return None
    lane, item = _whole(sent[1], -1), _whole(sent[2], -1)
    return (sent[0], lane, item) if lane >= 0 else None


def zoom_of(text: str | None) -> tuple[float, float] | None:
    """The window of such a text in ns; None where it is none."""
    parts = (text or "").split("~")
    try:
        return pair([float(part) * US for part in parts]) if len(parts) == 2 else None
    except ValueError:
        return None
