"""Labels of keys: each names what tells it apart among the others, and nothing more."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.model.run import Case, Key
from rope_prof.views.words.labels import (
    axes,
    case_labels,
    case_phrases,
    family_words,
    key_labels,
    name_parts,
    short,
    side_label,
)
from tests.runs import CASE, key

_CASES = st.builds(
    CASE.but,
    model=st.sampled_from(["28b", "424b"]),
    tp=st.sampled_from([1, 2]),
    tokens=st.sampled_from([1, 64]),
    dtype=st.sampled_from(["bf16", "fp32"]),
    prompt=st.sampled_from(["image", "text"]),
)
_KEYS = st.builds(
    Key,
    case=_CASES,
    path=st.sampled_from(["unfused", "fused"]),
    mode=st.sampled_from(["eager", "graph"]),
    l2=st.sampled_from(["cold", "hot"]),
    rank=st.integers(0, 1),
)


@given(st.lists(_KEYS, unique_by=lambda one: one.name))
def test_no_two_keys_share_a_label(keys: list[Key]) -> None:
    assert len(set(key_labels(keys))) == len(keys)


@given(st.lists(_CASES, unique=True))
def test_no_two_cases_share_a_label(cases: list[Case]) -> None:
    assert len(set(case_labels(cases).values())) == len(set(case_phrases(cases).values())) == len(cases)


@pytest.mark.parametrize(
    ("other", "label"),
    [
        (key("fused"), "unfused eager"),
        (key(mode="graph"), "unfused eager"),
        (key(case=CASE.but(model="424b")), "unfused eager 28b"),
        (key(case=CASE.but(tp=2)), "unfused eager TP 1"),
        (key(case=CASE.but(tokens=1)), "unfused eager n64"),
        (key(case=CASE.but(dtype="fp32")), "unfused eager bf16"),
        (key(case=CASE.but(prompt="text")), "unfused eager image"),
        (replace(key(), l2="hot"), "unfused eager cold"),
        (replace(key(), rank=1), "unfused eager rank 0"),
        (replace(key(case=CASE.but(tp=2, tokens=8192)), rank=1), "unfused eager TP 1 n64 rank 0"),
    ],
)
def test_a_label_names_what_differs_and_nothing_more(other: Key, label: str) -> None:
    assert key_labels([key(), other])[0] == label


def test_cases_are_told_by_tokens_alone_where_these_do() -> None:
    long = CASE.but(tokens=8192)
    assert list(case_labels([CASE, long]).values()) == ["64", "8,192"]
    assert list(case_phrases([CASE.but(tokens=1), long]).values()) == ["1 token", "8,192 tokens"]
    assert case_labels([CASE, long.but(tp=2)])[CASE] == "TP 1 n64"
    assert case_phrases([CASE, CASE.but(tp=2)])[CASE] == "TP 1 · 64 tokens"


def test_a_case_in_words_counts_its_tokens() -> None:
    assert CASE.but(tokens=1).words == "28b · TP 1 · 1 token · bf16 · image prompt"
    assert CASE.but(tokens=8192).words == "28b · TP 1 · 8,192 tokens · bf16 · image prompt"
    assert family_words(CASE) == "28b · TP 1 · bf16 · image prompt"
    assert family_words(CASE, "cold") == "28b · TP 1 · bf16 · image prompt · cold L2"


@given(_CASES)
def test_a_case_is_rebuilt_from_a_row_and_named_by_each_axis_that_it_has(case: Case) -> None:
    assert case.operation.case(dict(case.values) | {"path": "fused"}) == case
    assert [axis.name for axis in axes(case)] == [name for name, _ in case.values]
    assert case.words.count(" · ") == len(axes(case)) - 1


@given(_KEYS)
def test_a_name_gives_back_its_parts(key: Key) -> None:
    assert name_parts(key.name) == (key.path, key.mode, key.l2, key.case.name)
    assert short(replace(key, path="a.b:f").name) == f"a.b@f {key.mode} {key.l2}"


def test_a_side_names_its_l2_state_only_where_both_are() -> None:
    assert side_label(key(), [key()]) == "unfused · eager"
    assert side_label(key(), [key(), replace(key(), l2="hot")]) == "unfused · eager · cold"
