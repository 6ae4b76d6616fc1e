"""The fused and the per-token kernel without a GPU: Triton's interpreter in fp32, against the float64 oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.interpreted import CASES

PROGRAM = Path(__file__).with_name("interpreted.py")
SPECIAL = {
    "checked_call", "compiled_whole", "compiled_views fused", "compiled_views per-token",
    "inductor outside", "inductor made",
    "traced real", "traced fake", "operator_checks",
}  # fmt: skip
OUTSIDE = [name for name in CASES if name.startswith("outside ")]
LAYOUTS = [name for name in CASES if name not in SPECIAL and name not in OUTSIDE]

Facts = dict[str, dict[str, Any]]


@pytest.fixture(scope="session")
def facts(repository: Path) -> Facts:
    """What every case found, from one child process."""
    environment = os.environ | {
        "TRITON_INTERPRET": "1",
        "PYTHONPATH": os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: Facts = json.loads(done.stdout.splitlines()[-1])
    return found


def case(facts: Facts, name: str) -> dict[str, Any]:
    found = facts[name]
    assert "failed" not in found, found["failed"]
    if "unavailable" in found:
        pytest.skip(found["unavailable"])
    return found


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_turned_right_in_place_and_nothing_else_is_written(facts: Facts, name: str) -> None:
    found = case(facts, name)
    assert found["nans"] == 0
    assert found["max_error"] <= 2 * found["chain_error"]
    assert found["others_kept"] and not found["returned"]
    assert found["chain_error"] > 0 or name.endswith(" 0 tokens")


@pytest.mark.parametrize("path", ["fused", "per-token"])
def test_the_awkward_layouts_are_what_they_claim(facts: Facts, path: str) -> None:
    assert case(facts, f"{path} position_slice")["row_stride"] == 64
    assert case(facts, f"{path} odd_address")["aligned"] is False


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_position_outside_the_table_is_nan_for_its_token_alone(facts: Facts, name: str) -> None:
    assert case(facts, name) == {
        "nan_everywhere": True,
        "nan_elsewhere": False,
        "others_as_before": True,
        "values_kept": True,
        "tails_kept": True,
    }


def test_a_checked_call_names_token_row_and_value_before_it_touches_anything(facts: Facts) -> None:
    found = case(facts, "checked_call")
    assert found["raised"].startswith("position 1024 of token 3 (row w) is outside the table; expected 0 to 1023;")
    assert found["untouched"]


def test_compiled_code_is_one_graph_that_holds_the_operator(facts: Facts) -> None:
    found = case(facts, "compiled_whole")
    assert found["graphs"] == found["operator_seen"] == 1
    assert 0 < found["max_error"] <= 2 * found["chain_error"]


@pytest.mark.parametrize("name", ["fused", "per-token"])
def test_compiled_code_turns_views_of_one_storage_and_nothing_else(facts: Facts, name: str) -> None:
    found = case(facts, f"compiled_views {name}")
    assert found["operators"] == 2
    assert found["others_kept"]
    assert 0 < found["max_error"] <= 2 * found["chain_error"]


@pytest.mark.parametrize(("where", "allocations"), [("outside", 0), ("made", 1)])
def test_inductor_copies_neither_q_nor_k(facts: Facts, where: str, allocations: int) -> None:
    """The one allocation is that of the tensor made in the graph."""
    found = case(facts, f"inductor {where}")
    assert found["allocations"] == allocations
    assert found["max_error"] < 1e-5


@pytest.mark.parametrize("mode", ["real", "fake"])
def test_a_tracer_sees_the_operator_alone(facts: Facts, mode: str) -> None:
    assert case(facts, f"traced {mode}")["targets"] == ["rope_prof.mrope_.default"]


def test_the_operator_passes_torchs_own_checks(facts: Facts) -> None:
    found = case(facts, "operator_checks")
    assert set(found) >= {"test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"}
    assert set(found.values()) == {"SUCCESS"}
