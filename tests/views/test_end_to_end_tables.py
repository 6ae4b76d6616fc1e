"""The words of an end-to-end measurement."""

from __future__ import annotations

import json

from rope_prof.analysis.requests.requests import LogitsAgreement, Prediction, RequestRow
from rope_prof.analysis.requests.what_if import WhatIf
from rope_prof.analysis.stats import Figure
from rope_prof.views.blocks.model import Table
from rope_prof.views.blocks.requests import agreement_table, steps_table, times_table
from rope_prof.views.words.requests import median_ms, prediction_lines, share, verdict
from tests.on_terminal import on_terminal
from tests.views.test_request_pictures import PARTS

ROW = RequestRow(
    path="fused",
    mode="eager",
    status="measured",
    reason=None,
    prefill_ns=Figure(92.3e6, 90e6, 95e6, 6),
    token_ns=Figure(43.1e6, 43e6, 44e6, 6),
    request_ns=Figure(6385e6, 6300e6, 6500e6, 6),
    prefill_gain=Figure(0.106, 0.1, 0.11, 6),
    token_gain=Figure(0.222, 0.2, 0.23, 6),
    request_gain=Figure(0.22, 0.2, 0.23, 6),
)


def drawn(*tables: Table) -> str:
    return on_terminal(tables, 200)


def test_times_carry_their_interval_and_gains_their_sign() -> None:
    assert median_ms(ROW.token_ns) == "43.1 [43.0, 44.0]"
    assert median_ms(None) == "–"
    assert median_ms(Figure(1e6, None, None, 1)) == "1.00"
    assert share(ROW.request_gain, bounds=True) == "22.0% [20.0%, 23.0%]"
    assert share(Figure(-0.05, None, None, 1), bounds=True) == "-5.0%"


def test_a_mode_without_a_time_has_no_row() -> None:
    from dataclasses import replace

    text = drawn(times_table([ROW, replace(ROW, mode="graph", token_ns=None, request_ns=None)]))
    assert "22.0%" in text
    assert "graph" not in text


def test_tokens_that_differ_say_by_what_margin() -> None:
    one = LogitsAgreement(
        path="fused",
        rms=0.036,
        allowed=0.139,
        tokens=24,
        same_tokens=7,
        margin=0.03125,
        graph_same_tokens=24,
        graph_margin=None,
        graph_rms=0.02,
    )
    text = drawn(*agreement_table([one]))
    assert "7 of 24 (then a margin of 0.031)" in text
    assert "24 of 24" in text


def test_the_parts_of_a_step_are_per_step() -> None:
    text = drawn(*steps_table({("unfused", "decode"): PARTS}))
    for word in ("10.0", "1.00", "2.00", "3.00", "4.00", "50 + 100"):
        assert word in text


def test_a_prediction_says_whether_it_held() -> None:
    bound = WhatIf(step_ns=50e6, lo_ns=10e6, hi_ns=12e6, inflation=1.4, launches_per_call=25, steps=3, left_out=1)
    held, missed = (
        Prediction(
            phase="decode", path="fused", bound=bound, saved=Figure(ms / 50, ms / 50 - 0.01, 0.3, 9), saved_ns=ms * 1e6
        )
        for ms in (11, 13)
    )
    said = prediction_lines([held, missed])
    assert said[0].endswith("fused saved 11.0 ms (22.0% [21.0%, 30.0%]): as predicted")
    assert "from 3 of 4 profiled steps: the rest were disturbed" in said[0]
    assert said[1].endswith("outside the prediction")
    assert "an interval of 4.0% of the step" in said[0]
    assert json.dumps([held.held, missed.held]) == "[true, false]"


def test_a_miss_says_whether_its_own_interval_reaches_the_prediction() -> None:
    bound = WhatIf(step_ns=50e6, lo_ns=10e6, hi_ns=12e6, inflation=1.4, launches_per_call=25, steps=3, left_out=0)

    def missed(saved: Figure) -> str:
        one = Prediction(phase="decode", path="fused", bound=bound, saved=saved, saved_ns=saved.median * 50e6)
        assert not one.held
        return verdict(one)

    for lo, hi in ((0.23, 0.30), (0.241, 0.30), (0.10, 0.19), (0.10, 0.21)):
        reaches = lo <= 0.24 and hi >= 0.20
        said = missed(Figure(0.27 if hi == 0.30 else 0.15, lo, hi, 9))
        assert said == "outside the prediction" + ", which its interval reaches" * reaches
    assert missed(Figure(0.27, None, None, 3)) == "outside the prediction"
