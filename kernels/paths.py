"""A user's own path by name, `package.module:function`: it joins the paths of whatever operation is measured."""

from __future__ import annotations

from collections.abc import Sequence

from rope_prof.kernels.imported import imported
from rope_prof.kernels.operation import Operation, Path


def path_of(operation: Operation, name: str) -> Path:
    """The path called `name` of `operation`, or a user's own. Errors: LookupError in one sentence for
    a name that is none; TypeError for what is no path; whatever the operation's own code raises.
    """
    if name not in operation.paths:
        return users_path(name, operation.paths)
    found = operation.path(name)
    if not isinstance(found, Path) or not callable(found.call):
        said = "a Path whose call cannot be called" if isinstance(found, Path) else type(found).__name__
        raise TypeError(f"{said} came; expected kernels.operation.Path")
    return found


def users_path(name: str, known: Sequence[str]) -> Path:
    """The function called `name` as a path; a true attribute `in_place` says that it works in place,
    `triton` that it needs Triton.

    Errors: LookupError with one sentence for a name that is neither of `known` nor of that form, a module that
    cannot be imported, or a function that it lacks.
    """
    module_name, _, attribute = name.partition(":")
    if not attribute or not module_name:
        raise LookupError(f"unknown path {name!r}; expected {', '.join(map(repr, known))} or 'module:function'")
    module = imported(module_name, f"path {name!r}")
    function = getattr(module, attribute, None)
    if not callable(function):
        raise LookupError(f"path {name!r}: {module_name!r} has no function {attribute!r}")
    marks = {mark: bool(getattr(function, mark, False)) for mark in ("in_place", "triton")}
    return Path(name, function, **marks)
