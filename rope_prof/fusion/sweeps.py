"""A function timed over a grid of values: one line each over one axis, as a frame, files and a picture.

The fields of `Benchmark` and the words of `run` are those of `triton.testing`, so that a script goes on as it is with
another import; the frame is polars' and the picture is SVG. Each value is timed by itself, as the script asks: whether
one line is below another for sure is for `rope_prof.measure` to say.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from rope_prof.errors import UsageError
from rope_prof.views.draw.lines import MARKS, Axes, LineChart, Point, Series
from rope_prof.views.draw.palette import LIGHT
from rope_prof.views.draw.svg import Drawing, svg_file

_SHADES = 4


@dataclass(slots=True)
class Benchmark:
    """A grid: `x_names` take each of `x_vals` (a value for all, or one each), `line_arg` each of `line_vals`.

    `args` stay as they are; `line_names`, `xlabel`, `ylabel` and `plot_name` are what is shown; `styles` is taken
    and not used: lines are told apart by mark and shade. `x_log`, `y_log`: logarithmic, both or none.
    """

    x_names: Sequence[str]
    x_vals: Sequence[Any]
    line_arg: str
    line_vals: Sequence[Any]
    line_names: Sequence[str]
    plot_name: str
    args: Mapping[str, Any]
    xlabel: str = ""
    ylabel: str = ""
    x_log: bool = False
    y_log: bool = False
    styles: Any = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """A function and its grids; `run` times them. `benchmarks` may be triton's own as well."""

    function: Callable[..., Any]
    benchmarks: tuple[Any, ...]
    single: bool

    def run(
        self,
        show_plots: bool = False,
        print_data: bool = False,
        save_path: str | Path = "",
        return_df: bool = False,
        **more: Any,
    ) -> Any:
        """Time every grid: None, or with `return_df` the frame of each (of a single grid the frame itself).

        `save_path`: a folder for `<plot_name>.csv`, `<plot_name>.svg` and `results.html`. `show_plots` needs a
        notebook. `more` goes to the function. Errors: UsageError for a grid that does not fit together.
        """
        frames = []
        for one in self.benchmarks:
            frame = swept(self.function, one, more)
            frames.append(frame)
            drawing = drawn(one, frame) if show_plots or save_path else None
            if print_data:
                sys.stdout.write(f"{one.plot_name}:\n{table_text(frame)}\n")
            if show_plots and drawing is not None:
                _show(drawing)
            if save_path and drawing is not None:
                _save(Path(save_path), one.plot_name, frame, drawing)
        if save_path:
            _page(Path(save_path), [one.plot_name for one in self.benchmarks])
        if not return_df:
            return None
        return frames[0] if self.single else frames


def perf_report(benchmarks: Any) -> Callable[[Callable[..., Any]], Mark]:
    """A decorator: the function is called with one value of each axis and returns ms, or (ms, lower, upper)."""
    single = not isinstance(benchmarks, list | tuple)
    grids = (benchmarks,) if single else tuple(benchmarks)
    return lambda function: Mark(function, grids, single)


def swept(function: Callable[..., Any], grid: Any, more: Mapping[str, Any] | None = None) -> pl.DataFrame:
    """One row per value of the x axis: its names, then of each line its value and, where given, `-min` and `-max`."""
    if len(grid.line_names) != len(grid.line_vals):
        raise UsageError(
            f"benchmark {grid.plot_name!r}: {len(grid.line_names)} line_names for {len(grid.line_vals)} line_vals; "
            "expected one name each"
        )
    rows = []
    for x in grid.x_vals:
        values = list(x) if isinstance(x, list | tuple) else [x] * len(grid.x_names)
        if len(values) != len(grid.x_names):
            raise UsageError(
                f"benchmark {grid.plot_name!r}: x_vals holds {x!r}; expected {len(grid.x_names)} values, "
                f"for {', '.join(grid.x_names)}"
            )
        row = dict(zip(grid.x_names, values, strict=True))
        for value, name in zip(grid.line_vals, grid.line_names, strict=True):
            found = function(
                **dict(zip(grid.x_names, values, strict=True)), **{grid.line_arg: value}, **grid.args, **(more or {})
            )
            row |= _cells(grid, name, found)
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None)


def _cells(grid: Any, name: str, found: Any) -> dict[str, Any]:
    if not isinstance(found, list | tuple):
        return {column(grid, name): found}
    if len(found) != 3:
        raise UsageError(
            f"benchmark {grid.plot_name!r}: the function returned {len(found)} values for line {name!r}; expected one "
            "figure, or (figure, lower, upper)"
        )
    return {column(grid, name, end): value for end, value in zip(("", "-min", "-max"), found, strict=True)}


def column(grid: Any, name: str, end: str = "") -> str:
    """`fused (ms)`, `fused-min (ms)`: the head of a line's column."""
    return f"{name}{end} ({grid.ylabel})" if grid.ylabel else f"{name}{end}"


def drawn(grid: Any, frame: pl.DataFrame) -> Drawing:
    """The lines of `frame` over the first name of the x axis. Errors: UsageError where that holds no numbers."""
    first = grid.x_names[0]
    if not frame[first].dtype.is_numeric():
        raise UsageError(
            f"benchmark {grid.plot_name!r}: {first!r} holds no numbers to draw over; leave the picture out"
        )
    lines = []
    for place, name in enumerate(grid.line_names):
        columns = [column(grid, name, end) for end in ("", "-min", "-max")]
        ends = [frame[each].to_list() if each in frame.columns else [None] * frame.height for each in columns]
        points = [
            Point(x=float(x), y=float(y), lo=lo, hi=hi)
            for x, y, lo, hi in zip(frame[first].to_list(), *ends, strict=True)
            if y is not None
        ]
        lines.append(Series(label=name, points=tuple(points), shade=place % _SHADES, mark=place % len(MARKS)))
    axes = Axes(x=grid.xlabel or first, y=grid.ylabel, log=True if grid.x_log and grid.y_log else None)
    return LineChart(series=tuple(lines), axes=axes, title=grid.plot_name).drawing


def table_text(frame: pl.DataFrame) -> str:
    """The whole frame as text, no row or column left out."""
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        return str(frame)


def _show(drawing: Drawing) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import SVG, display
    except ImportError:
        shell = None
    else:
        shell = get_ipython()
    if shell is None:
        raise UsageError("show_plots needs a notebook and there is none here; pass save_path='FOLDER' for the picture")
    display(SVG(svg_file(drawing, LIGHT)))


def _save(folder: Path, name: str, frame: pl.DataFrame, drawing: Drawing) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_csv(folder / f"{name}.csv")
    (folder / f"{name}.svg").write_text(svg_file(drawing, LIGHT), encoding="utf-8")


def _page(folder: Path, names: Sequence[str]) -> None:
    pictures = "\n".join(
        f'<img src="{escape(name, quote=True)}.svg" alt="{escape(name, quote=True)}">' for name in names
    )
    (folder / "results.html").write_text(
        f'<!doctype html>\n<meta charset="utf-8">\n<title>benchmarks</title>\n{pictures}\n', encoding="utf-8"
    )
