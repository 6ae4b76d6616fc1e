"""What a check on new inputs is held against: the limit of those very inputs, not of the ones before."""

from __future__ import annotations

from rope_prof.record.bench.bench import TorchBench
from rope_prof.record.device.devices import CpuDevice
from rope_prof.record.loop.plan import Options, parse_values, plan


def test_an_honest_baseline_is_right_on_every_input() -> None:
    """Four rows differ from draw to draw by so much that the largest error of one is over the limit of another."""
    asked = Options(operation="silu-mul", values=parse_values(["tokens=4"]), paths=("unfused",), modes=("eager",))
    key = plan(asked, "cpu")[0].key
    bench = TorchBench(CpuDevice(), seed=0, calls=2)
    bench.open_case(key.case)
    found = []
    for number in range(60):
        bench.refill(number)
        found.append(bench.check(key)[0])
    assert max(one.max_error for one in found) > min(one.limit for one in found)
    assert not any(one.wrong for one in found)
