"""rope_prof: does fusing these kernels help, by how much, and why.

Importing this package is cheap: neither torch nor polars is loaded before a command or a name below needs it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

#: What is loaded when it is first asked for: name -> (module, attribute; None for the module itself).
_LAZY = {
    "attach": ("rope_prof.attach", None),
    "measure": ("rope_prof.fusion.measure", "measure"),
    "path": ("rope_prof.fusion.paths", "path"),
    "testing": ("rope_prof.testing", None),
}


def __getattr__(name: str) -> Any:
    """`rope_prof.attach`, `rope_prof.measure`, ..., loaded when they are first asked for."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)
