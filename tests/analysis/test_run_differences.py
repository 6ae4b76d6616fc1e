"""What two runs have not alike: every field of the machine is told, and nothing that is the same."""

from __future__ import annotations

from dataclasses import fields, replace

import polars as pl

from rope_prof.analysis.run.differences import MACHINE as NAMED
from rope_prof.analysis.run.differences import Unlike, unlike, unlike_states
from rope_prof.model.run import Machine
from tests.runs import MACHINE, facts, run, samples


def test_a_run_differs_from_itself_in_nothing() -> None:
    assert unlike(run(facts()), run(facts())) == ()


def test_every_field_of_a_machine_is_named_but_what_others_imply() -> None:
    assert {field.name for field in fields(Machine)} - set(NAMED) == {"device", "untested"}


def test_machine_versions_settings_and_day_are_told_in_that_order() -> None:
    base = run(facts())
    cand = run(
        facts(),
        machine=replace(MACHINE, torch="2.12.0", driver="1.0"),
        rope_prof="0.2.0",
        settings={"calls": 28, "rounds": 60, "sweep": True},
        created="2026-01-08T00:00:00+00:00",
    )
    assert unlike(base, cand) == (
        Unlike("driver", None, "1.0"),
        Unlike("torch", "2.11.0", "2.12.0"),
        Unlike("rope_prof", "0.1.0", "0.2.0"),
        Unlike("setting rounds", 4, 60),
        Unlike("setting sweep", None, True),
        Unlike("recorded", "2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00"),
    )
    turned = {Unlike(one.what, one.cand, one.base) for one in unlike(cand, base)}
    assert turned == set(unlike(base, cand))


def test_clocks_and_channels_of_the_gpu_that_differ_are_named() -> None:
    plain = samples(unfused_eager=[300.0] * 3)
    ours = plain.with_columns(sm_clock_mhz=pl.lit(1980), launch_ns=pl.lit(1465), memory_clock_mhz=pl.lit(3201))
    theirs = ours.with_columns(sm_clock_mhz=pl.lit(1755), launch_ns=pl.lit(1560))
    assert [(one.what, one.base, one.cand) for one in unlike_states(ours, theirs)] == [
        ("SM clock, MHz", 1980, 1755),
        ("queued launches, ns apart", 1465, 1560),
    ]
    near = ours.with_columns(sm_clock_mhz=pl.lit(1965), launch_ns=pl.lit(1495))
    assert unlike_states(ours, near) == ()
    assert unlike_states(ours, plain) == ()
