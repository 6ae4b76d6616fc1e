"""Files that are damaged where a disk or a copy damages them."""

from __future__ import annotations

from pathlib import Path


def break_off(path: Path, share: float) -> None:
    """Overwrite the page of rows that stands there among those of the table that was written last."""
    data, size = bytearray(path.read_bytes()), 4096
    leaves = [at for at in range(size, len(data), size) if data[at] == 0x0D]
    at = leaves[int(share * len(leaves))]
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
