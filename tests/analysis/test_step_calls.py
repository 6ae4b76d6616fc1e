"""Which layer and which rope call of a profiled step is which."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rope_prof.analysis.requests.steps import step_calls
from tests.builders import Drawn, kernel, op, range_, trace

US = 1_000


def steps(*, ropes: tuple[bool, ...] = (True, True, True), first: int = 28) -> Iterator[Drawn]:
    """Two steps of 100 µs with three layers of 30 µs each; layers count from `first`, a rope call has one kernel."""
    number = rope = 0
    for step in range(2):
        begin = step * 100 * US
        yield range_(f"fused.decode.step#{step}", begin, begin + 100 * US)
        for layer, has_rope in enumerate(ropes):
            at = begin + 5 * US + layer * 30 * US
            yield range_(f"fused.decode.layer#{first + number}", at, at + 30 * US)
            number += 1
            yield kernel(at + 3 * US, at + 4 * US, name="gemm", launched=(at + US, at + 2 * US))
            if has_rope:
                yield range_(f"fused.decode.rope#{rope}", at + 10 * US, at + 20 * US)
                yield kernel(at + 14 * US, at + 15 * US, name="rope", launched=(at + 11 * US, at + 13 * US))
                rope += 1


def test_layers_of_a_step_are_numbered_from_0_whatever_they_count_from() -> None:
    found = step_calls(trace(steps()), "fused", "decode")
    for step in (0, 1):
        layers = found.of("layer", step)
        assert layers["call"].to_list() == [0, 1, 2]
        assert layers["range"].to_list() == [f"fused.decode.layer#{28 + 3 * step + k}" for k in range(3)]
    row = found.call("rope", 1, 2)
    assert row is not None
    assert (row["range"], row["kernels"], row["call"]) == ("fused.decode.rope#5", 1, 2)


def test_a_step_has_a_period_and_a_layer_has_none() -> None:
    found = step_calls(trace(steps()), "fused", "decode")
    (step, layer) = (found.call(part, 0, 1) for part in ("step", "layer"))
    assert step is not None
    assert step["period_ns"] == 100 * US
    assert step["kernels"] == 6
    assert layer is not None
    assert layer["period_ns"] is None
    assert (layer["first_start_ns"], layer["last_end_ns"]) == (38 * US, 50 * US)


def test_a_layer_without_a_rope_call_shifts_no_other_layer_s() -> None:
    found = step_calls(trace(steps(ropes=(True, False, True))), "fused", "decode")
    assert found.call("rope", 0, 1) is None
    row = found.call("rope", 0, 2)
    assert row is not None
    assert row["range"] == "fused.decode.rope#1"


def test_what_is_not_there_is_none_and_an_unknown_part_an_error() -> None:
    found = step_calls(trace(steps()), "fused", "decode")
    assert found.call("step", 7, 0) is None
    assert found.call("layer", 7, 0) is None
    assert found.call("layer", 0, 3) is None
    assert step_calls(trace(steps()), "fused", "prefill").steps.is_empty()
    with pytest.raises(ValueError, match="unknown part 'head'"):
        found.of("head", 0)


def test_inflation_is_the_profiled_period_over_the_unprofiled_step() -> None:
    found = step_calls(trace(steps()), "fused", "decode")
    assert found.inflation(50 * US) == pytest.approx(2.0)
    assert found.inflation(None) is None
    assert step_calls(trace(), "fused", "decode").inflation(50 * US) is None


def test_a_users_own_path_has_its_name_in_the_ranges_with_an_at() -> None:
    drawn = [range_("my.mod@rope.decode.step#0", 0, 10), kernel(2, 3, launched=(1, 2))]
    assert step_calls(trace(drawn), "my.mod:rope", "decode").steps.height == 1
    assert step_calls(trace(drawn), "my-mod:rope", "decode").steps.is_empty(), "a dot is a dot"


def test_on_a_cpu_the_leaf_operators_count() -> None:
    drawn = [range_("unfused.decode.step#0", 0, 100), op("aten::mul", 10, 20), op("aten::add", 30, 40)]
    found = step_calls(trace(drawn, metadata={"device": "cpu"}), "unfused", "decode")
    assert found.steps["kernels"].to_list() == [2]
