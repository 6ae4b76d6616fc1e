"""Where the host launched an event, as a fix names it."""

from __future__ import annotations

from typing import Any

import polars as pl

from rope_prof.analysis.fixes.fix import FixPlace
from rope_prof.analysis.trace.sites import SITE, LaunchSites


def place_of(sites: LaunchSites, event: dict[str, Any], *, name: str = "name", at: str = "start_ns") -> FixPlace:
    """The place of one row of events; `name` and `at` are the columns of what is shown."""
    row = pl.DataFrame([{column: event.get(column) for column in SITE}], schema=dict.fromkeys(SITE, pl.Int64))
    return FixPlace(
        start_ns=int(event[at]),
        dur_ns=int(event["dur_ns"]),
        event=str(event[name] or ""),
        range=sites.ranges(row)[0],
        operator=sites.operators(row)[0],
        module=sites.modules(row)[0],
        line=sites.lines(row)[0],
    )
