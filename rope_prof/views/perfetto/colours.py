"""The dashboard's colours in the Perfetto UI, which takes a slice's hue from the hash of a word and from nothing else.

Each word is, of some hundred that begin with its meaning, the one that v52 of the UI draws nearest to the palette's
light colour: kernels blue, launches green, copies violet, idle time orange to brown. Grey there is none: host calls
that launch nothing are teal.
"""

from __future__ import annotations

from typing import Final

KERNEL: Final = "kernel qe"
COPY: Final = "copy id"
LAUNCH: Final = "launch call os"
HOST_CALL: Final = "host call et"
CALL: Final = "call hp"
_CAUSES: Final = {
    "host_late": "host late hd",
    "launch": "launch cg",
    "queued": "queued bs",
    "sync": "sync nt",
    "in_graph": "in graph mp",
}


def event_colour(kind: str) -> str:
    """Of a GPU event: whether it computes or moves."""
    return COPY if kind in ("memcpy", "memset") else KERNEL


def cause_colour(cause: str) -> str:
    """Of idle time: its cause."""
    return _CAUSES.get(cause, cause)
