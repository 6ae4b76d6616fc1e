"""A run's way through `show` stays short and leads down."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.opened.run import OpenedRun, open_run
from rope_prof.units import duration
from tests.dashboard.drawn_requests import write_requests
from tests.dashboard.drawn_run import write_gpu_run
from tests.walk import walk_of, walked

MOST_STAYS = 45


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A drawn run with captures and whole requests."""
    return write_requests(write_gpu_run(tmp_path / "run"))


def test_a_run_goes_through_show_in_few_stays_and_no_climb(folder: Path) -> None:
    walk = walk_of("show", str(folder))
    assert walk.stays
    assert len(walk.stays) <= MOST_STAYS, "\n".join(f"{caller} -> {callee}" for caller, callee in walk.stays)
    assert not walk.climbs


def test_a_function_given_as_a_value_is_a_climb(folder: Path) -> None:
    def lower(run: OpenedRun) -> None:
        """Stands in a file of the ground floor."""
        run.limits(run.run.keys[0].key.case, 0)

    ground = type(lower)(lower.__code__, duration.__globals__, "lower")
    run = open_run(folder)
    with walked() as walk:
        ground(run)
    assert any(caller.startswith("units.py") and callee.startswith("opened/run.py") for caller, callee in walk.climbs)
    assert any(caller.startswith("units.py") for caller, _ in walk.stays)
