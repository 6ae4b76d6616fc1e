"""`rope_prof.toml`: which operations, cases and bounds a gate judges. Sensible where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from rope_prof.analysis.comparison.gates import gate
from rope_prof.errors import UsageError
from rope_prof.io.damaged import DAMAGED
from rope_prof.model.frozen import decodable

FILE = "rope_prof.toml"
#: What is bounded where nobody says: time on both clocks, and kernels, whose count has no spread.
BOUNDS = ("wall>5%", "device>3%", "kernels>0%")
#: Fresh processes a side: an interval over so few is wide, and honest (docs/processes.md).
REPEATS = 5
_Count = Annotated[int, msgspec.Meta(ge=1)]
_Axis = str | int | list[str | int]


class GatedOperation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"values": "set"}):
    """One operation of the matrix. `paths`: those that are judged, each against itself at the base; empty: all."""

    operation: str = "mrope"
    paths: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    values: dict[str, _Axis] = {}
    bounds: tuple[str, ...] | None = None
    repeats: _Count | None = None
    rounds: _Count | None = None
    name: str | None = None

    @property
    def title(self) -> str:
        """What it is called in the answer: its name, else the operation's word without a folder."""
        return self.name or self.operation.rsplit("/", 1)[-1]


class Matrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. What an operation does not say itself is said here for all."""

    bounds: tuple[str, ...] = BOUNDS
    repeats: _Count = REPEATS
    rounds: _Count | None = None
    operation: tuple[GatedOperation, ...] = (GatedOperation(),)


def read_matrix(path: Path | None) -> Matrix:
    """The matrix in `path`; without one that of `rope_prof.toml` here, without that the usual one.

    Errors: UsageError for a file that cannot be read, an unknown or ill-typed field, a bound that is none.
    """
    file = path if path is not None else Path(FILE)
    if path is None and not file.is_file():
        return Matrix()
    try:
        found = msgspec.toml.decode(file.read_bytes(), type=decodable(Matrix))
    except OSError as error:
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}") from error
    except DAMAGED as error:
        raise UsageError(f"{str(file)!r}: {error}; see docs/gate.md for its fields") from error
    if not found.operation:
        raise UsageError(f"{str(file)!r} names no [[operation]]; leave the list out to gate the one that ships")
    for text in (*found.bounds, *(bound for one in found.operation for bound in one.bounds or ())):
        gate(text)
    return found


def record_words(one: GatedOperation, matrix: Matrix, base: str | None, folder: Path, device: str) -> list[str]:
    """The words of `record` that measure that operation at `base` (None: nowhere else) and here, into `folder`."""
    repeats, rounds = one.repeats or matrix.repeats, one.rounds or matrix.rounds
    words = ["record", "--operation", one.operation, "--repeats", str(repeats)]
    words += [] if base is None else ["--against", base]
    words += ["--device", device, "--quick", "-o", str(folder)]
    words += [] if rounds is None else ["--rounds", str(rounds)]
    for option, given in (("--path", one.paths), ("--mode", one.modes)):
        words += [word for text in given for word in (option, text)]
    for axis, value in one.values.items():
        values = value if isinstance(value, list) else [value]
        words += ["--set", f"{axis}={','.join(map(str, values))}"]
    return words
