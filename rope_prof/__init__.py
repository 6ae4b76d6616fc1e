"""rope_prof: does fusing these kernels help, by how much, and why.

Importing this package is cheap: neither torch nor polars is loaded before a command needs it.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`rope_prof.attach`, loaded when it is first asked for."""
    if name == "attach":
        return import_module("rope_prof.attach")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
