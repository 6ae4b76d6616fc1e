"""The continuous fuzzer itself, for a moment: it reads some, refuses some, and meets no other exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import continuous


def test_a_few_inputs_are_read_or_refused(tmp_path: Path) -> None:
    outcomes = continuous.run(seconds=60, most=60, seed=3, keep=tmp_path / "found")
    assert outcomes.total() == 60
    assert outcomes["read"] > 10
    assert outcomes["TraceError"] > 0
    assert not (tmp_path / "found").exists()


def test_another_exception_stops_it_and_its_input_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(continuous, "analyze", broken)
    with pytest.raises(ZeroDivisionError):
        continuous.run(seconds=60, most=50, seed=3, keep=tmp_path / "found")
    assert (tmp_path / "found").read_bytes()
