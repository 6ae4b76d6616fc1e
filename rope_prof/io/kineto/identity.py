"""Which process and which GPU an event is of, where several ranks' files were merged into one.

A profiler gives a GPU event the device's number as its process; a merged file has one number or text for each rank's
GPU (`[TP00] 0`, `[TP01] 0`), while `args.device`, streams and correlations begin anew in each. A device that comes
under several is as many devices, and each gets the process that launched on it: the one of the same words, else the
one whose launches all come before the events of their correlation.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from rope_prof.io.kineto.args import as_int, ints
from rope_prof.model.trace import Finding, proof

_NUMBER: Final = re.compile(r"-?\d+\s*$")
_WORDS: Final = 32  # the words of a process are above so many bits of its number
_MOST: Final = 1024  # pairs of a GPU and a process that are tried
_ALL: Final = 0.99


def processes(name: str, values: list[Any]) -> pl.Series:
    """Int64 column of process ids; of a text like `[TP00] 83` a number that has its words above 32 bits."""
    try:
        return pl.Series(name, values, dtype=pl.Int64, strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError):
        known = {value: _process(value) for value in set(map(_key, values))}
        return ints(name, [known[_key(value)] for value in values])


def _key(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else None


def _process(value: Any) -> int | None:
    plain = as_int(value)
    if plain is not None or not isinstance(value, str):
        return plain
    number = _NUMBER.search(value)
    words = value[: number.start()] if number else value
    if number is None or not words.strip():
        return None
    return (zlib.crc32(words.encode()) & 0x7FFFFFF | 1) << _WORDS | int(number[0]) & 0xFFFFFFFF


def told_apart(
    gpu: pl.DataFrame, calls: pl.DataFrame, names: dict[str, str]
) -> tuple[pl.DataFrame, dict[str, str], list[Finding]]:
    """The GPU events (with `owner` and `owner_text`) by rank, the devices' names, and what is to be said of it."""
    if gpu["owner_text"].n_unique() <= 1:
        return gpu, names, []
    owners_of = gpu.select("device", "owner_text").unique()["device"]
    several = owners_of.filter(owners_of.is_duplicated()).unique()
    if not len(several):
        return gpu, names, []
    launches = calls.filter(pl.col("correlation").is_not_null())
    launches = launches.join(gpu.select("correlation").unique(), on="correlation", how="semi")
    hosts = launches["process"].unique().drop_nulls().sort().to_list()
    gpu, names = _devices(gpu, several.to_list(), names)
    owners = dict(_owners(gpu, launches, hosts))
    gpu = gpu.with_columns(
        pl.col("owner_text").replace_strict(owners, default=None, return_dtype=pl.Int64).alias("process")
    )
    count = gpu["owner_text"].n_unique()
    firsts = proof(gpu.sort("start_ns").unique("owner_text", keep="first"))
    if len(hosts) == count == len(set(owners.values())) and None not in owners.values():
        detail = (
            f"the file holds {count} ranks, each with numbers of its own: their GPUs are told apart by the process of "
            "their events, and joined with the launches of their own process"
        )
        return gpu, names, [Finding(code="merged_ranks", detail=detail, count=count, events=firsts)]
    detail = (
        f"the file holds the launches of {len(hosts)} processes and the events of {count} GPUs under one number: which "
        "launch made which event is not known"
    )
    return gpu, names, [Finding(code="merged_processes", detail=detail, count=max(len(hosts), count), events=firsts)]


def _devices(gpu: pl.DataFrame, several: list[str], names: dict[str, str]) -> tuple[pl.DataFrame, dict[str, str]]:
    """Devices that come under several processes by those; by both where the process is but a number."""
    text = pl.col("owner_text").fill_null("?")
    named = pl.when(text.str.contains(r"^-?\d+$")).then(pl.format("{} of {}", "device", text)).otherwise(text)
    apart = gpu.with_columns(pl.when(pl.col("device").is_in(several)).then(named).otherwise("device").alias("device"))
    pairs = pl.DataFrame({"old": gpu["device"], "new": apart["device"]}).unique().sort("old", "new")
    return apart, names | {new: names[old] for old, new in pairs.iter_rows() if old in names}


def _owners(gpu: pl.DataFrame, launches: pl.DataFrame, hosts: list[int]) -> Iterator[tuple[str | None, int | None]]:
    """For each GPU's process text the process that launched on it; None where that is not known."""
    groups = gpu.select("owner_text", "owner").unique("owner_text", maintain_order=True)
    by_words: dict[int, list[int]] = {}
    for host in hosts:
        by_words.setdefault(host >> _WORDS, []).append(host)
    open_: dict[str | None, list[int]] = {}
    for text, owner in groups.iter_rows():
        like = by_words.get(owner >> _WORDS, []) if owner is not None and owner >> _WORDS > 0 else []
        tried = like or (hosts if len(hosts) * groups.height <= _MOST else [])
        events = gpu.filter(pl.col("owner_text").eq_missing(text))
        open_[text] = like if len(like) == 1 else [host for host in tried if _fits(events, launches, host)]
    for text in sorted(open_, key=lambda one: len(open_[one])):  # those that only one fits leave the others fewer
        left = open_[text]
        yield text, left[0] if len(left) == 1 else None
        if len(left) == 1:
            for other, hosts_left in open_.items():
                if other != text and len(hosts_left) > 1:
                    open_[other] = [host for host in hosts_left if host != left[0]]


def _fits(events: pl.DataFrame, launches: pl.DataFrame, host: int) -> bool:
    """Whether the events come after the launches of their correlations that a process made."""
    own = launches.filter(pl.col("process") == host).group_by("correlation").agg(pl.col("start_ns").min().alias("at"))
    joined = events.select("correlation", "start_ns").join(own, on="correlation", how="inner")
    return joined.height > 0 and joined.filter(pl.col("start_ns") >= pl.col("at")).height >= _ALL * joined.height
