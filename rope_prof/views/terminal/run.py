"""The table of a run: for people (rich) and for machines (JSON). Draws what `analysis.summary` computed, no arithmetic.

JSON of `show --json`, version 1. Times are ns per call; a figure that is not there is null, never 0.

- `schema_version`: of this document; grows when a field changes its meaning or goes, not when one joins.
- `run`: `name`, `created`, `command`, `seed`, `complete`, `settings`. `machine`: as recorded.
- `keys`: one object per key, in the order of the run:
  - `key`: its name; `case`: {`name`, `model`, `tp`, `tokens`, `dtype`, `prompt`}; `path`; `mode`; `l2`; `rank`;
  - `status`: measured, checked, wrong, unavailable, failed or pending; `reason`: a sentence, or null;
  - `kernels_per_call`, `kernel_ns`, `busy_ns`, `period_ns`, `bubble_raw_ns`: medians over the captured calls, under
    the profiler; `kernel_ns` is the sum of the kernels, `busy_ns` their union, which the bubbles leave out; on a CPU a
    kernel is a leaf operator; of a cold graph the period lies inside the replay and its inflation is that over the
    device time;
  - `bubble_raw_trusted`: whether `inflation` lies within 1.5 and 1 / 1.5, so that the raw bubble tells something; null
    where there is no raw bubble or no inflation;
  - `bubble_corrected_ns`: median unprofiled wall less busy; may be negative; `bubble_by_replay_ns`: the same without a
    profiler, wall less (device time of the graph's replay less its gaps); `bubbles_agree`: within 5 % of the wall;
  - `wall_ns`, `device_ns`: {`median`, `lo`, `hi`, `n`}, unprofiled; [lo, hi] holds the true median with 95 % coverage
    (order statistics) and is null under six samples;
  - `p10_ns`, `p90_ns`: tenth and ninetieth percentile of the wall samples;
  - `inflation`: profiled period / unprofiled wall; `light_inflation`, `light_bubble_raw_ns`: of the capture at the
    lowest overhead, without the host's operators;
  - `speedup`: wall of unfused eager / wall, the median over rounds; `speedup_interval` {`median`, `lo`, `hi`, `n`};
    null for a path that is wrong; `mode_speedup`: the same against unfused in the key's own mode;
  - `max_error`, `max_error_limit`, `rounded_share`, `nans`, `error_dtype`: against the float64 oracle;
  - `first_call_ns`: the first call with its compilation; `bytes_moved`: by the path's kernels;
    `bytes_per_s`: those / device time; `byte_floor_ns`: one pass over the views by the best known way;
    `roofline_share`: that / device time;
  - `stopped`: why its rounds ended, with the width of the interval; `samples`: how many there are;
    `throttled_samples`: those taken while power or heat held the clock down, null where the device does not say.
- `modes`, `ceilings`, `floors`, `decompositions`: see `views.number_tables`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rope_prof.analysis.run.rows import Row
from rope_prof.model.run import Case, Machine, Run
from rope_prof.units import MISSING, microseconds, ratio, significant, size

if TYPE_CHECKING:
    from rich.table import Table

    from rope_prof.analysis.stats import Figure

JSON_VERSION = 1

_COLUMNS = (
    ("path", "left"),
    ("kernels", "right"),
    ("busy µs", "right"),
    ("bubble raw", "right"),
    ("corrected", "right"),
    ("wall µs", "right"),
    ("[95 %]", "left"),
    ("device µs", "right"),
    ("inflation", "right"),
    ("light", "right"),
    ("speedup", "right"),
    ("max error", "right"),
)


#: The column that is greyed where the capture is unlike the unprofiled calls.
_RAW = next(i for i, (name, _) in enumerate(_COLUMNS) if name == "bubble raw")


def run_json(
    run: Run,
    rows: Sequence[Row],
    end_to_end: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
) -> str:
    """The JSON document that this module describes; `end_to_end` only where whole requests were measured.

    `more` joins it at its top: what `views.number_tables` makes.
    """
    document: dict[str, Any] = {
        "schema_version": JSON_VERSION,
        "run": {
            "name": run.name,
            "created": run.created,
            "command": run.command,
            "seed": run.seed,
            "complete": run.complete,
            "settings": run.settings,
        },
        "machine": asdict(run.machine),
        "keys": [row_json(row) for row in rows],
    }
    document |= more or {}
    if end_to_end is not None:
        document["end_to_end"] = end_to_end
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def row_json(row: Row) -> dict[str, Any]:
    """One entry of `keys`."""
    accuracy = row.accuracy
    return {
        "key": row.key,
        "case": {"name": row.case.name} | asdict(row.case),
        "path": row.path,
        "mode": row.mode,
        "l2": row.l2,
        "rank": row.rank,
        "status": row.status,
        "reason": row.reason,
        "kernels_per_call": _whole(row.kernels_per_call),
        "kernel_ns": _whole(row.kernel_ns),
        "busy_ns": _whole(row.busy_ns),
        "period_ns": _whole(row.period_ns),
        "bubble_raw_ns": _whole(row.bubble_raw_ns),
        "bubble_raw_trusted": None if row.inflation is None or row.bubble_raw_ns is None else row.raw_trusted,
        "bubble_corrected_ns": _whole(row.bubble_corrected_ns),
        "bubble_by_replay_ns": _whole(row.bubble_by_replay_ns),
        "bubbles_agree": row.bubbles_agree,
        "wall_ns": asdict(row.wall_ns) if row.wall_ns else None,
        "device_ns": asdict(row.device_ns) if row.device_ns else None,
        "p10_ns": _whole(row.p10_ns),
        "p90_ns": _whole(row.p90_ns),
        "inflation": row.inflation,
        "light_inflation": row.light_inflation,
        "light_bubble_raw_ns": _whole(row.light_bubble_raw_ns),
        "speedup": row.speedup,
        "speedup_interval": asdict(row.speedup_interval) if row.speedup_interval else None,
        "mode_speedup": asdict(row.mode_speedup) if row.mode_speedup else None,
        "max_error": row.max_error,
        "max_error_limit": accuracy.limit if accuracy else None,
        "rounded_share": accuracy.rounded_share if accuracy else None,
        "nans": accuracy.nans if accuracy else None,
        "error_dtype": accuracy.dtype if accuracy else None,
        "first_call_ns": row.first_call_ns,
        "bytes_moved": row.bytes_moved,
        "bytes_per_s": _whole(row.bytes_per_s),
        "byte_floor_ns": _whole(row.byte_floor_ns),
        "roofline_share": row.roofline_share,
        "stopped": row.stopped,
        "samples": row.samples or None,
        "throttled_samples": row.throttled,
    }


def _whole(value: float | None) -> float | int | None:
    """25.0 as 25, and a tenth of a nanosecond at the finest."""
    if value is None:
        return None
    return int(value) if value == int(value) else round(value, 1)


def run_tables(rows: Sequence[Row]) -> list[Table]:
    """One rich table per case, its name on top; columns without any figure are left out."""
    return [_case_table(case, list(group)) for case, group in groupby(rows, key=lambda row: row.case)]


def _case_table(case: Case, rows: Sequence[Row]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    both, ranked = len({row.l2 for row in rows}) > 1, len({row.rank for row in rows}) > 1
    cells = [row_cells(row, l2=both, rank=ranked) for row in rows]
    shown = [i for i in range(len(_COLUMNS)) if any(line[i] not in {MISSING, ""} for line in cells)]
    table = Table(
        title=Text(case_title(case)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for i in shown:
        name, side = _COLUMNS[i]
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=i > 0)
    for line, row in zip(cells, rows, strict=True):
        style = {"wrong": "red", "failed": "red", "measured": ""}.get(row.status, "dim")
        grey = {_RAW: "bright_black"} if not row.raw_trusted else {}
        table.add_row(*(Text(line[i], style=grey.get(i, "")) for i in shown), style=style)
    return table


def row_cells(row: Row, *, l2: bool = False, rank: bool = False) -> tuple[str, ...]:
    """The cells of one key, in the order of the columns; its L2 state and its rank where these tell keys apart.

    A raw bubble whose capture is unlike the unprofiled calls carries a `?`, a corrected one that its cross-check denies
    a `≠`.
    """
    distrusted = row.inflation is not None and not row.raw_trusted
    raw = microseconds(row.bubble_raw_ns)
    return (
        f"{row.path} {row.mode}"
        + (f" {row.l2}" if l2 else "")
        + (f", rank {row.rank}" if rank else "")
        + (f" ({row.status})" if row.status != "measured" else ""),
        MISSING if row.kernels_per_call is None else f"{row.kernels_per_call:g}",
        microseconds(row.busy_ns),
        f"{raw}?" if distrusted and raw != MISSING else raw,
        microseconds(row.bubble_corrected_ns) + ("≠" if row.bubbles_agree is False else ""),
        microseconds(row.wall_ns.median) if row.wall_ns else MISSING,
        interval(row.wall_ns),
        microseconds(row.device_ns.median) if row.device_ns else MISSING,
        ratio(row.inflation),
        ratio(row.light_inflation),
        ratio(row.speedup),
        MISSING if row.max_error is None else f"{row.max_error:.2g}",
    )


def interval(figure: Figure | None) -> str:
    """`[20.1, 20.6]` in µs."""
    if figure is None or figure.lo is None or figure.hi is None:
        return ""
    return f"[{significant(figure.lo / 1e3)}, {significant(figure.hi / 1e3)}]"


def case_title(case: Case) -> str:
    """`28b · TP 1 · 973 tokens · bf16 · image prompt`."""
    return f"{case.model} · TP {case.tp} · {case.tokens:,} tokens · {case.dtype} · {case.prompt} prompt"


def machine_line(machine: Machine) -> str:
    """One line of what the run was recorded on."""
    parts = [machine.device_name, f"torch {machine.torch}", f"Triton {machine.triton or 'none'}"]
    if machine.cuda and machine.device == "cuda":
        parts.append(f"CUDA {machine.cuda}")
    if machine.l2_bytes:
        parts.append(f"L2 {size(machine.l2_bytes)}")
    return " · ".join(parts)
