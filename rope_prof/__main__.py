"""`python -m rope_prof`."""

from __future__ import annotations

import sys

from rope_prof.cli import main as run


def main() -> None:
    """Run the command line and end with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
