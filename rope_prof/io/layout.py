"""What the files of a run folder are called."""

from __future__ import annotations

RUN_FILE = "run.json"
SAMPLES_FILE = "samples.parquet"
TRACE_SUFFIX = ".trace.json.gz"
#: In a run folder, while its ranks record or after one was lost: a run folder a rank. See `rank_folders`.
RANKS_FOLDER = "ranks"
