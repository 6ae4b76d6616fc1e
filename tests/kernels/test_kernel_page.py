"""The figures of docs/kernel.md are those of the recorded benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import geometric_mean
from typing import Any

HEADER = (
    "| model | N | unfused | per-token | fused | fused, no overlap | in-place pass | overlapped | empty launch | share of copy |",  # noqa: E501
    "|---|---|---|---|---|---|---|---|---|---|",
)


def recorded(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((repository / "docs/results/kernels-h200.json").read_text())
    return found


def row(point: dict[str, Any], copy_bytes_per_s: float) -> str:
    us = point["us"]

    def spread(name: str) -> str:
        return "{median:.2f} [{p10:.2f}, {p90:.2f}]".format(**us[name])

    def median(name: str) -> str:
        return f"{us[name]['median']:.2f}"

    share = point["least_bytes"] / copy_bytes_per_s * 1e6 / us["fused"]["median"]
    cells = (
        point["model"].upper(), f"{point['tokens']}", median("unfused"), median("per-token"), spread("fused"),
        median("fused, no overlap"), spread(point["limit"]), spread(point["limit_overlap"]), median("empty launch"),
        f"{share:.1%}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def test_the_table_is_the_recorded_one(repository: Path) -> None:
    result = recorded(repository)
    expected = [*HEADER, *(row(point, result["copy_bytes_per_s"]) for point in result["device"])]
    page = (repository / "docs/kernel.md").read_text()
    _, _, after = page.partition("<!-- table of docs/results/kernels-h200.json: begin")
    table, end, _ = after.partition("<!-- table: end -->")
    assert end
    shown = [line for line in table.splitlines() if line.startswith("|")]
    assert shown == expected, "the page's table should read:\n" + "\n".join(expected)


def test_the_stated_targets_are_the_recorded_ones(repository: Path) -> None:
    result = recorded(repository)
    page = (repository / "docs/kernel.md").read_text()
    wall = {p["tokens"]: {n: us["median"] for n, us in p["us"].items()} for p in result["wall"]}
    device = {(p["model"], p["tokens"]): p["us"]["fused"]["median"] for p in result["device"]}
    shares = ", ".join(f"{wall[n]['fused'] / wall[n]['add_']:.3f}" for n in (1, 64, 973))
    times = ", ".join(f"{wall[n]['fused']:.2f}" for n in (1, 64, 973))
    large = [p for p in result["device"] if p["tokens"] >= 973]
    sentences = [
        f"{shares} ({times} µs)",
        f"{wall[973]['unfused'] / wall[973]['fused']:.1f}x",
        f"{wall[2048]['fused']:.2f} µs, `add_` {wall[2048]['add_']:.2f}",
        f"{device['28b', 1]:.2f} and {device['424b', 1]:.2f}; {device['28b', 64]:.2f}; {device['424b', 64]:.2f}",
        f"({result['copy_bytes_per_s'] / 1e9:,.0f} GB/s)",
    ]
    for path, field in (("fused", "limit"), ("fused, no overlap", "limit"), ("fused", "limit_overlap")):
        ratios = [p["us"][path]["median"] / p["us"][p[field]]["median"] for p in large]
        sentences.append(f"{geometric_mean(ratios):.4f}, worst {max(ratios):.4f}")
    over = [p["us"]["per-token"]["median"] / p["us"]["fused"]["median"] for p in result["device"]]
    sentences.append(f"{geometric_mean(over):.2f}x, least {min(over):.2f}x")
    assert [s for s in sentences if s not in page] == []


def test_the_table_of_the_cache_write_is_the_recorded_one(repository: Path) -> None:
    points = json.loads((repository / "docs/results/kernels_kv-h200.json").read_text())["device"]
    expected = []
    for point in points:
        paths = ("fused", "fused-settled", point["limit"], "rope-then-write", "rope-then-index", "served")
        name = point["model"].upper() + ("" if point["cache"] == "same" else " fp8")
        cells = [name, f"{point['tokens']}", *(f"{point['us'][path]['median']:.2f}" for path in paths)]
        expected.append(f"| {' | '.join(cells)} |")
    page = (repository / "docs/kernel.md").read_text()
    _, _, after = page.partition("<!-- table of docs/results/kernels_kv-h200.json: begin")
    table, end, _ = after.partition("<!-- table of the cache write: end -->")
    assert end
    shown = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert shown == expected, "the page's table should read:\n" + "\n".join(expected)
