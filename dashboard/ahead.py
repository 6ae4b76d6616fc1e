"""`python -m rope_prof.dashboard.ahead [RUN]`: work out what the first page asks of a run, into the user's cache.

The command starts it beside the server, which loads Streamlit meanwhile, on another core; the page takes what is kept,
and waits for what is under way (`KeptPlace.value`). Says nothing: of a run that cannot be read its page tells.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from rope_prof.dashboard import DEFAULT_RUN, early, view
from rope_prof.errors import RopeProfError
from rope_prof.io.run.folder import shipped_runs
from rope_prof.opened.run import open_run
from rope_prof.opened.walls import wall_verdicts
from rope_prof.views.words.losses import chain_keys


def main(run: Path, *, nice: int = 0) -> None:
    """Keep the figures of the first page's captures and its wall times against the chain's, then those of the rest.

    `nice`: by how much the process stands back for the rest, which nobody waits for.
    """
    with suppress(RopeProfError):
        opened = open_run(run)
        if opened.run.keys:
            case = view.default_case(opened.run)
            opened.rows_of_case(case)
            for key in chain_keys(opened.run, case):
                wall_verdicts(opened.folder, opened.folder, (key.path, key.mode, key.l2))
            if hasattr(os, "nice"):
                os.nice(nice)
            _ = opened.rows


if __name__ == "__main__":
    main(next(map(Path, sys.argv[1:] or early.words()), shipped_runs() / DEFAULT_RUN), nice=10)
