"""Nsight Compute's report (`.ncu-rep`) -> one `KernelCounters` per profiled kernel, in the order of their launch.

By NVIDIA's own module `ncu_report` where it can be imported (from PyPI, or from `extras/python` of an installed Nsight
Compute), else by `ncu --import --csv --page raw`. A metric that the report lacks is None, never 0.
"""

from __future__ import annotations

import csv
import importlib
import math
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from rope_prof.errors import TraceError, UnavailableError
from rope_prof.model.nsight import KernelCounters

#: Column of the table -> the metric of ncu, and the factor from its base unit.
METRICS: Final[dict[str, str]] = {
    "registers": "launch__registers_per_thread",
    "duration_ns": "gpu__time_duration.sum",
    "dram_read_bytes": "dram__bytes_read.sum",
    "dram_write_bytes": "dram__bytes_write.sum",
    "l2_bytes": "lts__t_bytes.sum",
    "dram_percent": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "l2_percent": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm_percent": "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "occupancy_percent": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "occupancy_limit_percent": "sm__maximum_warps_per_active_cycle_pct",
}
STALLS: Final = (
    *("barrier", "branch_resolving", "dispatch_stall", "drain", "gmma", "imc_miss", "lg_throttle", "long_scoreboard"),
    *("math_pipe_throttle", "membar", "mio_throttle", "misc", "no_instruction", "not_selected", "selected"),
    *("short_scoreboard", "sleeping", "tex_throttle", "wait"),
)
_STALL: Final = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"
#: What `ncu --metrics` is asked for.
WANTED: Final = (*METRICS.values(), *(_STALL.format(reason) for reason in STALLS))
_UNITS: Final = {
    "byte": 1.0,
    "Kbyte": 1e3,
    "Mbyte": 1e6,
    "Gbyte": 1e9,
    "ns": 1.0,
    "nsecond": 1.0,
    "us": 1e3,
    "usecond": 1e3,
    "ms": 1e6,
    "msecond": 1e6,
    "s": 1e9,
    "second": 1e9,
}
Value = Callable[[str], float | None]


def read_ncu(path: Path, ncu: Path | None, *, domain: str) -> tuple[KernelCounters, ...]:
    """The kernels of the report. `domain`: the NVTX domain whose innermost range, less its `#<call>`, is the key.

    Errors: UnavailableError with neither `ncu_report` nor `ncu`; TraceError for a report that cannot be read.
    """
    module = report_module(ncu)
    if module is not None:
        return tuple(_by_module(module, path, domain))
    if ncu is None:
        raise UnavailableError(
            f"{str(path)!r} is an Nsight Compute report, and neither the module ncu_report nor ncu is here; "
            "pip install ncu-report"
        )
    command = [str(ncu), "--import", str(path), "--csv", "--page", "raw", "--print-units", "base"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise TraceError(f"'ncu --import' of {str(path)!r} failed with exit code {done.returncode}: {last[0]}")
    return tuple(from_csv(done.stdout, domain))


def report_module(ncu: Path | None) -> Any | None:
    """`ncu_report`, as installed or from the tool's own folder; None where neither can be imported."""
    places = [""]
    if ncu is not None:
        root = ncu.resolve().parent
        beside = [folder / "extras" / "python" for folder in (root, root.parent, root.parent.parent)]
        installed = sorted(Path("/").glob("opt/nvidia/nsight-compute/*/extras/python"), reverse=True)
        places += [str(folder) for folder in (*beside, *installed) if folder.is_dir()]
    for place in places:
        if place:
            sys.path.insert(0, place)
        try:
            return importlib.import_module("ncu_report")
        except ImportError:
            continue
        finally:
            if place:
                sys.path.remove(place)
    return None


def _by_module(module: Any, path: Path, domain: str) -> Iterable[KernelCounters]:
    try:
        report = module.load_report(str(path))
    except Exception as error:  # SWIG throws what it likes
        raise TraceError(
            f"cannot read {str(path)!r}: {error}; record it again, or install a newer ncu-report"
        ) from error
    for one in (report.range_by_idx(i) for i in range(report.num_ranges())):
        for action in (one.action_by_idx(i) for i in range(one.num_actions())):
            names = set(action.metric_names())

            def value(name: str, action: Any = action, names: set[str] = names) -> float | None:
                return float(action.metric_by_name(name).as_double()) if name in names else None

            yield _kernel(
                value,
                str(action.name()),
                _innermost(action, domain),
                _module_dim(value, "grid"),
                _module_dim(value, "block"),
            )


def _module_dim(value: Value, side: str) -> str | None:
    parts = [value(f"launch__{side}_dim_{axis}") for axis in "xyz"]
    return None if None in parts else "x".join(f"{part:.0f}" for part in parts)


def _innermost(action: Any, domain: str) -> str | None:
    """The innermost push/pop range of `domain` around the launch."""
    state = action.nvtx_state()
    if state is None:
        return None
    for number in state.domains():
        found = state.domain_by_id(number)
        ranges = found.push_pop_ranges()
        if found.name() == domain and ranges:
            return str(ranges[-1])
    return None


def _kernel(value: Value, name: str, inside: str | None, grid: str | None, block: str | None) -> KernelCounters:
    found = {column: value(metric) for column, metric in METRICS.items()}
    registers = found.pop("registers")
    stalls = {reason: seen for reason in STALLS if (seen := value(_STALL.format(reason))) is not None}
    return KernelCounters(
        key=None if inside is None else re.sub(r"#\d+$", "", inside),
        name=name,
        grid=grid,
        block=block,
        registers=None if registers is None else int(registers),
        stalls=stalls or None,
        **found,
    )


def from_csv(text: str, domain: str) -> Iterable[KernelCounters]:
    """The kernels of `ncu --csv --page raw`: a row of names, a row of units, a row per kernel."""
    lines = text.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if first is None:
        raise TraceError(f"ncu printed no table (first line {lines[0] if lines else ''!r}); expected one headed 'ID'")
    try:
        rows = list(csv.reader(lines[first:]))
    except csv.Error as error:
        raise TraceError(f"ncu printed a damaged table ({error}); print it again") from error
    if len(rows) < 2:
        raise TraceError("ncu printed names of columns and no units; expected a table with a row for each kernel")
    names, units = rows[0], dict(zip(rows[0], rows[1], strict=False))
    for cells in rows[2:]:
        row = dict(zip(names, cells, strict=False))
        yield _kernel(
            lambda name, row=row: _number(row.get(name), units.get(name, "")),  # type: ignore[misc]
            row.get("Kernel Name", ""),
            _csv_range(row, domain),
            _csv_dim(row.get("Grid Size")),
            _csv_dim(row.get("Block Size")),
        )


def _number(cell: str | None, unit: str) -> float | None:
    """A cell in its base unit; None where it is empty or no finite number."""
    try:
        value = float(cell.replace(",", "")) * _UNITS.get(unit, 1.0) if cell else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None


def _csv_dim(cell: str | None) -> str | None:
    """`(973, 1, 1)` -> `973x1x1`."""
    return "x".join(re.findall(r"\d+", cell)) if cell else None


def _csv_range(row: Mapping[str, str], domain: str) -> str | None:
    """The innermost range of `domain` in the NVTX columns of a row."""
    for name, cell in row.items():
        if "Push/Pop" in name and cell:
            found: list[str] = re.findall(rf'{re.escape(domain)}[:"]+([^:"]+#\d+)', cell)
            if found:
                return found[-1]
    return None
