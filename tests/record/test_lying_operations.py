"""Operations that lie only while they run: one sentence that names the field, and no run that is half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.cli import main
from rope_prof.io.run.folder import read_run

CODE = """
import torch
from rope_prof.kernels.operation import Axis, Call, Operation, Output, Path


class Doubled(Operation):
    name = "doubled"
    axes = (Axis(name="tokens", form="n{}", noun="token", defaults={"any": (4, 8)}),)
    swept = "tokens"
    paths = ("sum", "product")
    outputs = (Output(name="out"),)

    def path(self, name):
        return Path(name, {"sum": lambda x: x + x, "product": lambda x: 2 * x}[name])

    def calls(self, case, count, device, dtype, seed):
        xs = [torch.randn(case["tokens"], 3, device=device) for _ in range(count)]
        return [Call(arguments=(x,), fresh=(x,)) for x in xs]

    def exact(self, case, call, rows):
        return (2 * call.arguments[0][rows].double(),)


def lying(**methods):
    return type("Lying", (Doubled,), methods)()


def raises(*_):
    raise ValueError("no such case")


honest = lying()
bytes_ = lying(moved_bytes=lambda self, case, path: 7 if path else 10**12)
late = lying(moved_bytes=lambda self, case, path: 10**12 if case["tokens"] == 8 else None)
shape = lying(exact=lambda self, case, call, rows: (torch.zeros(2, 2, dtype=torch.float64),))
count = lying(exact=lambda self, case, call, rows: ())
words = lying(exact=lambda self, case, call, rows: ("two",))
broken = lying(exact=lambda self, case, call, rows: raises())
device = lying(calls=lambda self, case, count, *_: Doubled.calls(self, case, count, "meta", None, 0))
unmade = lying(calls=lambda self, *_: raises())
unfilled = lying(refill=lambda self, *_: raises())
unchecked = lying(check=lambda self, case: 1 / 0)
unlacked = lying(lacks=lambda self, case, path: 1 / 0)
mute = lying(lacks=lambda self, case, path: 7)
ended = lying(exact=lambda self, case, call, rows: exit(3))
pathless = lying(path=lambda self, name: {}[name])
whole = lying(exact=lambda self, case, call, rows: ((2 * call.arguments[0][rows]).long(),))
short = lying(path=lambda self, name: Path(name, {"sum": lambda x: x + x, "product": lambda x: 2 * x[:1]}[name]))
kinds = lying(axes=(*Doubled.axes, Axis(name="kind", defaults={"any": ("a",)})))
slashed = lying(paths=("sum", "a/b"))
eats = lying(exact=lambda self, case, call, rows: (2 * call.arguments[0][rows].double() + call.arguments[0].zero_(),))
thrice = lying(path=lambda self, name: Path(name, {"sum": lambda x: x + x, "product": lambda x: 3 * x}[name]))
eats_and_thrice = type("Both", (type(eats),), {"path": type(thrice).path})()
bare = lying(path=lambda self, name: lambda x: x)
drawn = lying(path=lambda self, name: Path(name, lambda x: x + torch.rand_like(x)))
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lying") / "lying_operations.py"
    path.write_text(CODE)
    return path


def recorded(file: Path, name: str, out: Path, *more: str) -> int:
    words = ["record", "--operation", f"{file}:{name}", "--device", "cpu", "--mode", "eager", "--no-isolate"]
    return main([*words, "--rounds", "1", "-o", str(out), *more])


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("bytes_", "moved_bytes of path 'sum' is 7 bytes; expected at least the least, 1,000,000,000,000"),
        ("shape", "exact gives 'out' of shape (2, 2), the baseline 'sum' returns (4, 3); expected the same shape"),
        ("count", "exact gives 0 values (); expected 1 tensor (out)"),
        ("words", "exact gives 1 values (str); expected 1 tensor (out)"),
        ("ended", "exact fails (SystemExit: 3)"),
        ("unchecked", "check fails (ZeroDivisionError: division by zero)"),
        ("mute", "lacks gives 7; expected words, or None"),
        ("unlacked", "lacks fails (ZeroDivisionError: division by zero)"),
        ("broken", "exact fails (ValueError: no such case)"),
        ("device", "calls puts tensor 0 of the arguments on meta; expected cpu"),
        ("whole", "exact gives 'out' in int64; expected float64, unrounded, of whole numbers too"),
        ("unmade", "calls fails (ValueError: no such case)"),
        ("pathless", "path('sum') fails (KeyError: 'sum')"),
        ("bare", "path('sum') fails (TypeError: function came; expected kernels.operation.Path)"),
        ("drawn", "the baseline 'sum' gives 'out' with values up to"),
    ],
)
def test_a_lie_is_one_sentence_and_leaves_no_run(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    assert recorded(file, name, tmp_path / "run") == 1
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert f"operation 'doubled': {sentence}" in error[0]
    assert list(tmp_path.iterdir()) == []


def test_a_lie_of_a_later_case_fails_the_keys_of_that_case_and_the_run_is_whole(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recorded(file, "late", tmp_path / "run") == 5
    assert "moved_bytes of any path is 1,000,000,000,000 bytes; expected at most" in capsys.readouterr().err
    run = read_run(tmp_path / "run").run
    assert run.complete
    assert [facts.status for facts in run.keys] == ["measured", "measured", "failed", "failed"]


def test_a_path_that_leaves_rows_out_fails_though_the_reference_gives_any_rows(file: Path, tmp_path: Path) -> None:
    assert recorded(file, "short", tmp_path / "run") == 5
    keys = {(facts.key.path, facts.key.case["tokens"]): facts for facts in read_run(tmp_path / "run").run.keys}
    assert {path for (path, _), facts in keys.items() if facts.status == "measured"} == {"sum"}
    assert "the path returned 'out' of shape (1, 3); expected (4, 3)" in (keys["product", 4].reason or "")


def test_a_reference_that_writes_into_its_call_hides_no_wrong_path(file: Path, tmp_path: Path) -> None:
    assert recorded(file, "eats", tmp_path / "right") == 0
    assert recorded(file, "eats_and_thrice", tmp_path / "run") == 0
    keys = read_run(tmp_path / "run").run.keys
    assert [(facts.key.path, facts.status) for facts in keys] == 2 * [("sum", "measured"), ("product", "wrong")]


def test_names_that_cannot_be_files_are_refused_before_anything_is_made(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, sentence in (
        (("slashed",), "paths has 'a/b', which names files; expected words without"),
        (
            ("kinds", "--set", "kind=a/b"),
            "case '4 tokens · a/b' holds '/', and names files; expected values without it",
        ),
        (("kinds", "--set", "kind=a b,ab"), "cases '4 tokens · a b' and '4 tokens · ab' are both called 'n4-ab'"),
    ):
        name, *more = words
        assert recorded(file, name, tmp_path / "run", *more) == 2
        assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_operation_that_lies_in_a_process_of_its_own_leaves_no_run_either(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recorded(file, "shape", tmp_path / "run", "--isolate") == 1
    assert "operation 'doubled': exact gives 'out' of shape (2, 2)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", [[], ["--isolate"]])
def test_values_that_cannot_be_filled_anew_end_the_recording_in_one_sentence(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], where: list[str]
) -> None:
    assert recorded(file, "unfilled", tmp_path / "run", *where) == 1
    assert "operation 'doubled': refill fails (ValueError: no such case)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
