"""The operation of a case: looked up once by the word that the run records, or one that was made in this process."""

from __future__ import annotations

from rope_prof.errors import UsageError
from rope_prof.kernels.lookup import operation
from rope_prof.kernels.operation import Operation
from rope_prof.model.run import OperationFacts


class Operations:
    """Word -> operation. `made`: one of a script, which no word finds."""

    def __init__(self, made: Operation | None = None) -> None:
        self._made = made
        self._found: dict[str, Operation] = {}

    def of(self, facts: OperationFacts) -> Operation:
        """The operation of `facts`. Errors: UsageError where it is not to be found, or is another one by now."""
        if self._made is not None:
            return self._made
        if facts.source is None:
            raise UsageError(
                f"operation {facts.name!r} was made in a script and cannot be found again; go on with its run there"
            )
        if facts.source not in self._found:
            try:
                found = operation(facts.source)
            except LookupError as error:
                raise UsageError(str(error)) from error
            axes = [axis.name for axis in found.axes]
            if (found.name, axes) != (facts.name, [axis.name for axis in facts.axes]):
                raise UsageError(
                    f"operation {facts.source!r} is {found.name!r} with the axes {', '.join(axes)} now, and was "
                    f"{facts.name!r} with {', '.join(axis.name for axis in facts.axes)} in this run: record anew"
                )
            self._found[facts.source] = found
        return self._found[facts.source]
