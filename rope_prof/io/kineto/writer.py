"""`Trace` -> a Kineto file that `analyze`, Perfetto and whoever else reads torch.profiler's traces take.

Written is what the frames hold, in Kineto's categories; graph launches that nsys records as one event get a category
of their own, `gpu_graph`. A GPU event of Kineto names no process: where several are in a trace, their correlations and
streams are numbered anew, so that each still means one. Events that overlap on a stream get tracks of their own
(`lanes`). Findings of the trace that was read go along. Python stacks and arrows are written for viewers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
import polars as pl

from rope_prof.io.kineto.lanes import laned
from rope_prof.model.trace import Trace

_GPU: Final = {
    "kernel": "kernel",
    "memcpy": "gpu_memcpy",
    "memset": "gpu_memset",
    "graph": "gpu_graph",
    "host_node": "graph_host_node",
    "event_node": "graph_event_node",
}
#: Column -> the name of its argument.
_GPU_ARGS: Final = {
    "stream": "stream",
    "correlation": "correlation",
    "external": "External id",
    "bytes": "bytes",
    "registers": "registers per thread",
    "shared_bytes": "shared memory",
    "graph": "graph id",
    "graph_node": "graph node id",
    "collective": "Collective name",
    "group": "Process Group Name",
}
_OP_ARGS: Final = {"external": "External id", "sequence": "Sequence number", "forward_thread": "Fwd thread id"}
#: Columns that hold JSON text.
_OP_TEXTS: Final = {"input_dims": "Input Dims", "input_types": "Input type"}
_encode: Final = msgspec.json.Encoder().encode


def kineto_bytes(trace: Trace) -> bytes:
    """The JSON text of the file. The same trace gives the same bytes."""
    trace = _each_its_own(trace)
    numbers = _device_numbers(trace)
    events = [*_names(trace, numbers), *_host(trace), *_device(trace, numbers), *_arrows(trace, numbers)]
    if trace.window_end is not False:
        at = _us(trace.window_end_ns if trace.window_end_ns is not None else _end(trace))
        events.append(f'{{"name":"Record Window End","ph":"i","s":"g","pid":"","tid":"","ts":{at}}}')
    body = laned(("[" + ",\n".join(events) + "]").encode())
    return _encode(_head(trace, numbers))[:-1] + b',\n"traceEvents":' + body + b"}\n"


def _json(value: Any) -> str:
    return _encode(value).decode()


def _head(trace: Trace, numbers: dict[str, int]) -> dict[str, Any]:
    cards = trace.metadata.get("deviceProperties")
    known = {str(card.get("id")): card for card in cards if isinstance(card, dict)} if isinstance(cards, list) else {}
    properties = [
        known.get(device, {}) | {"id": number} | ({"name": name} if name else {})
        for device, number in numbers.items()
        if (name := trace.device_names.get(device) or ("" if device == str(number) else device)) or device in known
    ]
    head: dict[str, Any] = {"schemaVersion": 1, "displayTimeUnit": "ms", "deviceProperties": properties}
    if "distributedInfo" in trace.metadata:
        head["distributedInfo"] = trace.metadata["distributedInfo"]
    if trace.base_time_ns is not None:
        head["baseTimeNanoseconds"] = trace.base_time_ns
    own = dict(trace.own or {}) | {"findings": list(trace.findings)}
    if "device" in trace.metadata:
        own.setdefault("device", trace.metadata["device"])
    return head | {"rope_prof": own}


def _device_numbers(trace: Trace) -> dict[str, int]:
    """Device -> its number in the file: its own where it is one, else a free one."""
    devices = pl.concat([trace.gpu["device"], trace.nodes["device"]]).unique().drop_nulls().sort().to_list()
    numbers = {device: int(device) for device in devices if device.isdecimal() and str(int(device)) == device}
    free = max(numbers.values(), default=-1) + 1
    odd = [device for device in devices if device not in numbers]
    return numbers | {device: free + place for place, device in enumerate(odd)}


def _each_its_own(trace: Trace) -> Trace:
    """Correlations and streams that mean one thing each, where several processes use the same numbers."""
    gpu, nodes, calls = trace.gpu, trace.nodes, trace.calls
    if not gpu["process"].null_count():  # else joined by the correlation alone, as in the file that was read
        numbers = _apart([frame.select("process", "correlation") for frame in (gpu, nodes, calls)], "correlation")
        gpu, nodes, calls = (_renumbered(frame, numbers, "correlation") for frame in (gpu, nodes, calls))
        streams = _apart([frame.select("device", "process", "stream") for frame in (gpu, nodes)], "stream")
        gpu, nodes = (_renumbered(frame, streams, "stream") for frame in (gpu, nodes))
    return replace(trace, gpu=gpu, nodes=nodes, calls=calls)


def _apart(frames: list[pl.DataFrame], column: str) -> pl.DataFrame | None:
    """What each stands for -> a number of its own; None where no number stands for two things."""
    keys = pl.concat(frames).drop_nulls(column).unique(maintain_order=True)
    if not keys.drop("process").is_duplicated().any():
        return None
    return keys.sort(column, *keys.columns, maintain_order=True).with_row_index("number", offset=1)


def _renumbered(frame: pl.DataFrame, numbers: pl.DataFrame | None, column: str) -> pl.DataFrame:
    if numbers is None:
        return frame
    keys = [name for name in numbers.columns if name != "number"]
    joined = frame.join(numbers, on=keys, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(pl.col("number").cast(pl.Int64).alias(column)).drop("number")


def _names(trace: Trace, numbers: dict[str, int]) -> Iterator[str]:
    """Which process is a GPU, and which thread of it a stream."""
    for device, number in numbers.items():
        yield _meta("process_name", number, 0, {"name": trace.device_names.get(device) or f"GPU {device}"})
        yield _meta("process_labels", number, 0, {"labels": f"GPU {number}"})
        rows = trace.gpu.filter(pl.col("device") == device)
        for stream in rows["stream"].unique().drop_nulls().sort():
            yield _meta("thread_name", number, stream, {"name": f"stream {stream}"})


def _meta(name: str, pid: int, tid: int, args: dict[str, Any]) -> str:
    return f'{{"ph":"M","name":"{name}","ts":0,"pid":{pid},"tid":{tid},"args":{_json(args)}}}'


def _host(trace: Trace) -> Iterator[str]:
    for frame, category in ((trace.ranges, "user_annotation"), (trace.python, "python_function")):
        for row in frame.iter_rows(named=True):
            yield _event(category, row, row["process"], row["thread"], {})
    for row in trace.ops.iter_rows(named=True):
        texts = {word: msgspec.Raw(row[name].encode()) for name, word in _OP_TEXTS.items() if _is_json(row[name])}
        yield _event("cpu_op", row, row["process"], row["thread"], _args(row, _OP_ARGS) | texts)
    for row in trace.calls.iter_rows(named=True):
        args = _args(row, {"correlation": "correlation"})
        yield _event(f"cuda_{row['api'] or 'runtime'}", row, row["process"], row["thread"], args)
    for row in trace.overheads.iter_rows(named=True):
        yield _event("overhead", row, -1 if row["process"] is None else row["process"], row["thread"] or 0, {})


def _is_json(text: str | None) -> bool:
    try:
        return text is not None and msgspec.json.decode(text) is not None
    except msgspec.DecodeError:
        return False


def _device(trace: Trace, numbers: dict[str, int]) -> Iterator[str]:
    for row in trace.gpu.iter_rows(named=True):
        sizes = {name: [int(n) for n in row[name].split("x")] for name in ("grid", "block") if _is_size(row[name])}
        args = {"device": numbers.get(row["device"]), **_args(row, _GPU_ARGS), **sizes}
        yield _event(_GPU[row["kind"]], row, numbers.get(row["device"]), _track(row["stream"]), args)
    for row in trace.nodes.iter_rows(named=True):
        args = {"device": numbers.get(row["device"]), **_args(row, {"correlation": "correlation", "stream": "stream"})}
        yield _event(_GPU[row["kind"]], row, numbers.get(row["device"]), _track(row["stream"]), args)


def _is_size(text: str | None) -> bool:
    return text is not None and all(part.isdecimal() for part in text.split("x"))


def _track(stream: int | None) -> int | str:
    return "no stream" if stream is None else stream


def _args(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {word: row[name] for name, word in names.items() if row[name] is not None}


def _event(category: str, row: dict[str, Any], pid: Any, tid: Any, args: dict[str, Any]) -> str:
    place = f'"pid":{_json(pid)},"tid":{_json(tid)},"ts":{_us(row["start_ns"])}'
    dur = "" if row["dur_ns"] is None else f',"dur":{_us(row["dur_ns"])}'
    said = f',"args":{_json(args)}' if args else ""
    name = _json(row["name"] or "")
    return f'{{"ph":"X","cat":"{category}","name":{name},{place}{dur}{said}}}'


def _us(ns: int) -> str:
    """Nanoseconds in the digits of microseconds."""
    return f"{'-' if ns < 0 else ''}{abs(ns) // 1000}.{abs(ns) % 1000:03d}"


def _arrows(trace: Trace, numbers: dict[str, int]) -> Iterator[str]:
    """From the first call of each correlation to all its GPU events, by the correlation, as Kineto writes them."""
    calls = trace.calls.filter(pl.col("correlation").is_in(trace.gpu["correlation"].drop_nulls().unique().implode()))
    for row in calls.unique("correlation", keep="first", maintain_order=True).iter_rows(named=True):
        yield _arrow('"ph":"s"', row, row["process"], row["thread"])
    linked = trace.gpu.filter(pl.col("correlation").is_in(calls["correlation"].unique().implode()))
    for row in linked.iter_rows(named=True):
        yield _arrow('"ph":"f","bp":"e"', row, numbers.get(row["device"]), _track(row["stream"]))


def _arrow(end: str, row: dict[str, Any], pid: Any, tid: Any) -> str:
    place = f'"pid":{_json(pid)},"tid":{_json(tid)},"ts":{_us(row["start_ns"])}'
    return f'{{{end},"id":{row["correlation"]},"cat":"ac2g","name":"ac2g",{place}}}'


def _end(trace: Trace) -> int:
    frames = (trace.gpu, trace.calls, trace.ranges, trace.ops)
    ends = [frame.select((pl.col("start_ns") + pl.col("dur_ns").fill_null(0)).max()).item() for frame in frames]
    return max((end for end in ends if end is not None), default=0)
