"""The Markdown tables of a kernel benchmark's JSON: `python benchmarks/kernel_table.py docs/results/kernels-h200.json`.

With `--into docs/kernel.md` they replace what stands there between the marks `<!-- KERNELS: begin -->` and `end`.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

MARKS = re.compile(r"(<!-- KERNELS: begin.*?-->\n).*?(<!-- KERNELS: end -->)", re.DOTALL)


def cell(row: dict[str, float]) -> str:
    """`4.351 [4.230, 4.422]`, digits by size."""
    digits = 3 if row["median"] < 10 else 2 if row["median"] < 100 else 0
    return f"{row['median']:.{digits}f} [{row['p10']:.{digits}f}, {row['p90']:.{digits}f}]"


def markdown(result: dict[str, Any]) -> str:
    """Two tables: device time a call of every path beside the limits, and the eager wall time beside `add_`."""
    machine, bandwidth = result["machine"], result["copy_bytes_per_s"]
    lines = [
        f"{machine['gpu']}, torch {machine['torch']}, Triton {machine['triton']}; copy {bandwidth / 1e9:,.0f} GB/s; "
        "µs a call, median [10th, 90th percentile] of the replays; ring of at least three times the L2 of "
        f"{machine['l2_bytes'] / 2**20:.0f} MiB.",
        "",
        "| model | tokens | unfused | per-token | fused | fused, plain launches | in-place pass "
        "| the same, overlapped | fused / pass | share of copy |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for point in result["device"]:
        us = point["us"]
        names = ("unfused", "per-token", "fused", "fused, no overlap", point["limit"], point["limit_overlap"])
        over = us["fused"]["median"] / us[point["limit"]]["median"]
        share = point["least_bytes"] / bandwidth * 1e6 / us["fused"]["median"]
        cells = [
            point["model"],
            f"{point['tokens']:,}",
            *(cell(us[name]) for name in names),
            f"{over:.3f}",
            f"{share:.0%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "Eager wall time a call, every check included, hot, in the same rounds as `torch.add_` on one element:",
        "",
        "| tokens (28b) | add_ | fused | fused / add_ | per-token | unfused | unfused / fused |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for point in result["wall"]:
        us = point["us"]
        fused = us["fused"]["median"]
        cells = [
            f"{point['tokens']:,}",
            cell(us["add_"]),
            cell(us["fused"]),
            f"{fused / us['add_']['median']:.2f}",
            cell(us["per-token"]),
            cell(us["unfused"]),
            f"{us['unfused']['median'] / fused:.0f}x",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print, or write between the marks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    text = markdown(json.loads(options.result.read_text(encoding="utf-8")))
    if options.into is None:
        print(text, end="")
        return
    page = options.into.read_text(encoding="utf-8")
    if not MARKS.search(page):
        raise SystemExit(f"{options.into} has no marks '<!-- KERNELS: begin -->' and '<!-- KERNELS: end -->'")
    options.into.write_text(MARKS.sub(lambda found: found[1] + text + found[2], page), encoding="utf-8")


if __name__ == "__main__":
    main()
