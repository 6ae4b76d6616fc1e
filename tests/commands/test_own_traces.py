"""`compare` and `analyze` of captures of our own: calls are paired and named as calls, no key is shown as a range."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.cli import main

KEY = "28b-tp1-n973-bf16-image"


def files(repository: Path, *sides: str) -> list[str]:
    return [str(repository / f"traces/h100-ernie28b/{side}.cold.{KEY}.r0.trace.json.gz") for side in sides]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return " ".join(capsys.readouterr().out.split())


def test_two_captures_are_compared_call_by_call(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = files(repository, "unfused.eager", "fused.eager")
    text = said(capsys, "compare", before, after)
    assert text.startswith("5.36 µs a call instead of 533 µs")
    assert "over 28 and 28 calls" in text
    assert "idle time up to the next call is in neither side" in text
    assert f"{KEY}.r0#" not in text
    named = said(capsys, "compare", before, after, "--range", f"fused.eager.cold.{KEY}.r0#*", "--base-range", "call #*")
    assert named == text, "the name that the file has is known too"


def test_captures_of_unlike_counts_of_calls_say_so(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "compare", *files(repository, "unfused.graph", "fused.eager"))
    assert "the base holds 224 calls of its path, the candidate 28" in text


def test_no_key_is_a_range_of_analyze(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "analyze", *files(repository, "unfused.eager"))
    assert "call #*" in text
    assert f"{KEY}.r0#" not in text
