"""The kinds of device that a run is recorded on."""

from __future__ import annotations

from typing import Literal

Kind = Literal["cuda", "cpu"]
