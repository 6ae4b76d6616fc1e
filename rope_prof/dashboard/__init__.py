"""The dashboard's own code, which lies in the top-level folder `dashboard/` of the repository.

As with `rope_prof.kernels`, that folder has no `__init__.py`; here its files become `rope_prof.dashboard.*`, and
inside a wheel they lie in this very folder.
"""

from pathlib import Path

#: The shipped run that opens where none is asked for.
DEFAULT_RUN = "h100-ernie28b"

_SOURCE = Path(__file__).resolve().parents[2] / "dashboard"
if (_SOURCE / "shell.py").is_file():
    __path__.append(str(_SOURCE))
    FOLDER = _SOURCE
else:
    FOLDER = Path(__file__).resolve().parent
