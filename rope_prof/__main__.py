"""`python -m rope_prof`."""

from __future__ import annotations

import gc
import os
import sys

#: A command makes hundreds of thousands of objects while it loads and lets few of them go: looking for circles after
#: every 700 new ones, as Python does, took a tenth of a short command's time; every 200,000 takes a twentieth of an
#: export's.
_NEW_OBJECTS = 1_000_000
#: Commands that multiply no matrices: OpenBLAS, which numpy loads, would start a thread for each core of the machine.
_READING = frozenset({"show", "compare", "export", "analyze", "baseline", "open", "dashboard"})

#: Those that ask thousands of small things of small tables: polars would wake a thread for each core for many of them.
_OF_RUNS = frozenset({"show", "compare", "export", "baseline"})


def main() -> None:
    """Run the command line and end with its exit code."""
    gc.set_threshold(_NEW_OBJECTS)
    if _READING.intersection(sys.argv[1:2]):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if _OF_RUNS.intersection(sys.argv[1:2]):
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    if sys.argv[1:2] == ["dashboard"]:
        from rope_prof.dashboard import early

        early.begin(sys.argv)
    from rope_prof.cli import main as run  # a worker of `analyze`, which loads this module too, has no use for it

    try:
        code = run()
    finally:
        gc.freeze()  # what ends with the process is not searched once more
    sys.exit(code)


if __name__ == "__main__":
    main()
