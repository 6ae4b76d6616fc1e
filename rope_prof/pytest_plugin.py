"""The pytest fixture `fusion`: a test that a fusion is right, and faster for sure. Loads torch when a test asks.

    def test_my_kernel(fusion):
        fusion(eager, triton, make_inputs).must_be("faster", by=1.2)

A test passes only on evidence: the whole 95 % interval of the paired ratio must lie where the claim says. What was not
measured, is wrong or undecided fails, with the table, the machine and the accuracy in the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from rope_prof.fusion.measured import MeasuredFusion
    from rope_prof.fusion.verdicts import FusionVerdict

Claim = Literal["faster", "same", "not_slower"]
CLAIMS: tuple[Claim, ...] = ("faster", "same", "not_slower")
Function = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the fixture; each may be overruled where a test asks for a measurement."""
    group = parser.getgroup("fusion", "rope_prof: fusions that must be faster")
    group.addoption("--fusion-rounds", type=int, metavar="N", help="rounds of interleaved samples a case")
    group.addoption("--fusion-precision", metavar="P", help="stop a case at so narrow an interval, as in 1%%")
    group.addoption("--fusion-budget", type=float, metavar="S", help="seconds for the rounds of all cases of a test")
    group.addoption("--fusion-modes", metavar="M,M", help="modes of every path, as in eager,graph (default: eager)")
    group.addoption(
        "--fusion-save", type=Path, metavar="DIR", help="save the run of each measurement under this folder"
    )


@pytest.fixture
def fusion(request: pytest.FixtureRequest) -> Callable[..., AskedFusion]:
    """`fusion(base, candidate, inputs)`: what `rope_prof.measure` makes of the two, to be held to a claim.

    Further arguments are those of `rope_prof.measure`.
    """
    config, test = request.config, request.node.name
    numbers: Iterator[int] = iter(range(1, 1_000_000))

    def ask(base: Function, candidate: Function, inputs: Any, **more: Any) -> AskedFusion:
        from rope_prof import measure
        from rope_prof.fusion.paths import title

        names = [title(base), title(candidate)]
        if names[0] == names[1]:
            names = ["base", "candidate"]
        word = re.sub(r"\W+", "-", test).strip("-")
        options = {"name": word, "modes": ("eager",), "progress": False}
        found: MeasuredFusion = measure(
            dict(zip(names, (base, candidate), strict=True)), inputs, **(options | _given(config) | more)
        )
        folder = config.getoption("fusion_save")
        saved = None
        if folder is not None:
            saved = found.save(folder / f"{word}-{next(numbers)}")
        return AskedFusion(found, saved)

    return ask


class AskedFusion:
    """One measurement, to be held to what must be. `measured` is what `rope_prof.measure` returned."""

    def __init__(self, measured: MeasuredFusion, saved: Path | None = None) -> None:
        self.measured = measured
        self._saved = saved

    def must_be(self, claim: Claim, *, by: float = 1.0, mode: str | None = None) -> MeasuredFusion:
        """Fail the test unless every case shows `claim`; else what was measured. `mode`: both sides in that mode; else
        each in its own fastest.

        `faster`: baseline / candidate is over 1, and at least `by`; `same`: within 2 %; `not_slower`: at least 98 % as
        fast. Each for sure: the whole 95 % interval lies there. Errors: UsageError for another claim, or a mode that
        was not asked for.
        """
        from rope_prof.errors import UsageError

        if claim not in CLAIMS:
            raise UsageError(f"must_be({claim!r}); expected {', '.join(map(repr, CLAIMS))}")
        if not by >= 1 or (by != 1 and claim != "faster"):
            raise UsageError(f"must_be({claim!r}, by={by!r}); expected a factor of at least 1, of 'faster' alone")
        judged = self.measured.verdicts if mode is None else self.measured.in_mode(mode)
        short = [verdict for verdict in judged if not holds(verdict, claim, by)]
        if short or not judged:
            pytest.fail(self._evidence(claim, by, short), pytrace=False)
        return self.measured

    def _evidence(self, claim: Claim, by: float, short: list[FusionVerdict]) -> str:
        word = claim.replace("_", " ")
        wanted = f"{word} by at least {by:g}x" if by > 1 else "as fast" if claim == "same" else word
        lines = [f"{verdict.path} must be {wanted}, for sure: {verdict.sentence}" for verdict in short]
        where = [f"saved in {self._saved}"] if self._saved else []
        return "\n".join([*(lines or ["nothing was measured"]), "", self.measured.table.rstrip(), *where])


def holds(verdict: FusionVerdict, claim: Claim, by: float) -> bool:
    """Whether the interval of `verdict` proves the claim."""
    from rope_prof.analysis.verdict import SAME_WITHIN

    if verdict.word == "WRONG" or verdict.lo is None or verdict.hi is None:
        return False
    if claim == "faster":
        return verdict.word == "FASTER" and verdict.lo >= by
    return verdict.word == "SAME" if claim == "same" else verdict.lo >= 1 - SAME_WITHIN


def _given(config: pytest.Config) -> dict[str, Any]:
    """The options of the command line, as arguments of `measure`."""
    modes = config.getoption("fusion_modes")
    found = {
        "rounds": config.getoption("fusion_rounds"),
        "precision": config.getoption("fusion_precision"),
        "budget": config.getoption("fusion_budget"),
        "modes": tuple(part.strip() for part in modes.split(",")) if modes else None,
    }
    return {name: value for name, value in found.items() if value is not None}
