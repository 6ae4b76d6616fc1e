"""What a viewer calls the ways to group GPU events and to fold their time, and what stands where a file tells none."""

from __future__ import annotations

from typing import Final

GROUPING_WORDS: Final = {
    "name": "kernel",
    "class": "kernel class",
    "operator": "operator",
    "shape": "operator and shape",
    "module": "module",
    "line": "Python line",
    "range": "range",
    "stream": "stream",
    "rank": "rank or device",
}
NOT_TOLD: Final = {
    "operator": "no operator",
    "shape": "no operator with a shape",
    "module": "no module",
    "line": "no Python line",
    "range": "no range",
    "stream": "no stream",
    "rank": "no device",
}
FLAME_WORDS: Final = {"range": "ranges", "module": "modules", "stack": "Python stack", "operator": "operators"}
