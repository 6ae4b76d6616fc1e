"""The words of `compare`: two sides, bounds, how to print; of two traces which part of each."""

from __future__ import annotations

from dataclasses import dataclass

from rope_prof.commands import words
from rope_prof.commands.words import Store, argument, option, place

FORMATS = ("text", "markdown", "html", "json", "github", "junit")
_SIDE = "RUN[:PATH[/MODE]] or baseline:NAME[:PATH[/MODE]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareWords:
    """All of them, as typed."""

    base: str = argument(f"{_SIDE}: a run folder, or a path and mode of one; or a TRACE.", parser=place, metavar="BASE")
    cand: str = argument(f"{_SIDE}, as run:fused or run:fused/graph.", parser=place, metavar="CAND")
    as_json: words.Json = False
    fail_on: list[str] | None = option(
        None, "Exit 1 if wall, device, kernels or bubble grew beyond it; repeatable.", "--fail-on", metavar="'wall>3%'"
    )
    strict: bool = option(False, "A bound that cannot be judged fails: 1, not 4.", "--strict")
    allow_unknown: words.AllowUnknown = False
    form: str = option(
        "text", "How to print; cleaned, but for text and json. html: two traces.", "--format", metavar="|".join(FORMATS)
    )
    anyway: bool = option(False, "Compare other devices, shapes and dtypes, and the keys of both sides.", "--anyway")
    range_: words.Range = None
    base_range: str | None = option(None, "Two traces: what it is called in BASE.", "--base-range", metavar="NAME")
    device: str | None = option(None, "Two traces: the device, else the busiest of each.")
    store: Store = None

    @property
    def printed_as(self) -> str:
        """One of `FORMATS`."""
        return "json" if self.as_json else self.form
