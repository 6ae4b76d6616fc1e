from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace
from tests.io.made.proton import proton_trace


def node(name: str, *children: object, **metrics: object) -> dict[str, object]:
    return {"frame": {"name": name}, "metrics": metrics, "children": list(children)}


def leaf(name: str, ns: int, count: int, device: str) -> dict[str, object]:
    return node(name, **{"time (ns)": ns, "count": count, "device_id": device})


def test_totals_per_path_and_device(tmp_path: Path) -> None:
    tree = node("ROOT", node("a", leaf("k", 10, 2, "0"), leaf("k", 5, 1, "1")), leaf("k", 7, 1, "0"))
    (tmp_path / "p.hatchet").write_text(json.dumps([tree, {"CUDA": {}}]))
    held = read_trace(tmp_path / "p.hatchet")
    assert [entry["path"] for entry in held.totals or []] == [["a", "k"], ["a", "k"], ["k"]]
    assert {use.device: (use.kernels, use.kernel_ns) for use in analyze(held).devices} == {"0": (3, 17), "1": (1, 5)}


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    text = json.dumps([node("ROOT", leaf("k", 10, 2, "0")), {}])
    (tmp_path / "p.json").write_text("\ufeff" + text, encoding="utf-8")
    assert analyze(read_trace(tmp_path / "p.json")).devices[0].kernel_ns == 10


def test_a_cut_profile_is_one_error(tmp_path: Path) -> None:
    text = json.dumps([node("ROOT", leaf("k", 10, 2, "0")), {}])
    (tmp_path / "p.json").write_text(text[:-10])
    with pytest.raises(TraceError, match="cut or damaged"):
        read_trace(tmp_path / "p.json")


@pytest.mark.parametrize("below", [True, 3, "x", {"a": 1}, [1, None]])
def test_children_that_are_no_nodes_are_none(tmp_path: Path, below: object) -> None:
    odd = leaf("k", 10, 2, "0") | {"children": below}
    (tmp_path / "p.json").write_text(json.dumps([node("ROOT", odd), {}]))
    assert analyze(read_trace(tmp_path / "p.json")).devices[0].kernel_ns == 10


def test_a_proton_trace_is_read_stream_by_stream(tmp_path: Path) -> None:
    path = tmp_path / "p.chrome_trace"
    path.write_bytes(proton_trace((7, [("matmul", 0.0, 12.345), ("softmax", 20.001, 5.5)]), (9, [("copy", 3.25, 1.0)])))
    found = read_trace(path)
    assert found.format == "proton_trace"
    assert found.gpu.select("name", "stream", "start_ns", "dur_ns").rows() == [
        ("matmul", 7, 0, 12_345),
        ("softmax", 7, 20_001, 5_500),
        ("copy", 9, 3_250, 1_000),
    ]
    (use,) = analyze(found).devices
    assert (use.kernels, use.busy_ns, use.idle_by_cause_ns) == (3, 17_845, {**use.idle_by_cause_ns, "unknown": 7_656})


def test_a_cut_proton_trace_gives_its_whole_streams_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "p.chrome_trace"
    path.write_bytes(proton_trace((7, [("a", 0.0, 1.0)]), (9, [("b", 0.0, 1.0)]))[:-20])
    found = read_trace(path)
    assert found.gpu["name"].to_list() == ["a"] and [one.code for one in found.findings] == ["damaged_events"]
