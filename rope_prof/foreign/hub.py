"""A kernel of Hugging Face's `kernels` hub from its folder on disk: the build that fits this torch, as a module.

The layout is that of kernel-builder: `build/<variant>/__init__.py`, or `build/<variant>/<name>/__init__.py` of older
ones; or the Python sources in `torch-ext/<name>`. Which variant fits, and which of several goes first, is the rule of
the library `kernels` (`variants.py`). A folder of its cache (`kernels--ORG--NAME`) is one too. Nothing is downloaded;
the code of a folder that was named runs here.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rope_prof.errors import UsageError
from rope_prof.foreign.source import module_of

#: `torch29-cxx11-cu128-x86_64-linux`, `torch210-cpu-aarch64-darwin`, `torch-stable-abi29-cu128-x86_64-linux`,
#: `tvm-ffi01-cu128-x86_64-linux`; and builds without a compiled part: `torch-cuda`, `torch-universal`.
_VARIANT = re.compile(
    r"(?:(?P<kind>torch|torch-stable-abi|tvm-ffi)(?P<version>\d\d+)(?:-(?P<abi>cxx11|cxx98))?"
    r"-(?P<backend>[a-z]+)(?P<release>\d*)-(?P<cpu>\w+)-(?P<system>\w+)|torch-(?P<any>[a-z]+))"
)
_KINDS = ("torch-stable-abi", "torch", "tvm-ffi")
_Version = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildTarget:
    """What a build must fit. `backend`: its name in a variant, and alone (`cu`, `cuda`). `tvm_ffi`: None without it."""

    torch: _Version
    cxx11: bool | None
    backend: tuple[str, str]
    release: _Version
    cpu: str
    system: str
    tvm_ffi: _Version | None = None

    @property
    def words(self) -> str:
        """`torch213-cxx11-cu130-x86_64-linux`: the build made for this very machine."""
        abi = "" if self.cxx11 is None else f"-cxx{'11' if self.cxx11 else '98'}"
        release = "".join(map(str, self.release))
        return f"torch{self.torch[0]}{self.torch[1]}{abi}-{self.backend[0]}{release}-{self.cpu}-{self.system}"


def kernel(folder: Path) -> ModuleType:
    """The module of the kernel in `folder`: a repository of the hub, its `build`, or one variant of it.

    Errors: UsageError that names the builds that are there and those that would fit.
    """
    if not folder.is_dir():
        raise UsageError(f"no kernel folder {str(folder)!r}; fetch it first, nothing is downloaded")
    folder = _snapshot(folder)
    found = _package(folder)
    if found is None:
        builds = folder if folder.name == "build" else folder / "build"
        there = sorted(each.name for each in builds.iterdir() if each.is_dir()) if builds.is_dir() else []
        machine = this_machine()
        found = next((made for name in fitting(there, machine) if (made := _package(builds / name)) is not None), None)
        if found is None and not builds.is_dir():
            found = _package(folder / "torch-ext")
        if found is None:
            raise UsageError(
                f"kernel {folder.name!r} has no build for this machine; expected {machine.words}, an older "
                f"{machine.backend[0]} of it, torch-{machine.backend[1]} or torch-universal; it has "
                f"{', '.join(there) or 'no folder build'}"
            )
    return module_of(found, f"kernel {folder.name!r}", package=True)


def _snapshot(folder: Path) -> Path:
    """The revision of a folder of the hub's cache: the only one, or that of the branch main."""
    kept = sorted(folder.glob("snapshots/*"))
    main = folder / "refs/main"
    if len(kept) > 1 and main.is_file():
        kept = [each for each in kept if each.name == main.read_text("utf-8").strip()]
    if len(kept) > 1:
        raise UsageError(f"{folder.name!r} holds {len(kept)} revisions; name one: {', '.join(map(str, kept))}")
    return kept[0] if kept else folder


def _package(folder: Path) -> Path | None:
    """The `__init__.py` of `folder`, or of the only package in it."""
    if (folder / "__init__.py").is_file():
        return folder / "__init__.py"
    inner = sorted(folder.glob("*/__init__.py")) if folder.name != "build" else []
    return inner[0] if len(inner) == 1 and folder.is_dir() and not (folder / "build").is_dir() else None


def fitting(names: Iterable[str], machine: BuildTarget) -> list[str]:
    """Those of the builds that fit `machine`, the preferred one first: torch's stable ABI, the newest of it; this very
    torch, without an ABI's tag before with one; tvm-ffi; each with the newest CUDA that is no newer than the machine's;
    then what has no compiled part.
    """
    ranked = [(rank, name) for name in names if (rank := _rank(name, machine)) is not None]
    return [name for _, name in sorted(ranked)]


def _rank(name: str, machine: BuildTarget) -> tuple[int, ...] | None:
    found = _VARIANT.fullmatch(name)
    if found is None:
        return None
    if found["any"]:
        return (3, int(found["any"] == "universal")) if found["any"] in (machine.backend[1], "universal") else None
    kind, version = found["kind"], _parts(found["version"], first=1)
    release = _parts(found["release"], first=-1)
    if (found["backend"], found["cpu"], found["system"]) != (machine.backend[0], machine.cpu, machine.system):
        return None
    same = release[:1] == machine.release[:1] and release <= machine.release
    if not same if machine.backend[0] == "cu" else release != machine.release:
        return None
    if kind == "torch-stable-abi":
        fits = version <= machine.torch
    elif kind == "tvm-ffi":
        fits = version == machine.tvm_ffi
    else:
        fits = version == machine.torch and found["abi"] in (None, f"cxx{'11' if machine.cxx11 else '98'}")
    newest = [-number for number in version] if kind == "torch-stable-abi" else [0, 0]
    minor = -release[-1] if release else 0
    return (_KINDS.index(kind), *newest, int(found["abi"] is not None), minor) if fits else None


def _parts(digits: str, *, first: int) -> _Version:
    """`29` -> (2, 9), `210` -> (2, 10); with `first` -1 `128` -> (12, 8)."""
    return (int(digits[:first]), int(digits[first:])) if len(digits) > 1 else ()


def this_machine() -> BuildTarget:
    """As the library says it; a torch with CUDA that sees no GPU computes on the CPU."""
    import torch

    names = {"x86_64": "x86_64", "AMD64": "x86_64", "arm64": "aarch64"}
    backend, release = ("cpu", "cpu"), ""
    if torch.cuda.is_available():
        backend, release = (("rocm", "rocm"), torch.version.hip) if torch.version.hip else (("cu", "cuda"), "")
        release = release or torch.version.cuda or ""
    try:
        ffi = _numbers(importlib.metadata.version("apache-tvm-ffi"))
    except importlib.metadata.PackageNotFoundError:
        ffi = None
    return BuildTarget(
        torch=_numbers(torch.__version__),
        cxx11=torch.compiled_with_cxx11_abi() if platform.system() == "Linux" else None,
        backend=backend,
        release=_numbers(release) if release else (),
        cpu=names.get(platform.machine(), platform.machine()),
        system=platform.system().lower(),
        tvm_ffi=ffi,
    )


def _numbers(version: str) -> _Version:
    """The first two numbers of a version."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
