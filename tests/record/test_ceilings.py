"""The ceilings of a CPU for real, and methods that fail."""

from __future__ import annotations

import pytest
import torch
from rope_prof.kernels.mrope.operation import MROPE

from rope_prof.model.run import CEILINGS, Ceiling
from rope_prof.record.bench import ceilings
from rope_prof.record.bench.ceilings import CeilingBench
from rope_prof.record.bench.subjects import Ring
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.timing import Subject
from tests.runs import CASE


@pytest.fixture
def made() -> CeilingBench:
    return CeilingBench(CpuDevice())


def of(found: CeilingBench, rank: int = 0) -> list[tuple[Ceiling, Subject | None]]:
    return list(found.of(CASE, Ring(MROPE, CASE, CpuDevice(), 0), rank))


def test_a_cpu_copies_and_passes_over_the_views(made: CeilingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ceilings.COPY_BYTES, "cpu", 1 << 12)
    found = of(made, rank=2)
    assert [(c.name, c.rank, c.reason) for c, _ in found] == [("copy", 2, None), ("in_place", 2, None)]
    assert {c.name for c, _ in found} <= set(CEILINGS)
    for ceiling, subject in found:
        assert subject is not None and subject.name == ceiling.key_name
        subject.work(2)()
    assert found[0][0].bytes_moved == 2 << 12


def test_the_pass_touches_q_and_k_and_nothing_else() -> None:
    ring = Ring(MROPE, CASE, CpuDevice(), 0)
    q, *_, shape = ring.calls[0].arguments
    packed = q._base[0]
    before = packed.clone()
    for ceiling, subject in CeilingBench(CpuDevice()).of(CASE, ring, 0, ("in_place",)):
        assert subject is not None, ceiling.reason
        subject.work(1)()
    width = shape.heads * shape.head_dim
    after = packed
    assert torch.equal(after[:, width:], before[:, width:])
    assert torch.equal(after[:, :width], before[:, :width].mul(0.9999))


def test_memory_that_runs_out_ends_one_ceiling_alone(made: CeilingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(self: CeilingBench) -> None:  # noqa: ARG001
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(CeilingBench, "copy_buffers", none_left)
    (copy, nothing), (in_place, subject) = of(made)
    assert (copy.status, nothing) == ("failed", None)
    assert copy.reason is not None and copy.reason.startswith("out of memory")
    assert (in_place.name, in_place.status) == ("in_place", "pending")
    assert subject is not None
