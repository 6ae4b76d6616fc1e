"""The dashboard's own code, which lies in the top-level folder `dashboard/` of the repository.

As with `rope_prof.kernels`, that folder has no `__init__.py`; here its files become `rope_prof.dashboard.*`, and
inside a wheel they lie in this very folder.
"""

import os
import sys
from pathlib import Path

#: The shipped run that opens where none is asked for.
DEFAULT_RUN = "h100-ernie28b"

_SOURCE = Path(__file__).resolve().parents[2] / "dashboard"
if (_SOURCE / "shell.py").is_file():
    __path__.append(str(_SOURCE))
    FOLDER = _SOURCE
else:
    FOLDER = Path(__file__).resolve().parent


def pages_last(folder: str) -> None:
    """Put the pages' folder last on the path, where no page hides a package (`perfetto`), and leave it there.

    Streamlit puts it first, and where it is missing it puts it there for each pass of a page and takes it away again.
    Another thread that looks for a module meanwhile finds the page, or misses an entry of the list that it walks along;
    so this is another list.
    """
    if sys.path[-1:] != [folder]:
        real = os.path.realpath(folder)
        sys.path = [*(one for one in sys.path if os.path.realpath(one) != real), folder]
