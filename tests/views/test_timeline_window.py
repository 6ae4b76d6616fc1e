"""From a trace to what the browser draws: lanes, sums, facts and names, for any look that comes from outside."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rope_prof.analysis.trace.calls import as_cpu
from rope_prof.analysis.trace.gaps import device_gaps
from rope_prof.units import zoom_text
from rope_prof.views.draw.palette import DARK, LIGHT
from rope_prof.views.timeline.facts import facts
from rope_prof.views.timeline.look import Look, look_asked, look_of, look_words, zoom_of
from rope_prof.views.timeline.scene import MOST_LANES, Scene, name_key, scene
from rope_prof.views.timeline.stretch import stretch
from rope_prof.views.timeline.window import CallTime, Shown, WindowSide, limits, window
from tests.builders import call, graph, kernel, memory, op, python, range_, sync, trace

HOSTILE = ("_x_", "$x$", ":smile:", "[l](http://x)", "![p](http://x)", "<b>")


def drawn() -> Scene:
    return scene(
        trace(
            kernel(100, 200, name="a", launched=(60, 80)),
            kernel(230, 260, name="b", launched=(110, 120), grid="8x1x1", block="128x1x1", registers=32),
            kernel(400, 450, name="a", launched=(380, 390), kind="memcpy"),
            sync(300, 370),
            range_("outer", 50, 420),
            range_("inner", 55, 100),
        )
    )


def side(lanes: Scene, **more: Any) -> WindowSide:
    values: dict[str, Any] = {"id": "s", "title": "S", "facts": "", "zero_ns": 100, "end_ns": 350}
    return WindowSide(scene=lanes, **(values | more))


def shown(*sides: WindowSide, **more: Any) -> Shown:
    values: dict[str, Any] = {"id": "t", "fit": (0, 400), "axis": "", "source": "run", "whole": "All of it"}
    return Shown(sides=sides, **(values | more))


def f8(text: str) -> list[float]:
    return np.frombuffer(b64decode(text), "<f8").tolist()  # type: ignore[no-any-return]


def lane(answer: dict[str, Any], role: str) -> dict[str, Any]:
    return next(found for found in answer["sides"][0]["lanes"] if found["role"] == role)


def test_a_scene_has_ranges_launches_kernels_and_bubbles_from_the_top() -> None:
    found = drawn()
    assert [one.role for one in found.lanes] == ["range", "range", "launch", "kernel", "bubble"]
    assert [one.label for one in found.lanes] == ["ranges", "", "launches", "stream 7", "bubbles"]


def test_the_table_is_of_the_sides_own_part_wherever_its_zero_lies() -> None:
    """A rank that begins later than the common zero idles no longer for it."""
    plain = window(shown(side(drawn(), zero_ns=100, end_ns=350)), Look(), LIGHT)
    late = window(shown(side(drawn(), zero_ns=-900, begin_ns=1000, end_ns=1350)), Look(), LIGHT)
    for part in ("lengths", "kernels", "causes"):
        assert late["table"][part] == plain["table"][part], part
    assert (late["sides"][0]["begin"], plain["sides"][0]["begin"]) == (1000, 0)


def test_a_call_counts_no_kernel_of_the_call_before_it_that_still_runs() -> None:
    """Calls of a replay overlap: a call has the kernels that begin in it, a stretch all that it touches."""
    held = scene(trace(kernel(0, 110, name="k", stream=1), kernel(100, 200, name="k", stream=2), range_("r", 0, 9)))
    call = side(held, zero_ns=100, end_ns=100)
    for stretched, count, much in ((None, 1, 100), ((0.0, 100.0), 2, 110)):
        for below in ("table", "flame"):
            answer = window(shown(call), Look(stretch=stretched, below=below), LIGHT)
            cell = answer["table"]["kernels"][0]["cells"][0]
            assert cell[:2] == [f"{count}", f"{much} ns"], below
        assert answer["flame"]["sides"][0]["total"] == f"{much} ns"
        assert answer["flame"]["sides"][0]["boxes"][-1][-1].endswith(f", {count} on the device")


def test_the_bubbles_of_a_scene_are_those_of_the_analysis() -> None:
    found = drawn()
    gaps = device_gaps(found.trace, "0")
    bubbles = found.lanes[-1]
    assert (bubbles.ends - bubbles.starts).sum() == gaps["dur_ns"].sum()
    assert [found.names[code] for code in bubbles.codes.tolist()] == gaps["cause"].to_list()


def test_an_arrow_starts_at_the_end_of_the_launch_call_on_its_lane() -> None:
    answer = window(shown(side(drawn())), Look(), LIGHT)
    kernels = lane(answer, "kernel")
    assert f8(kernels["start"]) == [0, 130, 300]
    assert f8(kernels["link"]) == [-20, 20, 290]
    numbers = {found["lane"]: found["role"] for found in answer["sides"][0]["lanes"]}
    assert {numbers[n] for n in np.frombuffer(b64decode(kernels["linkLane"]), "<i4").tolist()} == {"launch"}


def test_kernels_of_one_graph_point_to_one_launch() -> None:
    found = scene(trace(*graph((0, 10), (20, 30), (31, 40))))
    kernels = next(one for one in found.lanes if one.role == "kernel")
    assert kernels.links is not None
    assert kernels.links.tolist() == [10, 10]


def test_a_trace_of_the_cpu_has_no_launches_of_its_operators() -> None:
    found = scene(as_cpu(trace(op("aten::add", 0, 10), op("aten::mul", 20, 30))))
    assert [one.role for one in found.lanes] == ["kernel", "bubble"]
    assert found.lanes[0].label == "operators"


def test_a_trace_without_a_span_has_no_scene() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        scene(trace())


def test_lanes_that_are_not_drawn_are_counted() -> None:
    found = scene(trace(*(kernel(10 * i, 10 * i + 5, stream=i) for i in range(40))))
    assert found.hidden == {"kernel": 40 - MOST_LANES["kernel"]}
    assert "16 more kernel lanes" in window(shown(side(found)), Look(), LIGHT)["sides"][0]["note"]


@given(st.integers(0, 450), st.integers(0, 450), st.integers(0, 450))
def test_two_stretches_that_touch_add_up(a: int, b: int, c: int) -> None:
    lo, middle, hi = sorted((a, b, c))
    found = drawn()
    whole, left, right = (
        {line.name: line.cells[0].sum_ns for line in part.kernels + part.causes if line.cells[0]}
        for part in (stretch([(found, x, y)]) for x, y in ((lo, hi), (lo, middle), (middle, hi)))
    )
    names = set(whole) | set(left) | set(right)
    assert all(whole.get(name, 0) == left.get(name, 0) + right.get(name, 0) for name in names)


def test_on_one_stream_kernels_and_causes_fill_the_stretch() -> None:
    found = stretch([(drawn(), 100, 450)])
    assert sum(line.cells[0].sum_ns for line in found.kernels + found.causes if line.cells[0]) == 350
    shares, idle = (
        sum(line.cells[0].share or 0 for line in lines if line.cells[0]) for lines in (found.kernels, found.causes)
    )
    assert shares == pytest.approx(1), "kernels share the GPU's time"
    assert idle == pytest.approx(170 / 350), "causes the stretch"


def test_a_stretch_is_side_by_side_and_what_is_left_out_is_summed() -> None:
    one, two = drawn(), scene(trace(kernel(0, 7, name="c", launched=(-9, -3))))
    found = stretch([(one, 100, 450), (two, 0, 7)], limit=1)
    assert found.kernels[0].name == "a"
    assert found.kernels[0].cells[1] is None
    assert found.more == 2
    assert found.more_ns == (30, 7)


def test_a_click_tells_all_that_the_trace_knows() -> None:
    found = drawn()
    kernels = next(one for one in found.lanes if one.role == "kernel")
    told = dict(facts(found, kernels, 1, 100))
    assert told["grid"] == "8x1x1"
    assert told["registers a thread"] == "32"
    assert told["launch"] == "cudaLaunchKernel"
    assert told["launch to kernel"] == "+0.110 µs"
    assert told["start"] == "+0.130 µs"
    assert told["range"] == "outer"


def test_facts_of_every_span_of_every_lane_can_be_told() -> None:
    found = drawn()
    for one in found.lanes:
        for item in range(len(one.starts)):
            assert all(isinstance(text, str) for _, text in facts(found, one, item, 0))


def test_the_neighbour_past_the_end_is_the_last_one() -> None:
    look = look_of({"picked": ["s", 3, 99]})
    picked = window(shown(side(drawn())), look, LIGHT)["picked"]
    assert picked["item"] == 2
    assert picked["of"] == 3
    assert window(shown(side(drawn())), look_of({"picked": ["s", 99, 0]}), LIGHT)["picked"] is None
    assert window(shown(side(drawn())), look_of({"picked": ["other", 3, 0]}), LIGHT)["picked"] is None


def test_hostile_names_travel_letter_for_letter() -> None:
    found = scene(trace(*(kernel(10 * i, 10 * i + 5, name=name) for i, name in enumerate(HOSTILE))))
    answer = json.loads(json.dumps(window(shown(side(found)), Look(), DARK)))
    sent = {entry[1] for entry in answer["names"]}
    assert sent >= set(HOSTILE)
    assert {entry[0] for entry in answer["names"]} >= {name_key(name) for name in HOSTILE}


def test_all_calls_lie_over_each_other_from_their_own_zero() -> None:
    calls = (CallTime(number=0, zero_ns=100, length_ns=130), CallTime(number=1, zero_ns=230, length_ns=170))
    answer = window(shown(side(drawn(), calls=calls, call=1)), look_of({"overlay": True}), LIGHT)
    found = answer["sides"][0]["calls"]
    assert found["numbers"] == [0, 1]
    assert f8(found["start"]) == [0, 0]
    assert f8(found["end"]) == [100, 30]


def test_operators_are_sent_where_they_are_wanted() -> None:
    found = scene(trace(kernel(10, 20), op("aten::add", 0, 30)))
    roles = [[one["role"] for one in window(shown(side(found)), look_of({"ops": on}), LIGHT)["sides"][0]["lanes"]]
             for on in (False, True)]  # fmt: skip
    assert roles == [["kernel"], ["op", "kernel"]]


def test_what_is_sent_covers_more_than_the_window_but_no_more_than_there_is() -> None:
    found = side(drawn())
    answer = window(shown(found), look_of({"window": [0, 100]}), LIGHT)
    assert answer["have"] == (-25, 125)
    least, most = limits([found])
    assert window(shown(found), look_of({"window": [-1e9, 1e9]}), LIGHT)["have"] == (least, most)


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


PARTS = (
    "window",
    "width",
    "seq",
    "stretch",
    "picked",
    "name",
    "colour",
    "group",
    "find",
    "hit",
    "only",
    "below",
    "flame",
)


@given(st.dictionaries(st.sampled_from(PARTS), json_like, max_size=4))
def test_whatever_the_browser_sends_there_is_an_answer(sent: dict[str, Any]) -> None:
    answer = window(shown(side(drawn())), look_of(sent), LIGHT)
    json.dumps(answer, allow_nan=False)


@given(st.floats(-1e12, 1e12), st.floats(0.01, 1e12))
def test_the_address_keeps_a_window_to_the_nanosecond(lo: float, length: float) -> None:
    found = zoom_of(zoom_text((lo, lo + length + 1)))
    assert found is not None
    assert found == pytest.approx((lo, lo + length + 1), abs=1)


@pytest.mark.parametrize("text", [None, "", "fit", "1", "2~1", "a~b", "nan~1", "1~inf", "1~2~3", "1e400~2e400"])
def test_no_window_in_the_address_is_none(text: str | None) -> None:
    assert zoom_of(text) is None


def found(answer: dict[str, Any], role: str) -> list[str]:
    """The names of what is drawn on the first lane of that role."""
    numbers = np.frombuffer(b64decode(lane(answer, role)["name"]), "<i4").tolist()
    return [answer["names"][number][1] for number in numbers]


def named() -> Scene:
    """Kernels whose names no call of the host holds."""
    return scene(
        trace(
            kernel(100, 200, name="alpha", launched=(60, 80)),
            kernel(230, 260, name="beta", launched=(110, 120)),
            kernel(400, 450, name="alpha", launched=(380, 390)),
            range_("outer", 50, 420),
        )
    )


def test_a_search_counts_what_lies_in_the_part_and_steps_from_hit_to_hit() -> None:
    lanes = side(named())
    told = [window(shown(lanes), look_of({"find": "ALPHA", "hit": hit}), LIGHT) for hit in (None, 0, 1, 2)]
    assert told[0]["found"] == {"text": "ALPHA", "count": 2, "at": None, "next": 0}
    assert [one["picked"] and one["picked"]["name"] for one in told] == [None, "alpha", "alpha", None]
    assert [one["found"]["at"] for one in told] == [None, 0, 1, None]
    assert told[2]["picked"]["start"] == 300
    later = window(shown(lanes), look_of({"find": "alpha", "window": [50, 400]}), LIGHT)
    assert later["found"]["next"] == 1, "the first that begins in the window"
    both = window(shown(lanes, side(named(), id="other")), look_of({"find": "alpha", "hit": 3}), LIGHT)
    assert (both["found"]["count"], both["picked"]["side"]) == (4, "other")
    assert window(shown(lanes), look_of({"find": "outer"}), LIGHT)["found"]["count"] == 1


def test_only_what_is_found_is_drawn_and_summed_with_its_share_of_all() -> None:
    answer = window(shown(side(drawn())), look_of({"find": "b", "only": True}), LIGHT)
    assert (found(answer, "kernel"), found(answer, "range"), found(answer, "launch")) == (["b"], [], [])
    assert found(answer, "bubble"), "idle time stays"
    (line,) = answer["table"]["kernels"]
    assert (line["name"][1], line["cells"][0][3]) == ("b", "16.7 %")
    picked = window(shown(side(drawn())), look_of({"find": "b", "only": True, "hit": 0}), LIGHT)["picked"]
    assert (picked["item"], picked["of"]) == (1, 3), "its place is that among all"


def test_kernels_are_grouped_marked_and_coloured_by_group() -> None:
    key = name_key("copy")
    look = {"group": "class", "name": key}
    answer = window(shown(side(drawn())), look_of(look), LIGHT)
    assert answer["group"] == "class"
    assert [line["name"][1] for line in answer["table"]["kernels"]] == ["other", "copy"]
    groups = np.frombuffer(b64decode(lane(answer, "kernel")["group"]), "<i4").tolist()
    assert [answer["names"][number][1] for number in groups] == ["other", "other", "copy"]
    assert list(b64decode(lane(answer, "kernel")["hit"])) == [0, 0, 1]
    alone = window(shown(side(drawn())), look_of(look | {"only": True, "picked": ["s", 3, 2]}), LIGHT)
    assert found(alone, "kernel") == ["a"]
    assert (alone["picked"]["key"], alone["picked"]["name"]) == (key, "a")
    assert [word for word, _ in answer["groups"]] == ["name", "class", "range", "stream", "rank"]
    assert window(shown(side(drawn())), look_of({"group": "operator"}), LIGHT)["group"] == "name"


def test_the_address_keeps_a_look() -> None:
    sent = {"picked": ["fused~x.eager", 3, 17], "stretch": [0, 2000], "name": "abc", "group": "class", "find": "gemm"}
    look = look_of(sent | {"only": True, "ops": True, "colour": "kernel", "below": "flame", "flame": "range"})
    assert look_asked(look_words(look)) == look
    assert set(look_words(Look()).values()) == {""}
    assert look_asked({}) == Look()
    assert look_asked({"pick": "a~b~c", "stretch": "x", "group": "<b>", "below": "?"}) == Look()
    assert window(shown(side(drawn()), start=look), Look(id="another"), LIGHT)["find"] == "gemm"


def test_a_flame_graph_begins_where_its_stack_forks() -> None:
    """Twenty callers of all there is push nothing out of the window; few of them are drawn."""

    def boxes(deep: int) -> dict[str, Any]:
        calls = [python(f"f{k}", k, 1000 - k) for k in range(deep)]
        left, right = (
            kernel(at, at + 50, name=name, launched=(at - 50, at - 40)) for at, name in ((200, "a"), (300, "b"))
        )
        found = scene(trace(*calls, left, right))
        look = look_of({"below": "flame", "flame": "stack"})
        (answer,) = window(shown(side(found, zero_ns=0, end_ns=1000)), look, LIGHT)["flame"]["sides"]
        assert isinstance(answer, dict)
        return answer

    assert (boxes(3)["skipped"], [box[3] for box in boxes(3)["boxes"]]) == (0, ["f0", "f1", "f2", "a", "b"])
    deep = boxes(20)
    assert (deep["skipped"], deep["left"]) == (19, 0)
    assert [(box[0], box[3], box[2]) for box in deep["boxes"]] == [(0, "f19", 1), (1, "a", 0.5), (1, "b", 0.5)]


def test_memory_keeps_the_peak_of_a_pixel_and_what_is_held_as_the_window_begins() -> None:
    steps = [memory(k, 0, 1000 if k == 505 else 10, 4096) for k in range(100, 900)]
    found = scene(trace(kernel(0, 1000), *steps))
    sides, fit = [side(found, zero_ns=0, end_ns=1000)], (0, 1000)
    (whole,) = window(shown(*sides, fit=fit), Look(width=100), LIGHT)["sides"][0]["memory"]
    at, held = f8(whole["at"]), f8(whole["allocated"])
    assert len(at) <= 220 and max(held) == 1000 and abs(at[held.index(1000)] - 505) < 10
    assert (whole["label"], whole["peak"], whole["top"]) == ("memory · device 0", "peak 1,000 B", 4096)
    (near,) = window(shown(*sides, fit=fit), look_of({"window": [700, 710]}), LIGHT)["sides"][0]["memory"]
    assert f8(near["at"])[0] < 700
    assert window(shown(side(drawn())), Look(), LIGHT)["sides"][0]["memory"] == []


def test_a_call_without_a_kernel_is_told_from_a_launch() -> None:
    found = scene(trace(kernel(10, 20, launched=(0, 5)), call("cudaEventQuery", 6, 8, correlation=77)))
    launches = next(one for one in found.lanes if one.role == "launch")
    assert launches.tones.tolist() == [2, 3]
