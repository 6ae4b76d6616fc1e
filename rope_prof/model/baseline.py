"""A recording that is kept under a name, to be compared against: its figures, machine and code. No I/O."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import field

from rope_prof.model.frozen import Frozen
from rope_prof.model.history import KeptRun

#: What a word of a command line begins with that names a baseline, as `baseline:main`.
PREFIX = "baseline:"


class KeptFigure(Frozen):
    """Median ns a call over `n` rounds; `lo` and `hi` bound it with 95 %, None under six rounds."""

    median: float
    lo: float | None
    hi: float | None
    n: int


class BaselineKey(Frozen, kw_only=True):
    """One key: what it measured, and by each clock how long a call took."""

    case: str
    path: str
    mode: str
    l2: str
    rank: int
    figures_ns: Mapping[str, KeptFigure]

    @property
    def label(self) -> str:
        """`fused graph cold, h8192-n64-bf16`; the rank where it is not the first."""
        rank = f" rank {self.rank}" if self.rank else ""
        return f"{self.path} {self.mode} {self.l2}, {self.case}{rank}"


class NamedRun(Frozen, kw_only=True):
    """One recording under `name`; `machine` is its kind (`machine_kind`), `created` when it was recorded.

    `spread`: group (mode and L2 state) -> clock -> the factor that runs of the same code stayed within on such machines
    when it was kept (A/A). `kept` is what two of them tell of that, None where nobody knows the code. `files`: of the
    run folder, name -> SHA-256.
    """

    version: int
    id: str
    name: str
    created: str
    operation: str
    machine: str
    device: str
    commit: str | None
    dirty: bool | None
    keys: Mapping[str, BaselineKey]
    spread: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    kept: KeptRun | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def code(self) -> str:
        """`1a2b3c4`, `1a2b3c4 + changes`; `no commit` where it is not known."""
        if self.commit is None:
            return "no commit"
        return f"{self.commit[:7]} + changes" if self.dirty else self.commit[:7]
