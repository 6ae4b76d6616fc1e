"""What a run says of its code and of its card while it was timed."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from rope_prof.views.words.machine import condition_words, machine_facts, ran_line
from tests.runs import MACHINE, facts, run, samples


def test_clocks_heat_and_power_are_said_with_their_ends_and_units() -> None:
    plain = samples(unfused_eager=[10.0] * 3)
    seen = plain.with_columns(
        sm_clock_mhz=pl.Series([1980, 1965, 1980]),
        memory_clock_mhz=pl.lit(3201),
        temperature_c=pl.Series([40, 44, 41]),
        power_mw=pl.Series([120_400, 310_000, 300_000]),
    )
    assert condition_words(seen) == (
        "SM 1,980 MHz [1,965, 1,980], memory 3,201 MHz, temperature 41 °C [40, 44], power 300 W [120, 310]"
    )
    assert condition_words(plain) is None


def test_channels_of_the_card_that_differ_are_said() -> None:
    plain = samples(unfused_eager=[10.0] * 2, fused_eager=[5.0] * 2)
    alike = plain.with_columns(launch_ns=pl.Series([1465, 1560, 1470, 1565]))
    assert condition_words(alike) == "queued launches 1,515 ns apart [1,465, 1,565]"
    apart = plain.with_columns(launch_ns=pl.Series([1465, 1465, 1558, None]))
    assert condition_words(apart) == (
        "queued launches 1,465 ns apart [1,465, 1,558], "
        "by 6% from path to path, which is the card's doing: short kernels differ by as much"
    )


def test_commit_its_changes_and_load_are_said_where_the_run_holds_them() -> None:
    told = run(facts(), machine=replace(MACHINE, commit="1a2b3c4", dirty=True, load=1.46))
    nothing = samples(unfused_eager=[10.0] * 3)
    assert ran_line(told, nothing) == "ran with commit 1a2b3c4, with changes in no commit; load 1.46 before"
    assert machine_facts(told)["code"] == "commit 1a2b3c4, with changes in no commit"
    clean = run(facts(), machine=replace(MACHINE, commit="1a2b3c4", dirty=False))
    assert ran_line(clean, nothing) == "ran with commit 1a2b3c4"
    silent = run(facts(), machine=replace(MACHINE, commit=None, load=None))
    assert ran_line(silent, nothing) is None
    assert not {"code", "load"} & machine_facts(silent).keys()
