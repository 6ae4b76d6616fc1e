from __future__ import annotations

import json
from pathlib import Path

import pytest

from rope_prof.analysis.trace.analyze import analyze
from rope_prof.errors import TraceError
from rope_prof.io.trace.read import read_trace


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
