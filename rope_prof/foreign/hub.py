"""A kernel of Hugging Face's `kernels` hub from its folder on disk: the build that fits this torch, as a module.

The layout is that of kernel-builder: `build/<variant>/<name>/__init__.py` or `build/<variant>/__init__.py`, where the
variant names torch, its ABI and its backend (`torch29-cxx11-cu128-x86_64-linux`, `torch-cpu`, `torch-universal`); or
the Python sources in `torch-ext/<name>`. Nothing is downloaded; the code of a folder that was named runs here.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from rope_prof.errors import UsageError
from rope_prof.foreign.source import module_of


def kernel(folder: Path) -> ModuleType:
    """The module of the kernel in `folder`: a repository of the hub, its `build`, or one variant of it.

    Errors: UsageError that names the builds that are there and those that would fit.
    """
    if not folder.is_dir():
        raise UsageError(f"no kernel folder {str(folder)!r}; fetch it first, nothing is downloaded")
    found = _package(folder)
    if found is None:
        builds = folder if folder.name == "build" else folder / "build"
        wanted = tuple(variants())
        found = next((made for name in wanted if (made := _package(builds / name)) is not None), None)
        if found is None and not builds.is_dir():
            found = _package(folder / "torch-ext")
        if found is None:
            there = (
                ", ".join(sorted(each.name for each in builds.iterdir() if each.is_dir())) if builds.is_dir() else ""
            )
            raise UsageError(
                f"kernel {folder.name!r} has no build for this machine; expected {', '.join(wanted)}; it has "
                f"{there or 'no folder build'}"
            )
    return module_of(found, f"kernel {folder.name!r}", package=True)


def _package(folder: Path) -> Path | None:
    """The `__init__.py` of `folder`, or of the only package in it."""
    if (folder / "__init__.py").is_file():
        return folder / "__init__.py"
    inner = sorted(folder.glob("*/__init__.py")) if folder.name != "build" else []
    return inner[0] if len(inner) == 1 and folder.is_dir() and not (folder / "build").is_dir() else None


def variants() -> Iterator[str]:
    """The names of the builds that fit this machine, the closest first."""
    import torch

    version = "".join(torch.__version__.partition("+")[0].split(".")[:2])
    abi = "cxx11" if torch.compiled_with_cxx11_abi() else "cxx98"
    cuda = torch.version.cuda
    backends = ([f"cu{cuda.replace('.', '')}"] if cuda else []) + ["cpu"]
    system = f"{platform.machine()}-{platform.system().lower()}"
    for backend in backends:
        yield f"torch{version}-{abi}-{backend}-{system}"
    for backend in ("cuda", "cpu") if cuda else ("cpu",):
        yield f"torch-{backend}"
    yield "torch-universal"
