"""The operation's own code, which lies in the top-level folder `kernels/` of the repository.

That folder has no `__init__.py`: a regular package named `kernels` would shadow Hugging Face's package of
that name for every program started from the repository. Here its files become `rope_prof.kernels.*`;
inside a wheel they lie in this very folder.
"""

from pathlib import Path

_SOURCE = Path(__file__).absolute().parents[2] / "kernels"
if (_SOURCE / "paths.py").is_file():
    __path__.append(str(_SOURCE))
