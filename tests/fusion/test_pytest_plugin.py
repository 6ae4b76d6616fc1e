"""The fixture `fusion` in a tiny package elsewhere: one test that passes, one that fails with its evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.errors import UsageError
from rope_prof.fusion.verdicts import FusionVerdict
from rope_prof.pytest_plugin import AskedFusion

pytest_plugins = ["pytester"]

PACKAGE = (Path(__file__).parent / "planted.py").read_text()
TESTS = """
from planted import inputs, many, single

def test_one_operator_is_faster(fusion):
    assert fusion(many, single, inputs).must_be("faster", by=1.2).run.complete

def test_many_operators_are_no_slower(fusion):
    fusion(single, many, inputs).must_be("not_slower")
"""


def test_a_package_elsewhere_passes_and_fails_with_the_evidence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(planted=PACKAGE, test_planted=TESTS)
    result = pytester.runpytest("-p", "rope_prof.pytest_plugin", "--fusion-rounds", "12", "--fusion-save", "runs")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*many must be not slower, for sure: many (eager) is * slower than single (eager) at 16 elements; 95 %*",
            "",
            "*torch *",
            "many (eager) is * slower *",
            "16 elements",
            "*path *kernels*wall*speedup*max error*",
            "*single eager*",
            "*many eager*",
            "*outputs are held against 'single' in float64*",
            "saved in *no_slower-1",
        ]
    )
    assert sorted(path.name for path in (pytester.path / "runs").iterdir()) == [
        "test_many_operators_are_no_slower-1",
        "test_one_operator_is_faster-1",
    ]
    assert (pytester.path / "runs/test_many_operators_are_no_slower-1/run.json").is_file()


class Stood:
    """A measurement whose verdicts are given."""

    def __init__(self, *verdicts: FusionVerdict) -> None:
        self.verdicts, self.table = verdicts, "the table\n"


def asked(*verdicts: FusionVerdict) -> AskedFusion:
    return AskedFusion(Stood(*verdicts))  # type: ignore[arg-type]


FAST = FusionVerdict(
    word="FASTER", case="8", path="new", baseline="old", l2="hot", mode="eager", speedup=1.3, lo=1.25, hi=1.35
)


def test_every_case_must_hold_and_the_message_names_those_that_do_not() -> None:
    late = FusionVerdict(
        word="SLOWER", case="9", path="new", baseline="old", l2="hot", mode="eager", speedup=0.5, lo=0.4, hi=0.6
    )
    with pytest.raises(pytest.fail.Exception, match=r"new must be faster by at least 1.2x, for sure: .*at 9") as caught:
        asked(FAST, late).must_be("faster", by=1.2)
    assert "at 8" not in str(caught.value)
    assert "the table" in str(caught.value)
    assert asked(FAST).must_be("faster", by=1.2).verdicts == (FAST,)
    with pytest.raises(pytest.fail.Exception, match="must be as fast, for sure"):
        asked(FAST).must_be("same")
    with pytest.raises(pytest.fail.Exception, match="nothing was measured"):
        asked().must_be("faster")


def test_a_mode_may_be_picked_for_both_sides(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        planted=PACKAGE,
        test_planted="""
            import pytest
            from planted import inputs, many, single

            def test_in_a_mode(fusion):
                found = fusion(many, single, inputs, modes=("eager",))
                assert found.must_be("faster", by=1.2, mode="eager") is found.measured
                (verdict,) = found.measured.in_mode("eager")
                assert (verdict.mode, verdict.baseline_mode) == ("eager", "eager")
                with pytest.raises(Exception, match="mode 'graph' was not measured; expected 'eager'"):
                    found.must_be("faster", mode="graph")
        """,
    )
    pytester.runpytest("-p", "rope_prof.pytest_plugin", "--fusion-rounds", "12").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("claim", "by", "sentence"),
    [
        ("quick", 1.0, r"must_be\('quick'\); expected 'faster', 'same', 'not_slower'"),
        ("faster", 0.5, "expected a factor of at least 1"),
        ("same", 1.2, "of 'faster' alone"),
        ("faster", float("nan"), "expected a factor of at least 1"),
    ],
)
def test_a_claim_that_says_nothing_is_one_sentence(claim: str, by: float, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        asked(FAST).must_be(claim, by=by)  # type: ignore[arg-type]
