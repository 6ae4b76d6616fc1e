"""`python -m rope_prof`."""

from __future__ import annotations

import gc
import sys

from rope_prof.cli import main as run

#: A command makes hundreds of thousands of objects while it loads and lets few of them go: looking for circles after
#: every 700 new ones, as Python does, took a tenth of a short command's time.
_NEW_OBJECTS = 50_000


def main() -> None:
    """Run the command line and end with its exit code."""
    gc.set_threshold(_NEW_OBJECTS)
    sys.exit(run())


if __name__ == "__main__":
    main()
