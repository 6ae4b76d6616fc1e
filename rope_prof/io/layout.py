"""What the files of a run folder are called."""

from __future__ import annotations

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


def written_down(path: str) -> str:
    """A path as it may be printed and kept: bytes of its name that are no UTF-8 as `\\xe9`. It opens no file then."""
    return path.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
