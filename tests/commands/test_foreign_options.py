"""Options that name files of others: the word that they make, and what does not go together."""

from __future__ import annotations

from typing import Any

import pytest

from rope_prof.commands.foreign_options import foreign_word
from rope_prof.errors import UsageError


@pytest.mark.parametrize(
    ("definition", "task", "solutions", "workload", "made"),
    [
        (None, None, [], None, None),
        ("d.json", None, ["s.json"], None, "rope_prof.foreign.flashinfer:definition=d.json;solution=s.json;n=1,4;"),
        ("d.json", None, [], "w.jsonl", "rope_prof.foreign.flashinfer:definition=d.json;workload=w.jsonl;"),
        (None, "t.py", ["a.py"], None, "rope_prof.foreign.kernelbench:task=t.py;solution=a.py;"),
    ],
)
def test_the_options_make_the_word_that_finds_the_operation(
    definition: str | None, task: str | None, solutions: list[str], workload: str | None, made: str | None
) -> None:
    assert foreign_word(definition, task, solutions, workload, [("n", ("1", "4"))]) == made


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("d.json", "t.py", [], None), "--definition and --task are two operations"),
        ((None, None, ["s.json"], None), "--solution belongs to an operation; name it by --definition"),
        ((None, None, [], "w.jsonl"), "--workload belongs to an operation"),
        ((None, "t.py", [], "w.jsonl"), "--workload belongs to a --definition"),
    ],
)
def test_options_that_do_not_go_together_are_one_sentence(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        foreign_word(*given, [])
