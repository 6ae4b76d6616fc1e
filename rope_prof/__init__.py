"""rope_prof: does fusing these kernels help, by how much, and why.

Importing this package is cheap: neither torch nor polars is loaded before a command needs it.
"""

__version__ = "0.1.0"
