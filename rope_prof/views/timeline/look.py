"""What the viewer of a timeline looks at, as the browser tells it: checked here, since anything can come from there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from rope_prof.analysis.selection.flame import SOURCES
from rope_prof.analysis.selection.grouping import GROUPINGS
from rope_prof.units import US, zoom_text
from rope_prof.views.timeline.marks import Question

COLOURINGS: Final = ("kind", "kernel")
BELOW: Final = ("table", "flame")
#: What an address can say of a look.
WORDS: Final = ("pick", "stretch", "follow", "group", "find", "only", "colour", "ops", "below", "flame")
_LONGEST_FIND: Final = 200
_WIDEST: Final = 8000
_FARTHEST_NS: Final = 1e18


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Window and stretch in ns from zero; `picked` is (side, lane, item); `name` the key of a chosen group or cause.

    Kernels are grouped by `group`; `find` is sought in the names, `hit` is the number of the span among those found;
    `only`: what is not marked is not drawn. `below` is what lies under the picture, of flame graphs that of `flame`.
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
    group: str = "name"
    find: str = ""
    hit: int | None = None
    only: bool = False
    below: str = "table"
    flame: str = ""

    @property
    def question(self) -> Question:
        """Which spans are marked."""
        return Question(by=self.group, key=self.name, find=self.find, only=self.only)


def look_of(sent: Any) -> Look:
    """The `Look` in what was sent; a part that is not as expected is as if it had not been sent."""
    if not isinstance(sent, Mapping):
        return Look()
    colour, name, shown = sent.get("colour"), sent.get("name"), sent.get("id")
    group, find, below, flame = (sent.get(part) for part in ("group", "find", "below", "flame"))
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
        group=group if isinstance(group, str) and group in GROUPINGS else "name",
        find=find[:_LONGEST_FIND] if isinstance(find, str) else "",
        hit=hit if (hit := _whole(sent.get("hit"), -1)) >= 0 else None,
        only=sent.get("only") is True,
        below=below if isinstance(below, str) and below in BELOW else BELOW[0],
        flame=flame if isinstance(flame, str) and flame in SOURCES else "",
    )


def look_words(look: Look) -> dict[str, str]:
    """What an address says of a look beside its window; nothing of what is as it is by itself."""
    picked = "" if look.picked is None else "~".join(map(str, look.picked))
    found = {
        "pick": picked,
        "stretch": "" if look.stretch is None else zoom_text(look.stretch),
        "follow": look.name or "",
        "group": "" if look.group == "name" else look.group,
        "find": look.find,
        "only": "1" if look.only else "",
        "colour": "" if look.colour == COLOURINGS[0] else look.colour,
        "ops": "1" if look.ops else "",
        "below": "" if look.below == BELOW[0] else look.below,
        "flame": look.flame,
    }
    return {name: found[name] for name in WORDS}


def look_asked(words: Mapping[str, str]) -> Look:
    """The look that such words tell."""
    side, _, place = words.get("pick", "").rpartition("~")[0].rpartition("~")
    item = words.get("pick", "").rpartition("~")[2]
    numbers = place.isdecimal() and item.isdecimal()
    return look_of(
        {name: words.get(name) for name in ("group", "find", "colour", "below", "flame")}
        | {
            "picked": [side, int(place), int(item)] if numbers else None,
            "stretch": zoom_of(words.get("stretch")),
            "name": words.get("follow") or None,
            "only": words.get("only") == "1",
            "ops": words.get("ops") == "1",
        }
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
