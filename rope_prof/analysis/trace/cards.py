"""What a stream of a card can do at once, told from the card's name, its properties or the calls that launch on it.

`in_order`: one launch after the other. `early`: the next may begin before the last has ended (programmatic dependent
launch, NVIDIA from compute capability 9 on, and cards that are not told). `free`: an out-of-order queue (XPU).
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import polars as pl

from rope_prof.model.trace import Trace

Order = Literal["in_order", "early", "free"]
_AMD: Final = re.compile(r"(?i)\bamd\b|instinct|radeon|\bgfx\d|\bmi\d{2,3}")
_NVIDIA: Final = re.compile(
    r"(?i)\b(?:a100|a800|a10g?|a16|a30|a40|a2|v100s?|p100|p40|p4|t4|l4|l40s?|l20|k80|m60|tesla|quadro|gtx|titan)\b"
    r"|\brtx (?:a\d{4}|[2-4]0\d0)\b"
)
_INTEL: Final = re.compile(r"(?i)\bintel\b|data center gpu max|\barc\b")
_FIRST_EARLY: Final = 9


def order_of(trace: Trace, device: str, launches: pl.Series) -> Order:
    """How the streams of a device work; `launches`: names of the calls that launch on it."""
    name = trace.device_names.get(device, "")
    known = launches.drop_nulls()
    if _INTEL.search(name) or known.str.contains(r"^(?:ur|ze|pi)[A-Z]").any():
        return "free"
    if _AMD.search(name) or (not name and known.str.contains("^hip[A-Z]").any()):
        return "in_order"
    major = _properties(trace, device).get("computeMajor")
    if isinstance(major, int) and major > 0:
        return "early" if major >= _FIRST_EARLY else "in_order"
    return "in_order" if _NVIDIA.search(name) else "early"


def sms_of(trace: Trace, device: str) -> int | None:
    """How many SMs (CUs) the device has, where the file says it."""
    count = _properties(trace, device).get("numSms")
    return count if isinstance(count, int) and count > 0 else None


def _properties(trace: Trace, device: str) -> dict[str, Any]:
    held = trace.metadata.get("deviceProperties")
    cards = [card for card in held if isinstance(card, dict)] if isinstance(held, list) else []
    return next((card for card in cards if str(card.get("id")) == device), {})
