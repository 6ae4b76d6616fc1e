"""One colour per meaning, for light and dark ground: the only place where a colour of ours is written down.

The hues are those of Okabe and Ito's set, which people with any common colour blindness can tell apart, each
darkened for white ground and lightened for dark. Paths are told apart by place, label and marker, never by a hue of
these: a hue always says *what a stretch of time is*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Ground = Literal["light", "dark"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Every colour that a figure or a panel may use, on one ground."""

    ground: Ground
    kernel: str  # the device computes
    kernel_fill: str  # the same, where it is not what the picture is about
    bubble: str  # the device waits
    bubble_fill: str  # the same as a solid ground, so that narrow neighbours do not add up
    bubble_ink: str  # text on it
    unsure_fill: str  # a bubble that cannot be trusted
    launch: str  # the host's runtime or driver call
    copy: str  # memcpy and memset
    warn: str  # slower, wrong, damaged
    unsure: str  # cannot be trusted
    ink: str
    muted: str
    rule: str
    panel: str
    paper: str
    on_fill: str  # text on a kernel, launch or copy
    paths: tuple[str, ...]  # shades of ink, in the order of the paths
    causes: Mapping[str, str] = field(hash=False)  # of a bubble: the hue stays, lightness tells one cause from another
    kernels: tuple[str, ...]  # where kernels are told apart by name, the most expensive first


LIGHT = Palette(
    ground="light",
    kernel="#0f6cb0",
    kernel_fill="#b3d1e8",
    bubble="#e69f00",
    bubble_fill="#f0d596",
    bubble_ink="#6b4200",
    unsure_fill="#e6e8ec",
    launch="#0b8566",
    copy="#a3528f",
    warn="#c2410c",
    unsure="#8b93a1",
    ink="#14181f",
    muted="#5d6673",
    rule="#e3e6eb",
    panel="#f6f7f9",
    paper="#ffffff",
    on_fill="#ffffff",
    paths=("#8b93a1", "#5d6673", "#14181f", "#3b424d", "#a9b0bb"),
    causes=MappingProxyType(
        {
            "host_late": "#e69f00",
            "launch": "#f4ca62",
            "sync": "#ad5200",
            "queued": "#7c5a12",
            "in_graph": "#fae6b4",
            "host_node": "#c98a3d",
            "event_node": "#e9d7a8",
            "profiler": "#8b93a1",
            "unknown": "#c6ccd6",
            "other_stream": "#b4cbdd",
            "copy": "#d9bbd1",
            "window_edge": "#e6e8ec",
        }
    ),
    kernels=("#0f6cb0", "#c2410c", "#0b8566", "#a3528f", "#1b9aaa", "#6a51b8", "#8a6d00", "#d1477a"),
)

DARK = Palette(
    ground="dark",
    kernel="#56aeea",
    kernel_fill="#24506f",
    bubble="#e8a723",
    bubble_fill="#6b5220",
    bubble_ink="#ffe0a0",
    unsure_fill="#2a303a",
    launch="#37bd94",
    copy="#d58fc5",
    warn="#ff7f50",
    unsure="#7f8896",
    ink="#eceff4",
    muted="#9aa4b2",
    rule="#2a303a",
    panel="#171b22",
    paper="#0f1217",
    on_fill="#0b0e13",
    paths=("#7f8896", "#aab3c0", "#eceff4", "#c5ccd6", "#5d6673"),
    causes=MappingProxyType(
        {
            "host_late": "#e8a723",
            "launch": "#f7dc94",
            "sync": "#c4661c",
            "queued": "#8f6f2c",
            "in_graph": "#5e4a22",
            "host_node": "#a8742f",
            "event_node": "#746239",
            "profiler": "#7f8896",
            "unknown": "#4b5461",
            "other_stream": "#3d5468",
            "copy": "#664a5f",
            "window_edge": "#2a303a",
        }
    ),
    kernels=("#56aeea", "#ff8a5c", "#37bd94", "#d58fc5", "#4fd0df", "#a99af0", "#d9bf4a", "#f27aa5"),
)


def palette(ground: str | None) -> Palette:
    """The palette of that ground; light where the viewer has not said yet."""
    return DARK if ground == "dark" else LIGHT
