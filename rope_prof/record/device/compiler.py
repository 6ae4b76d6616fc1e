"""The C++ compiler of this machine, which mode compile needs on a CPU."""

from __future__ import annotations

import os
import shutil


def compiler() -> str | None:
    """The C++ compiler that torch.compile would use on a CPU: `CXX`, else g++, clang++ or c++ on PATH."""
    asked = os.environ.get("CXX")
    if asked:
        return shutil.which(asked.split()[0])
    return next((found for name in ("g++", "clang++", "c++") if (found := shutil.which(name))), None)
