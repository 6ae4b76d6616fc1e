"""What the files of a run folder are called, and those of a folder that nsys exported."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.parquet"
TRACE_SUFFIX = ".trace.json.gz"
#: A native Perfetto trace, and the reports of Nsight Systems and Nsight Compute.
NATIVE_SUFFIX = ".pftrace"
SYSTEMS_SUFFIX = ".nsys-rep"
COMPUTE_SUFFIX = ".ncu-rep"
#: In a run folder, while its ranks record or after one was lost: a run folder a rank. See `io.run.ranks`.
RANKS_FOLDER = "ranks"
#: What NVIDIA's own tools said of the run.
NSIGHT_FILE = "nsight.json"
#: A folder that holds this file is the result of an analysis of many traces.
DATASET_FILE = "fleet.json"
#: Tables that nsys exports into a folder: their kinds, and some that no other folder of such files has.
TABLE_SUFFIXES = (".parquet", ".arrow", ".feather")
_MARKS = ("StringIds", "META_DATA_EXPORT", "TARGET_INFO_SESSION_START_TIME", "CUPTI_ACTIVITY_KIND_RUNTIME")


def is_export_folder(path: Path) -> bool:
    """Whether it is a folder that nsys exported."""
    with suppress(OSError):
        return path.is_dir() and any((path / f"{mark}{kind}").is_file() for mark in _MARKS for kind in TABLE_SUFFIXES)
    return False


def written_down(path: str) -> str:
    """A path as it may be printed and kept: bytes of its name that are no UTF-8 as `\\xe9`. It opens no file then."""
    return path.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
