"""Python of others as functions: from text, from a file, from the packages of a hub kernel. Running it is the asking.

Text goes to a folder of its own first, since Triton and torch.compile read the source of what they compile; the folder
goes with the process. What fails names the file and its error in one sentence.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from rope_prof.errors import UsageError


def module_of(path: Path, what: str, *, package: bool = False) -> ModuleType:
    """The module in the file `path`, under a name of its own: two files of one name do not meet.

    `package`: its folder is a package, whose parts it may import. Errors: UsageError where it fails to import.
    """
    whole = path.absolute()  # not resolved: a file of the hub's cache is a link to a blob without its name
    name = f"rope_prof_foreign_{hashlib.sha256(str(whole).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        name, whole, submodule_search_locations=[str(whole.parent)] if package else None
    )
    if spec is None or spec.loader is None:
        raise UsageError(f"{what}: {path.name!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if not package:
        sys.path.insert(0, str(whole.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{what}: {path.name!r} fails to import ({type(error).__name__}: {_first(error)})") from error
    finally:
        if not package:
            sys.path.remove(str(whole.parent))
    return module


def function_of(module: ModuleType, name: str, what: str) -> Callable[..., Any]:
    """The callable `name` of `module`. Errors: UsageError that names what it has instead."""
    found = getattr(module, name, None)
    if not callable(found):
        has = ", ".join(sorted(each for each, value in vars(module).items() if callable(value) and each[0] != "_")[:8])
        raise UsageError(f"{what} has no function {name!r}; it has {has or 'none'}")
    return found  # type: ignore[no-any-return]


def written(files: Mapping[str, str]) -> Path:
    """A folder with `files` (name -> text), gone with the process. Errors: UsageError for a name that leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="rope_prof-foreign-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, text in files.items():
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise UsageError(f"sources: path {name!r} leaves the folder of the sources; expected a relative path")
        target = folder / parts
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def _first(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:160]
