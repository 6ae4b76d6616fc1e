"""Labels of keys: each names what tells it apart among the others, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import CASE, key

from rope_prof.model.run import Case, Key
from rope_prof.views.words.labels import case_labels, case_phrases, family_labels, key_labels

_CASES = st.builds(
    Case,
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
        (key(case=replace(CASE, model="424b")), "unfused eager 28b"),
        (key(case=replace(CASE, tp=2)), "unfused eager TP 1"),
        (key(case=replace(CASE, tokens=1)), "unfused eager n64"),
        (key(case=replace(CASE, dtype="fp32")), "unfused eager bf16"),
        (key(case=replace(CASE, prompt="text")), "unfused eager image"),
        (replace(key(), l2="hot"), "unfused eager cold"),
        (replace(key(), rank=1), "unfused eager rank 0"),
        (replace(key(case=replace(CASE, tp=2, tokens=8192)), rank=1), "unfused eager TP 1 n64 rank 0"),
    ],
)
def test_a_label_names_what_differs_and_nothing_more(other: Key, label: str) -> None:
    assert key_labels([key(), other])[0] == label


def test_cases_are_told_by_tokens_alone_where_these_do() -> None:
    long = replace(CASE, tokens=8192)
    assert list(case_labels([CASE, long]).values()) == ["64", "8,192"]
    assert list(case_phrases([replace(CASE, tokens=1), long]).values()) == ["1 token", "8,192 tokens"]
    assert case_labels([CASE, replace(long, tp=2)])[CASE] == "TP 1 n64"
    assert case_phrases([CASE, replace(CASE, tp=2)])[CASE] == "TP 1 n64"


def test_families_name_dtype_and_prompt_only_where_these_differ() -> None:
    line: dict[str, Any] = {"path": "fused", "mode": "eager", "model": "28b", "tp": 1, "dtype": "bf16"}
    line |= {"prompt": "image", "l2": "cold"}
    assert family_labels([line]) == ["fused eager, 28b TP 1 cold"]
    assert family_labels([line, line | {"dtype": "fp32"}]) == [
        "fused eager, 28b TP 1 bf16 cold",
        "fused eager, 28b TP 1 fp32 cold",
    ]
