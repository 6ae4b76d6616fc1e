"""What a worker answers, in this process: values, errors of every kind, code that cannot be loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from rope_prof.model.run import Accuracy, Key
from rope_prof.record.loop.protocols import Bench
from rope_prof.record.worker.benches import TORCH_BENCH
from rope_prof.record.worker.child import Servant, answer
from rope_prof.record.worker.messages import CALLS, PROTOCOL, Answer, Ask, Done, Raised, Setup, packed, unpacked
from rope_prof.record.worker.workers import TORCH_BENCH as NAMED
from tests.record.standins import BENCH
from tests.runs import CASE


def asked(servant: Servant, call: str, *arguments: Any) -> Answer:
    """Through bytes both ways, as between processes."""
    sent = msgspec.msgpack.encode(Ask(7, call, packed(*arguments)))
    found = answer(servant, msgspec.msgpack.decode(sent, type=Ask))
    back: Answer = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Answer)
    assert back.number == 7
    return back


def value(servant: Servant, call: str, *arguments: Any) -> Any:
    found = asked(servant, call, *arguments)
    assert isinstance(found, Done), found
    return unpacked(CALLS[call].gives, found.value)


def raised(servant: Servant, call: str, *arguments: Any) -> Raised:
    found = asked(servant, call, *arguments)
    assert isinstance(found, Raised), found
    return found


def begun(bench: str = BENCH) -> Servant:
    servant = Servant()
    greeting = value(servant, "begin", Setup(bench=bench, device="cpu", seed=0, calls=2))
    assert greeting.protocol == PROTOCOL
    return servant


def test_every_call_has_a_method() -> None:
    assert all(hasattr(Servant, name) or hasattr(Bench, name) for name in CALLS)
    assert NAMED == TORCH_BENCH


def test_a_real_bench_works_in_a_worker_and_says_its_machine() -> None:
    servant = Servant()
    greeting = value(servant, "begin", Setup(bench=TORCH_BENCH, device="cpu", seed=0, calls=2))
    assert greeting.machine.device == "cpu"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import sys; sys.exit(4)", "it ends Python with exit code 4"),
        ("raise SystemExit", "it ends Python with exit code 0"),
        ("def f(:", "SyntaxError in line 1"),
        ("raise ValueError('a table of 3 rows')", "ValueError: a table of 3 rows"),
    ],
)
def test_code_that_cannot_be_loaded_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, line: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "unloadable.py").write_text(source)
    unknown, broken = value(begun(TORCH_BENCH), "path", "unloadable:f")
    assert unknown is None
    assert line in broken


def test_a_name_that_names_nothing_is_a_sentence() -> None:
    unknown, broken = value(begun(TORCH_BENCH), "path", "no_such_module:f")
    assert broken is None
    assert "cannot import 'no_such_module'" in unknown


def test_errors_are_answers() -> None:
    servant = begun()
    assert value(servant, "path", "user:fine") == (None, None)
    key = Key(case=CASE, path="user:fine", mode="eager", l2="hot")
    accuracy, _ = value(servant, "check", key)
    assert isinstance(accuracy, Accuracy)
    assert raised(servant, "check", Key(case=CASE, path="user:leave!check", mode="eager", l2="hot")) == Raised(
        7, "", "SystemExit: the path asked Python to end with code 4", False, False
    )
    ours = raised(servant, "check", Key(case=CASE, path="user:ours!check", mode="eager", l2="hot"))
    assert (ours.kind, ours.line) == ("UnavailableError", "mode 'graph' needs an NVIDIA GPU")
    assert raised(servant, "check", Key(case=CASE, path="user:memory!check", mode="eager", l2="hot")).memory
    assert raised(servant, "check", Key(case=CASE, path="user:poison!check", mode="eager", l2="hot")).poisoned


def test_errors_whose_words_cannot_be_written_are_answers() -> None:
    for path, line in (("surrogates", r"ValueError: no file of the name caf\udce9"), ("speechless", "SpeechlessError")):
        key = Key(case=CASE, path=f"user:{path}!check", mode="eager", l2="hot")
        assert raised(begun(), "check", key).line == line


def test_a_call_of_wrong_words_is_an_answer_too() -> None:
    assert "ValidationError" in raised(begun(), "refill", "many").line
    assert "before it was set up" in raised(Servant(), "throttled").line
