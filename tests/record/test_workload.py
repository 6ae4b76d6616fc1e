"""Options -> plan: the defaults of each device, what is unavailable and why, and words that name nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rope_prof.kernels.lookup import DEFAULT, operation
from rope_prof.kernels.operation import Axis

from rope_prof.cli import main
from rope_prof.errors import UnavailableError, UsageError
from rope_prof.io.run.schema import MROPE
from rope_prof.record.loop.plan import (
    MOST_ROUNDS,
    OWN_OPTIONS,
    Options,
    budget_s,
    calls,
    facts_of,
    fitted,
    parse_values,
    plan,
    rounds,
)


def asked(words: tuple[str, ...] | list[str] = (), **values: object) -> Options:
    """`tokens=(1, 64)`: axes by name, the rest as `Options` has it."""
    axes = {name: [",".join(map(str, value))] for name, value in values.items() if name in OWN_OPTIONS}  # type: ignore[call-overload]
    rest = {name: value for name, value in values.items() if name not in OWN_OPTIONS}
    return Options(values=parse_values(words, **axes), **rest)  # type: ignore[arg-type]


def planned(kind: str, triton: bool = True, **options: object) -> list[tuple[int, str, str, str]]:
    return [
        (f.key.case["tokens"], f.key.path, f.key.mode, f.status)
        for f in plan(asked(**options), kind, triton=triton)  # type: ignore[arg-type]
    ]


def test_the_default_on_a_gpu() -> None:
    found = planned("cuda")
    assert [row[0] for row in found[::9]] == [1, 64, 973, 8192]
    assert [row[1:] for row in found[:9]] == [
        (path, mode, "pending") for path in ("unfused", "per-token", "fused") for mode in ("eager", "compile", "graph")
    ]
    assert {f.key.l2 for f in plan(Options(), "cuda")} == {"cold"}


def test_the_default_without_a_gpu() -> None:
    assert {row[1:3] for row in planned("cpu")} == {
        ("unfused", "eager"),
        ("unfused", "compile"),
        ("per-token", "eager"),
        ("fused", "eager"),
    }
    assert {f.key.l2 for f in plan(Options(), "cpu")} == {"hot"}


def test_keys_are_unique_whatever_is_repeated() -> None:
    options = asked(paths=("fused", "unfused", "fused"), modes=("graph", "eager", "graph"), tokens=(1,))
    names = [facts.key.name for facts in plan(options, "cuda")]
    assert len(names) == len(set(names)) == 4


def test_a_users_own_path_joins_ours() -> None:
    assert {row[1] for row in planned("cuda", paths=("math:hypot",))} == {
        "unfused",
        "per-token",
        "fused",
        "math:hypot",
    }
    assert {row[1] for row in planned("cuda", paths=("unfused", "math:hypot"))} == {"unfused", "math:hypot"}


def test_what_a_cpu_lacks_is_named() -> None:
    found = plan(asked(tokens=(1,), modes=("eager", "compile", "graph")), "cpu")
    why = {(f.key.path, f.key.mode): f.reason for f in found if f.status == "unavailable"}
    assert set(why) == {
        ("unfused", "graph"),
        ("per-token", "compile"),
        ("per-token", "graph"),
        ("fused", "compile"),
        ("fused", "graph"),
    }
    assert all(reason and "GPU" in reason for reason in why.values())


def test_without_triton_its_paths_are_unavailable() -> None:
    assert {row[1] for row in planned("cuda", triton=False) if row[3] == "unavailable"} == {"per-token", "fused"}


def test_nothing_left_to_record() -> None:
    with pytest.raises(UnavailableError, match="nothing to record: mode 'graph' needs an NVIDIA GPU"):
        plan(Options(modes=("graph",)), "cpu")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ("30b",)}, "unknown model '30b'; expected '28b', '424b', 'qwen2-vl-7b'"),
        ({"dtype": ("fp8",)}, "unknown dtype 'fp8'; expected 'bf16', 'fp16', 'fp32'"),
        ({"modes": ("lazy",)}, "unknown mode 'lazy'; expected 'eager', 'compile', 'graph'"),
        ({"paths": ("triton",)}, "unknown path 'triton'"),
        ({"paths": ("no.such:f",)}, "cannot import 'no.such'"),
        ({"paths": ("math:nope",)}, "has no function 'nope'"),
        ({"prompt": ("video",)}, "unknown prompt 'video'"),
        ({"tp": (3,)}, "tp 3 does not divide"),
        ({"tp": (8,)}, "tp 8 does not divide (20, 4) heads"),
    ],
)
def test_words_that_name_nothing(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(asked(**options), "cuda")  # type: ignore[arg-type]
    assert says in str(caught.value)


@pytest.mark.parametrize("word", ["x", "", "1,,2", "0", "-3", "1.5", "1e3", "٣", "99999999"])
def test_tokens_that_are_no_number(word: str) -> None:
    with pytest.raises(UsageError, match="expected whole numbers"):
        plan(asked(tokens=[word]), "cuda")


def test_values_of_axes() -> None:
    assert parse_values([], tokens=["1, 64", "973", "64"]) == (("tokens", ("1", "64", "973")),)
    assert parse_values(["hidden=4096", "tokens=8"], tokens=["1"], model=[]) == (
        ("tokens", ("1", "8")),
        ("hidden", ("4096",)),
    )
    assert sorted({f.key.case["tokens"] for f in plan(asked(tokens=["8_192"]), "cuda")}) == [8192]
    with pytest.raises(UsageError, match=r"unknown axis 'hidden'; expected 'model', 'tp', 'tokens'"):
        plan(asked(["hidden=4096"]), "cuda")


@pytest.mark.parametrize("word", ["tokens", "=4", "tokens=", "tokens=,"])
def test_a_set_without_axis_or_value_is_told(word: str) -> None:
    with pytest.raises(UsageError, match=f"cannot read --set '{word}'; expected AXIS=VALUE"):
        parse_values([word])


def test_the_run_says_what_the_operation_is() -> None:
    assert facts_of(operation(DEFAULT), DEFAULT) == MROPE


@pytest.mark.parametrize("name", ["mode", "rank", "wall_ns", "stops_at"])
def test_no_axis_is_called_as_a_column_of_every_table(name: str) -> None:
    plain = operation("silu-mul")
    other = replace(plain, axes=(*plain.axes, Axis(name=name, defaults={"any": (1,)})))  # type: ignore[type-var]
    with pytest.raises(UsageError, match=f"axes has {name!r}, which is a column of every table"):
        facts_of(other, None)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_what_is_no_seed_is_told_before_anything_runs(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("record", "model"):
        assert main([command, "--seed", str(seed)]) == 2
        assert capsys.readouterr().err.startswith(f"error: seed {seed}; expected a whole number from 0")
    assert Options(seed=2**32 - 1).seed == 2**32 - 1


def test_calls_and_rounds() -> None:
    assert calls(Options(), "cuda") == 28
    assert rounds(Options(quick=True), "cpu") < rounds(Options(), "cpu") < rounds(Options(), "cuda")
    with pytest.raises(UsageError, match="at least 2"):
        calls(Options(calls=1), "cpu")
    with pytest.raises(UsageError, match="at least 1"):
        rounds(Options(rounds=0), "cpu")
    with pytest.raises(UsageError, match="seconds above 0"):
        budget_s(Options(budget=0.0))


def test_a_precision_raises_the_rounds_that_nobody_named() -> None:
    assert rounds(Options(precision=0.01), "cuda") == MOST_ROUNDS
    assert rounds(Options(precision=0.01, rounds=7), "cuda") == 7
    assert budget_s(Options()) is None
    assert budget_s(Options(budget=3.0)) == 3.0


def test_both_l2_states_make_two_keys_of_one() -> None:
    found = [f.key.name for f in plan(asked(tokens=(1,), l2=("hot", "cold", "hot")), "cuda")]
    assert len(found) == len(set(found)) == 2 * len(plan(asked(tokens=(1,)), "cuda"))
    assert {f.status for f in plan(asked(tokens=(1,), l2=("hot",)), "cuda")} == {"pending"}


def test_a_cpu_has_no_cold_l2() -> None:
    found = plan(asked(tokens=(1,), l2=("cold", "hot")), "cpu")
    assert {f.key.l2 for f in found if f.status == "unavailable"} == {"cold"}
    assert {f.key.l2 for f in found if f.status == "pending"} == {"hot"}
    with pytest.raises(UnavailableError, match="'cold' needs an NVIDIA GPU"):
        plan(asked(tokens=(1,), l2=("cold",)), "cpu")
    with pytest.raises(UsageError, match="unknown L2 state 'warm'"):
        plan(Options(l2=("warm",)), "cpu")


def test_a_sweep_goes_through_tokens_models_and_ranks() -> None:
    keys = [f.key for f in plan(Options(sweep=True), "cuda")]
    assert sorted({key.case["tokens"] for key in keys}) == [4**n for n in range(9)]
    assert {(key.case["model"], key.case["tp"]) for key in keys} == {
        *(("28b", ranks) for ranks in (1, 2, 4)),
        *(("424b", ranks) for ranks in (1, 2, 4, 8)),
    }
    assert {key.mode for key in keys} == {"eager", "graph"}
    assert budget_s(Options(sweep=True)) is not None
    narrow = plan(asked(sweep=True, model=("28b",), tp=(2,), tokens=(5,), modes=("eager",), paths=("fused",)), "cuda")
    assert [f.key.case.name for f in narrow] == ["28b-tp2-n5-bf16-image"]
    with pytest.raises(UnavailableError, match="--sweep needs an NVIDIA GPU"):
        plan(Options(sweep=True), "cpu")


def test_what_eight_ranks_cannot_share_gives_way_where_it_was_not_asked_for() -> None:
    asked = Options(values=(("tp", ("8",)),), quick=True)
    options, word = fitted(asked, "cpu")
    assert word is not None
    assert word.startswith("tp 8 does not divide (20, 4) heads of 28b")
    assert word.endswith("model 424b, which goes with it, is recorded")
    assert {facts.key.case.name for facts in plan(options, "cpu")} == {"424b-tp8-n64-bf16-image"}
    assert fitted(Options(values=(("tp", ("4",)),)), "cpu")[1] is None
    with pytest.raises(UsageError, match="tp 8 does not divide"):
        fitted(Options(values=(("tp", ("8",)), ("model", ("28b",)))), "cpu")
    with pytest.raises(UsageError, match="tp 3 does not divide"):
        fitted(Options(values=(("tp", ("3",)),)), "cpu")
