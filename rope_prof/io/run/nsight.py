"""`nsight.json` of a run folder: what NVIDIA's own tools said of the run. Files <-> model, nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec

from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.damaged import DAMAGED
from rope_prof.io.layout import NSIGHT_FILE
from rope_prof.model.frozen import decodable
from rope_prof.model.nsight import NSIGHT_VERSION, KernelCounters, Nsight


def read_nsight(folder: Path) -> Nsight | None:
    """What the tools said of the run in `folder`; None where none was asked. Errors: RunError for a damaged file."""
    path = folder / NSIGHT_FILE
    if not path.is_file():
        return None
    try:
        data = path.read_bytes()
        version = msgspec.json.decode(data, type=dict[str, msgspec.Raw]).get("schema_version", b"0")
        if bytes(version) != str(NSIGHT_VERSION).encode():
            seen = bytes(version).decode(errors="replace")[:20]
            raise RunError(
                f"{str(path)!r} has schema version {seen}; this rope_prof reads {NSIGHT_VERSION}: "
                "install a newer rope_prof, or record again with --nsight"
            )
        return msgspec.json.decode(data, type=decodable(Nsight))
    except DAMAGED as error:
        raise RunError(
            f"{str(path)!r} is damaged ({error}); restore the file, or record again with --nsight"
        ) from error
    except OSError as error:
        raise RunError(f"cannot read {str(path)!r} ({error.strerror}); check its permissions") from error


def counters_beside(trace: Path) -> tuple[KernelCounters, ...]:
    """What Nsight Compute counted in the run folder that holds that trace; none of any other. Errors: RunError."""
    found = read_nsight(trace.parent)
    return () if found is None or found.compute is None else found.compute.kernels


def write_nsight(folder: Path, found: Nsight) -> None:
    """Write `nsight.json` atomically. Errors: RunError."""
    data = msgspec.json.format(msgspec.json.encode(found), indent=1)
    write_atomic(folder / NSIGHT_FILE, lambda part: part.write_bytes(data + b"\n"))
