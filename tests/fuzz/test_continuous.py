"""The continuous fuzzer itself, for a moment: it reads some, refuses some, and meets no other exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.io.run.clean_files import Clean
from tests.fuzz import continuous, targets
from tests.fuzz.targets import TARGETS, Target


def test_a_few_inputs_of_every_kind_are_read_or_refused(tmp_path: Path) -> None:
    fuzzer = continuous.run(seconds=60, most=600, seed=3, keep=tmp_path / "found")
    assert fuzzer.outcomes.total() >= 600
    tried = {kind: {outcome for of, outcome in fuzzer.outcomes if of == kind} for kind in TARGETS}
    assert sum(map(bool, tried.values())) >= len(TARGETS) // 2
    assert tried["kineto"] >= {"read", "TraceError"}
    assert not (tmp_path / "found").exists()
    assert fuzzer.lines()[0].startswith(f"{fuzzer.outcomes.total()} inputs")


@pytest.mark.parametrize("kind", TARGETS)
def test_every_input_to_begin_with_reads(tmp_path: Path, kind: str) -> None:
    for data in TARGETS[kind].corpus(tmp_path):
        TARGETS[kind].tried(data, tmp_path)


def test_another_exception_stops_it_and_its_smallest_input_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(data: bytes, _folder: Path) -> None:
        if b"null" in data:
            raise ZeroDivisionError

    monkeypatch.setattr(continuous, "TARGETS", {"one": Target(lambda _: [b"abc"], broken)})
    with pytest.raises(ZeroDivisionError):
        continuous.run(seconds=60, most=500, seed=3, keep=tmp_path / "found")
    assert (tmp_path / "found").read_bytes() == b"nullabc"


def test_an_input_that_takes_too_long_is_ended_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(_data: bytes, _folder: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(continuous, "LONGEST_S", 0.02)
    monkeypatch.setattr(continuous, "TARGETS", {"one": Target(lambda _: [b"abc"], endless)})
    with pytest.raises(TimeoutError, match="of processor time"):
        continuous.run(seconds=60, most=5, seed=3, keep=tmp_path / "found")
    assert (tmp_path / "found").exists()


def test_the_cleaner_is_held_to_its_law(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "clean_file", lambda _name, data, _words: Clean(data))
    with pytest.raises(AssertionError, match="cnryuser"):
        TARGETS["cleaner"].tried(b"by cnryuser", tmp_path)
