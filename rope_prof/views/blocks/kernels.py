"""Where device time goes, as blocks: kernels by time, paths and kernels under their roof, floors.

Draws what `analysis.trace.kernels` and `analysis.run.roofline` found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from rope_prof.analysis.run.ceilings import Ceilings
from rope_prof.analysis.run.counters import CallCounters
from rope_prof.analysis.run.roofline import KernelRoof, Memory, PathRoof, kernel_roofs, of_keys, pass_point, peak_per_s
from rope_prof.analysis.run.rows import Row
from rope_prof.model.frozen import Frozen
from rope_prof.model.nsight import Compute
from rope_prof.units import MISSING, US, duration, gigabytes_per_s, megabytes, microseconds, percent, significant
from rope_prof.views.blocks.model import Picture, Table, cells, charted
from rope_prof.views.draw.charts import Bar, BarChart
from rope_prof.views.draw.roofline import Roof, RooflineChart, Spot
from rope_prof.views.words.difference import beside, difference
from rope_prof.views.words.names import grid_words, short_name, told_apart

#: Kernels drawn of each side; the rest is one bar.
MOST = 12
_BOUNDS = {"launch": "one launch", "bytes": "one pass"}
MEMORIES: Mapping[Memory, str] = {"dram": "DRAM", "l2": "L2"}


class Kernels(Frozen, kw_only=True):
    """One captured side of a case: its row, kernels (`analysis.trace.kernels.KERNELS`), and how many calls it holds."""

    label: str
    row: Row
    kernels: pl.DataFrame
    calls: int


class HeldKernels(Frozen, kw_only=True):
    """The baseline; `kernels` is None where it was not captured, `counters` where Nsight Compute did not run it."""

    label: str
    row: Row
    kernels: pl.DataFrame | None
    counters: CallCounters | None = None

    def of(self, one: Kernels) -> bool:
        """Whether `one` is held against it: not it itself."""
        return one.row is not self.row


def kernel_answer(found: Sequence[Kernels]) -> str:
    """Kernels and their time a call: of the side with the longest, and where most of it goes; of the shortest."""
    told = sorted((one for one in found if one.kernels.height), key=lambda one: -_total_ns(one))
    if not told:
        return "Nothing ran on the device in the captured calls."
    most, least = told[0], told[-1]
    first = most.kernels.sort("ns_per_call").row(-1, named=True)
    share = first["ns_per_call"] / _total_ns(most) if _total_ns(most) else None
    said = f"{_counted(most)} of {most.label}, {percent(share)} of it in {short_name(first['name'], 36)}"
    return f"Into {said}; {_counted(least)} of {least.label}." if least is not most else f"Into {said}."


def _total_ns(one: Kernels) -> float:
    return float(one.kernels["ns_per_call"].sum())


def _counted(one: Kernels) -> str:
    """`25 kernels, 74.5 µs a call`."""
    count = one.kernels.filter(~pl.col("kind").is_in(["memcpy", "memset"]))["per_call"].sum()
    return f"{'1 kernel' if count == 1 else f'{count:,.4g} kernels'}, {duration(_total_ns(one))} a call"


def time_figure(found: Sequence[Kernels], name: str) -> Picture:
    """Time a call of each kernel, all sides on one scale; what is left of a long list is one bar."""
    rows = [bar for one in found for bar in (_head(one), *_bars(_rows(one.kernels)))]
    legend = [("kernel", "kernel")]
    if any((one.kernels["kind"].is_in(["memcpy", "memset"])).any() for one in found):
        legend.append(("copy", "copy or set"))
    title = f"Device time by kernel: {name}"
    chart = BarChart(
        rows=tuple(rows),
        unit="kernel time, µs a call",
        title=title,
        legend=tuple(legend) if len(legend) > 1 else (),
    )
    return charted(chart, "kernels", title="Device time by kernel")


def _head(one: Kernels) -> Bar:
    return Bar(label=one.label, parts=(), note=f"{_counted(one)}, mean of {one.calls} calls", head=True)


def _rows(kernels: pl.DataFrame) -> list[dict[str, Any]]:
    """The first `MOST` rows; what is left of them as one row, so that nothing is hidden."""
    if kernels.height <= MOST + 1:
        return kernels.to_dicts()
    rest = kernels[MOST:]
    sums = {name: rest[name].sum() for name in ("per_call", "ns_per_call", "share")}
    return [*kernels[:MOST].to_dicts(), {"name": f"{rest.height} more kernels", "kind": "kernel"} | sums]


def _bars(rows: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
    """A kernel that runs on several grids says on which."""
    short = told_apart((row["name"] for row in rows), 36)
    times = Counter(row["name"] for row in rows)
    for row in rows:
        grid = f", {grid_words(row['grid'])}" if times[row["name"]] > 1 and row["grid"] else ""
        yield _bar(row, f"{short[row['name']]}{grid}")


def _bar(row: Mapping[str, Any], label: str) -> Bar:
    share = "" if row["share"] is None else f", {row['share']:.0%}"
    count = "" if row["per_call"] == 1 else f", {row['per_call']:,.3g}×"
    role = "copy" if row["kind"] in ("memcpy", "memset") else "kernel"
    note = f"{microseconds(row['ns_per_call'])} µs{count}{share}"
    title = f"{row['name']}\n{note} of the path"
    return Bar(label=label, parts=((role, row["ns_per_call"] / US, title),), note=note)


def paths_figure(found: Sequence[PathRoof], limits: Ceilings, paths: Sequence[str], name: str) -> Picture | None:
    """The paths whose bytes are known under the roof; None where none is.

    `paths`: all of the run, in whose order they are shaded.
    """
    known = [one for one in found if one.bytes_moved and (one.busy_per_s or one.wall_per_s)]
    if not known:
        return None
    several = len({one.row.mode for one in known}) > 1
    spots = [_path_spot(one, list(paths).index(one.row.path), several=several) for one in known]
    labels = {one.row.path: list(paths).index(one.row.path) for one in known}
    flat = [("copy bandwidth", limits.copy_bytes_per_s)] if limits.copy_bytes_per_s else []
    launches = []
    if limits.empty_launch_ns and any(one.row.mode != "graph" for one in known):
        launches.append(("one launch", limits.empty_launch_ns))
    if limits.graph_node_ns and any(one.row.mode == "graph" for one in known):
        launches.append(("one graph node", limits.graph_node_ns))
    passed = pass_point(limits)
    passes = [] if passed is None else [(f"one pass over the bytes: {_rate(passed[1])}", *passed)]
    roof = Roof(flat=tuple(flat), launches=tuple(launches), passes=tuple(passes))
    title = "Roofline of the paths"
    chart = RooflineChart(spots=tuple(spots), labels=tuple(labels.items()), roof=roof, title=f"{title}: {name}")
    return charted(chart, "roofline", title=title, caption=_paths_caption(found))


def _path_spot(one: PathRoof, shade: int, *, several: bool) -> Spot:
    row = one.row
    wall = None if row.wall_ns is None else row.wall_ns.median
    lines = [
        f"{row.path} · {row.mode}: {megabytes(one.bytes_moved or 0)} MB a call",
        f"kernels {duration(row.busy_ns)}, {_rate(one.busy_per_s)}; call {duration(wall)}, {_rate(one.wall_per_s)}",
    ]
    if one.floor is not None and one.floor.share is not None:
        lines.append(f"floor {duration(one.floor.floor_ns)}, {percent(one.floor.share)} of the call")
    return Spot(
        moved=float(one.bytes_moved or 0),
        per_s=one.busy_per_s,
        whole_per_s=one.wall_per_s,
        shade=shade,
        tag=row.mode if several else "",
        left=row.mode == "graph",
        title="\n".join(lines),
    )


def _rate(per_s: float | None) -> str:
    return MISSING if per_s is None else f"{gigabytes_per_s(per_s)} GB/s"


def _paths_caption(found: Sequence[PathRoof]) -> str:
    words = (
        "Bytes of a path: what its kernels read and write by count. Over the copy bandwidth lies what the L2 serves: "
        "a kernel that reads what the one before wrote."
    )
    without = [f"{one.row.path} · {one.row.mode}" for one in found if not one.bytes_moved]
    if without:
        words += f" Not drawn, since nobody counted their bytes: {', '.join(without)}."
    return words


def floors_table(found: Sequence[PathRoof], label: Callable[[Row], str], held: HeldKernels | None) -> Table:
    """Each path against the copy bandwidth and the floors of its case."""
    against = "" if held is None else f"; in brackets the difference to {held.label}"
    head = (
        *("path · mode", "MB a call", "kernels", "GB/s", "of copy", "call, unprofiled", "one launch", "one pass"),
        *("floor / call", "higher floor"),
    )
    rows = tuple(cells(label(one.row), *_floor_cells(one, held)) for one in found)
    return Table(title=f"Against the floors{against}", head=head, rows=rows, right=frozenset(range(1, 9)))


def _floor_cells(one: PathRoof, held: HeldKernels | None) -> tuple[str, ...]:
    row, floor = one.row, one.floor
    base = None if held is None or held.row is row else held.row
    return (
        MISSING if not one.bytes_moved else megabytes(one.bytes_moved),
        beside(row.busy_ns, None if base is None else base.busy_ns),
        MISSING if one.busy_per_s is None else gigabytes_per_s(one.busy_per_s),
        percent(one.copy_share),
        beside(row.wall_ns.median if row.wall_ns else None, base.wall_ns.median if base and base.wall_ns else None),
        duration(floor.launch_ns if floor else None),
        duration(floor.bytes_ns if floor else None),
        percent(floor.share if floor else None),
        MISSING if one.bound is None else _BOUNDS[one.bound],
    )


def floor_lines(found: Sequence[PathRoof], label: Callable[[Row], str]) -> list[str]:
    """The same as sentences, for a file."""
    return [
        f"{label(one.row)}: {megabytes(one.bytes_moved or 0)} MB a call, {_rate(one.busy_per_s)} while its "
        f"kernels run ({percent(one.copy_share)} of a copy); floor / call "
        f"{percent(one.floor.share if one.floor else None)}"
        for one in found
        if one.bytes_moved
    ]


def kernel_table(found: Sequence[Kernels], held: HeldKernels | None) -> pl.DataFrame:
    """All kernels of all sides, names letter for letter; with the change of the same kernel's time to the baseline."""
    frames = [
        one.kernels.select(
            pl.lit(one.label).alias("path"),
            pl.col("name").alias("kernel"),
            pl.col("per_call").alias("a call"),
            (pl.col("ns_per_call") / US).alias("µs a call"),
            *_changes(one, held),
            pl.col("share"),
            (pl.col("ns_each") / US).alias("µs each"),
            pl.col("grid"),
            pl.col("block"),
            pl.col("registers"),
            pl.col("shared_bytes").alias("shared, bytes"),
        )
        for one in found
    ]
    return pl.concat(frames)


def _changes(one: Kernels, held: HeldKernels | None) -> list[pl.Series]:
    if held is None or held.kernels is None:
        return []
    before, mine = _by_name(held.kernels), _by_name(one.kernels)
    words = [
        "" if not held.of(one) else difference(mine[name], before[name]) if name in before else "not there"
        for name in one.kernels["name"]
    ]
    return [pl.Series(f"to {held.label}", words, dtype=pl.String)]


def _by_name(kernels: pl.DataFrame) -> dict[str, float]:
    """name -> ns a call, whatever the launch shape."""
    return dict(kernels.group_by("name").agg(pl.col("ns_per_call").sum()).iter_rows())


def kernels_figure(
    compute: Compute, keys: Mapping[str, tuple[str, int]], memory: Memory, limits: Ceilings, name: str
) -> Picture | None:
    """Each kernel that Nsight Compute ran for those keys under the roof; None where it ran none.

    `keys`: key -> (label, shade).
    """
    found = [(key, kernel_roofs(of_keys(compute, [key]), memory)) for key in keys]
    spots = [_kernel_spot(roof, *keys[key], memory) for key, roofs in found for roof in roofs]
    if not spots:
        return None
    every = kernel_roofs(compute.kernels, memory)
    peak = peak_per_s(every)
    flat = [] if peak is None else [(f"peak of the {MEMORIES[memory]} by the counters", peak)]
    if memory == "dram" and limits.copy_bytes_per_s:
        flat.append(("copy bandwidth", limits.copy_bytes_per_s))
    labels = [keys[key] for key, roofs in found if roofs]
    title = f"Roofline of the kernels, bytes at the {MEMORIES[memory]}: {name}"
    chart = RooflineChart(spots=tuple(spots), labels=tuple(labels), roof=Roof(flat=tuple(flat)), title=title)
    asked = sum(len(of_keys(compute, [key])) for key in keys)
    return charted(
        chart,
        "kernel-roofline",
        title="Roofline of the kernels",
        caption=_kernels_caption(memory, peak, asked - len(spots), measured=bool(limits.copy_bytes_per_s)),
    )


def _kernel_spot(roof: KernelRoof, label: str, shade: int, memory: Memory) -> Spot:
    share = "" if roof.percent is None else f", {significant(roof.percent)} % of the {MEMORIES[memory]}'s peak"
    lines = (
        f"{roof.kernel.name}\n{label}: {megabytes(roof.bytes_moved)} MB at the {MEMORIES[memory]} in "
        f"{duration(roof.kernel.duration_ns)} alone, {_rate(roof.bytes_per_s)}{share}"
    )
    return Spot(moved=roof.bytes_moved, per_s=roof.bytes_per_s, shade=shade, title=lines)


def _kernels_caption(memory: Memory, peak: float | None, without: int, *, measured: bool) -> str:
    words = "Each mark is one kernel of one call, alone on the device with cold caches, as Nsight Compute counted it."
    if memory == "dram":
        words += " What the L2 still holds at a kernel's end is not yet written back, and not counted."
        if not measured:
            words += " This run measured no copy bandwidth; record it again for that line."
    if peak is None:
        words += f" No line for the peak of the {MEMORIES[memory]}: the counters' shares are not those of bytes alone."
    if without:
        words += f" {without} kernels without bytes at the {MEMORIES[memory]} are not drawn."
    return words
