"""A path by name: ours, a user's own, and one sentence for what is not there."""

from __future__ import annotations

from pathlib import Path as File

import pytest
import torch
from rope_prof.kernels.mrope.inputs import make_inputs
from rope_prof.kernels.mrope.paths import NAMES, outputs, path
from rope_prof.kernels.operation import Path

from tests.kernels.shapes import small


def test_our_paths_say_what_they_need() -> None:
    assert NAMES == ("unfused", "per-token", "fused")
    facts = {name: (path(name).name, path(name).in_place, path(name).triton) for name in NAMES}
    assert facts == {
        "unfused": ("unfused", False, False),
        "per-token": ("per-token", True, True),
        "fused": ("fused", True, True),
    }


@pytest.fixture
def user_module(tmp_path: File, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"user_paths_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(
        "def new(q, k, positions, table, shape):\n    return q + 1, k + 1\n"
        "def inside(q, k, positions, table, shape):\n    q.add_(1)\n    k.add_(1)\n"
        "inside.in_place = True\nnumber = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_a_users_own_path_joins_by_name(user_module: str) -> None:
    shape = small()
    for function, in_place in (("new", False), ("inside", True)):
        found = path(f"{user_module}:{function}")
        assert (found.name, found.in_place, found.triton) == (f"{user_module}:{function}", in_place, False)
        x = make_inputs(shape, 4)
        want = x.q + 1, x.k + 1
        got = outputs(found, x.q, x.k, x.positions, x.cos_sin_cache, shape)
        assert all(map(torch.equal, got, want))
        assert (got[0].data_ptr() == x.q.data_ptr()) is in_place


def test_outputs_of_an_in_place_path_are_q_and_k_themselves() -> None:
    nothing = Path("nothing", lambda *_: None, in_place=True)
    q, k = torch.zeros(1), torch.ones(1)
    assert outputs(nothing, q, k, q, q, small()) == (q, k)


@pytest.mark.parametrize("name", ["triton", "", ":f", "module:"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    sentence = f"unknown path '{name}'; expected 'unfused', 'per-token', 'fused' or 'module:function'"
    with pytest.raises(LookupError, match=sentence):
        path(name)


def test_a_module_or_function_that_is_not_there_is_named(user_module: str) -> None:
    with pytest.raises(LookupError, match=r"cannot import 'no_such_module_here' .* put its folder on PYTHONPATH"):
        path("no_such_module_here:rope")
    with pytest.raises(LookupError, match=f"'{user_module}' has no function 'absent'"):
        path(f"{user_module}:absent")
    with pytest.raises(LookupError, match="has no function 'number'"):
        path(f"{user_module}:number")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def f(:\n    pass\n", r"SyntaxError in line 1: .*; correct it"),
        ("import sys\nsys.exit(4)\n", r"ends Python with exit code 4 while it is imported.*__main__"),
        ("raise SystemExit\n", "ends Python with exit code 0"),
        ("raise ValueError('two\\nlines')\n", "ValueError: two"),
        ("from math import no_such_name\n", "ImportError: .*no_such_name"),
        ("\0", "SyntaxError|ValueError"),
    ],
)
def test_whatever_a_module_does_when_it_is_imported_is_one_sentence(
    tmp_path: File, monkeypatch: pytest.MonkeyPatch, code: str, says: str
) -> None:
    from rope_prof.kernels.paths import users_path

    (tmp_path / "imported_badly.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LookupError, match=rf"(?s)path 'imported_badly:f': cannot import 'imported_badly' \(.*({says})"):
        users_path("imported_badly:f", ("unfused",))
