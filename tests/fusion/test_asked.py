"""What a script says of its paths and inputs, and what is refused in one sentence; verdicts from what a run holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import rope_prof
from rope_prof.errors import UsageError
from rope_prof.fusion.inputs import device_of, sets_of
from rope_prof.fusion.notebook import fragment
from rope_prof.fusion.paths import named, path
from rope_prof.fusion.progress import NoProgress, NotebookProgress, shown
from rope_prof.fusion.verdicts import FusionVerdict
from rope_prof.pytest_plugin import holds
from rope_prof.views.blocks.model import Bullets, Cell, Code, Table, Words


def one(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def test_a_decorated_function_stays_as_it_is_and_carries_what_was_said() -> None:
    @rope_prof.path("ours", writes=0, needs="cuda")
    def other(x: torch.Tensor) -> None:
        x += 1

    @path(baseline=True)
    def base(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    first, second = named([other, base])
    assert (first.said.name, second.said.name) == ("base", "ours")
    assert (second.said.writes, second.said.needs, second.call) == ((0,), "cuda", other)
    assert base(torch.zeros(1)) == 1
    assert [one.said.name for one in named({"a": other, "b": one})] == ["a", "b"]
    assert named({"a": other})[0].said.writes == (0,)


@pytest.mark.parametrize(
    ("paths", "sentence"),
    [
        ({}, "paths is empty"),
        (one, "paths is function; expected name -> callable, or a list of them"),
        ({"a": 3}, "path 'a' is int; expected something to call"),
        ([one, one], "two paths are called 'one'"),
        ({"a/b": one}, "a path is called 'a/b'"),
        ({"": one}, "a path is called ''"),
        ([path("a", baseline=True)(lambda x: x), path("b", baseline=True)(lambda x: x)], "'a' and 'b' are both said"),
    ],
)
def test_paths_that_do_not_go_together_are_one_sentence(paths: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        named(paths)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"tolerance": "x"}, "tolerance is 'x'; expected a share"),
        ({"shared": ("w",)}, r"shared is \('w',\); expected places, counted from 0"),
        ({"shared": 2.5}, r"shared is 2\.5; expected places, counted from 0"),
        ({"shared": 1}, "shared names argument 1; inputs have 1, counted from 0"),
        ({"modes": 3}, "modes is 3; expected words, in a tuple"),
        ({"outputs": (1,)}, r"outputs is \(1,\); expected words, in a tuple"),
        ({"outputs": ("",)}, "outputs has the name ''; expected a word"),
    ],
)
def test_what_measure_is_told_that_is_of_another_kind_is_one_sentence(said: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        rope_prof.measure({"one": one}, torch.ones(4), **said)


def test_a_decorator_that_is_not_called_or_names_no_device_says_so() -> None:
    with pytest.raises(UsageError, match=r"writes is 0\.5; expected places of arguments"):
        path("a", writes=0.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the decorator is called"):
        path(one)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs is 'tpu'; expected 'cuda'"):
        path(needs="tpu")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="takes no attribute"):
        path("abs")(abs)


def test_inputs_are_a_tensor_a_tuple_what_makes_them_or_cases_of_these() -> None:
    x = torch.ones(2)
    assert sets_of(x, 0) == (x,)
    assert sets_of([x, 3], 0) == (x, 3)
    drawn = sets_of(lambda: torch.randn(3), 7)
    assert isinstance(drawn, tuple)
    assert torch.equal(drawn[0], sets_of(lambda: torch.randn(3), 7)[0])  # type: ignore[index]
    assert not torch.equal(drawn[0], sets_of(lambda: torch.randn(3), 8)[0])  # type: ignore[index]
    assert sets_of({"a": x, "b": lambda: (x, 1)}, 0) == {"a": (x,), "b": (x, 1)}
    assert sets_of(lambda: {8: x}, 0) == {8: (x,)}


def test_making_inputs_leaves_the_scripts_own_randomness_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.randn(1)
    torch.manual_seed(3)
    sets_of(lambda: torch.randn(5), 0)
    assert torch.equal(torch.randn(1), wanted)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        (3, "inputs is int; expected a tensor, a tuple"),
        ({"a": "x"}, r"inputs\['a'\] is str"),
        (lambda: 1 / 0, r"inputs\(\) fails \(ZeroDivisionError"),
    ],
)
def test_inputs_that_are_none_say_what_they_are(inputs: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        sets_of(inputs, 0)


def test_inputs_on_another_device_are_named() -> None:
    here, there = torch.ones(2), torch.ones(2, device="meta")
    assert device_of((here,), {}) == torch.device("cpu")
    with pytest.raises(UsageError, match=r"inputs\[0\] is on cpu and inputs\[1\] on meta; expected all on one device"):
        device_of((here, there), {})
    with pytest.raises(UsageError, match=r"inputs\['a'\]\[0\] is on cpu and the weights of path 'line' on meta"):
        device_of({"a": (here,)}, {"line": torch.nn.Linear(2, 2, device="meta")})
    with pytest.raises(UsageError, match=r"inputs\[0\] is on meta; expected 'cpu' or 'cuda'"):
        device_of((there,), {})
    with pytest.raises(UsageError, match="inputs hold no tensor"):
        device_of((3,), {})


def verdict(word: str = "FASTER", lo: float | None = 1.5, hi: float | None = 1.7, **fields: Any) -> FusionVerdict:
    known = {
        "case": "8 elements",
        "l2": "hot",
        "path": "new",
        "baseline": "old",
        "mode": "eager",
        "baseline_mode": "graph",
    }
    ratio = None if lo is None or hi is None else (lo + hi) / 2
    return FusionVerdict(word=word, lo=lo, hi=hi, speedup=ratio, rounds=15, **(known | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            verdict(),
            "new (eager) is 1.60x faster than old (graph) at 8 elements; 95 % interval 1.50x to 1.70x, 15 rounds",
        ),
        (
            verdict("SLOWER", 0.4, 0.6),
            "new (eager) is 2.00x slower than old (graph) at 8 elements; 95 % interval 1.67x to 2.50x",
        ),
        (verdict("SAME", 0.99, 1.01), "new (eager) is as fast, within 2 %, as old (graph)"),
        (verdict("UNDECIDED", 0.9, 1.3), "new (eager) is at 1.10x, undecided, against old (graph)"),
        (
            verdict("WRONG", None, None, reason="3 outputs are NaN"),
            "new (eager) is wrong at 8 elements: 3 outputs are NaN",
        ),
        (verdict("UNKNOWN", None, None, reason="no GPU"), "new was not held against old at 8 elements: no GPU"),
    ],
)
def test_a_verdict_is_a_sentence(found: FusionVerdict, words: str) -> None:
    assert found.sentence.startswith(words)


@pytest.mark.parametrize(
    ("found", "claim", "by", "proven"),
    [
        (verdict(), "faster", 1.0, True),
        (verdict(), "faster", 1.5, True),
        (verdict(), "faster", 1.55, False),
        (verdict(), "not_slower", 1.0, True),
        (verdict(), "same", 1.0, False),
        (verdict("SAME", 0.99, 1.01), "same", 1.0, True),
        (verdict("SAME", 0.99, 1.01), "not_slower", 1.0, True),
        (verdict("SAME", 1.001, 1.01), "faster", 1.0, False),
        (verdict("UNDECIDED", 0.97, 1.3), "not_slower", 1.0, False),
        (verdict("UNDECIDED", 0.99, 1.3), "not_slower", 1.0, True),
        (verdict("UNKNOWN", None, None), "not_slower", 1.0, False),
        (verdict("WRONG", None, None), "not_slower", 1.0, False),
    ],
)
def test_a_claim_holds_where_the_whole_interval_lies_there(
    found: FusionVerdict, claim: Any, by: float, proven: bool
) -> None:
    assert holds(found, claim, by) is proven


def test_a_fragment_escapes_what_it_shows_and_asks_for_nothing() -> None:
    table = Table(
        head=("path", "µs"), rows=((Cell(text="<b>", tone="bad"), Cell(text="1", small="±")),), right=frozenset({1})
    )
    made = fragment(
        "a & b", [table, Words(text="<i>"), Bullets(items=("<u>",)), Code(lines=("<s>",)), Bullets(items=())]
    )
    assert "a &amp; b" in made
    assert not any(tag in made for tag in ("<i>", "<u>", "<s>", "<script", "http"))
    assert made.count("<tr>") == 2
    assert "&lt;b&gt;" in made


def test_progress_is_silent_in_a_log_and_one_output_in_a_notebook() -> None:
    assert isinstance(shown(False), NoProgress)
    assert isinstance(shown(None), NoProgress)
    said: list[tuple[str, str]] = []

    class Handle:
        def update(self, bar: Any) -> None:
            said.append((repr(bar), bar._repr_html_()))

    with NotebookProgress(lambda _bar, *, display_id: Handle() if display_id else None) as bar:
        bar.total(4)
        bar.step("timing <x>")
        bar.step("timing <x>", 1)
        bar.step("timing <x>")
    assert [text for text, _ in said] == ["timing <x> (0 of 4)", "timing <x> (1 of 4)", ""]
    assert '<progress value="1" max="4">' in said[1][1]
    assert "&lt;x&gt;" in said[1][1]
    assert said[-1] == ("", "")
