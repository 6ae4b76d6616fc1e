"""Who asks the process that interprets: all at once, each answer in turn, and what is known when it is lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rope_prof.model.run import Key
from rope_prof.record.loop.protocols import Checked
from rope_prof.record.worker.interpreter import Interpreter
from rope_prof.record.worker.process import LostWorkerError
from tests.runs import key

KEYS = tuple(replace(key(), path=path) for path in ("one", "two", "three"))


@dataclass
class Process:
    """Answers the first `answers` calls and is lost then."""

    answers: int
    begun: list[tuple[Any, ...]] = field(default_factory=list)
    ended: bool = False

    def tell(self, call: str, *arguments: Any) -> None:
        self.begun.append((call, *arguments))

    def told(self, call: str) -> Checked:
        assert len(self.begun) == len(KEYS)
        if not self.answers:
            raise LostWorkerError("its process ended")
        self.answers -= 1
        return Checked(None, call)

    def end(self) -> None:
        self.ended = True


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_what_was_answered_stays_and_the_rest_says_why_not(answers: int) -> None:
    process = Process(answers)
    interpreter = Interpreter(KEYS, 7, lambda: process)  # type: ignore[arg-type,return-value]
    assert process.begun == [("interpret", each, 7) for each in KEYS]
    found = interpreter.results()
    reasons = ["interpret"] * answers + ["the interpreter: its process ended"] * (len(KEYS) - answers)
    assert [found[each.name].reason for each in KEYS] == reasons
    assert process.ended
    assert interpreter.results() == found


def test_a_process_that_does_not_begin_is_told_of_each_key() -> None:
    def begin() -> Any:
        raise LostWorkerError("cannot start it")

    found = Interpreter(KEYS, 7, begin).results()
    assert {one.reason for one in found.values()} == {"the interpreter: cannot start it"} and len(found) == len(KEYS)


def test_nothing_is_begun_for_no_keys() -> None:
    nobody: tuple[Key, ...] = ()
    assert Interpreter(nobody, 7, lambda: pytest.fail("begun")).results() == {}
