"""Nsight Compute's raw page as it comes from ncu 2025.3 on an H200, cut to a few columns."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rope_prof.errors import TraceError, UnavailableError
from rope_prof.io.trace import ncu
from rope_prof.io.trace.ncu import METRICS, from_csv, read_ncu

RANGES = '"thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"'
KEY = "fused.eager.cold.28b-tp1-n973-bf16-image.r0"
STALL = "smsp__average_warps_issue_stalled_long_scoreboard_per_issue_active.ratio"
TABLE = f"""==PROF== Connected to process 916
"ID","Host Name",{RANGES},"Kernel Name","Block Size","Grid Size","dram__bytes_read.sum",\
"gpu__time_duration.sum","launch__registers_per_thread","{STALL}","lts__t_bytes.sum"
"","","","","","","byte","ns","register/thread","inst","Kbyte"
"26","127.0.0.1","916  ""rope_prof:{KEY}#0:Int64:0:RGB:0xff:REGISTERED:{KEY}#0"" ","_mrope_kernel","(32, 1, 1)",\
"(1948, 1, 1)","6,063,104","5,568","64","8.86","n/a"
"27","127.0.0.1","","other","(1, 1, 1)","(2, 1, 1)","1","2","3","","19.856"
"""


def test_the_raw_page() -> None:
    ours, other = from_csv(TABLE, "rope_prof")
    assert (ours.key, ours.name, ours.grid, ours.block) == (KEY, "_mrope_kernel", "1948x1x1", "32x1x1")
    assert (ours.dram_read_bytes, ours.duration_ns, ours.registers) == (6063104.0, 5568.0, 64)
    assert ours.stalls == {"long_scoreboard": 8.86}
    assert ours.l2_bytes is None and ours.occupancy_percent is None, "what is not there is None"
    assert (other.key, other.stalls, other.l2_bytes) == (None, None, 19856.0)


def test_ranges_of_another_domain_are_not_ours() -> None:
    ours, _ = from_csv(TABLE.replace('""rope_prof:', '""elsewhere:'), "rope_prof")
    assert ours.key is None


def test_no_table() -> None:
    with pytest.raises(TraceError, match=r"ncu printed no table .*'nothing'.*expected one headed 'ID'"):
        list(from_csv("nothing", "rope_prof"))


def test_a_cut_table_and_a_cell_that_is_no_finite_number() -> None:
    with pytest.raises(TraceError, match="no units"):
        list(from_csv('"ID","Process ID"', "rope_prof"))
    text = '"ID","Kernel Name","launch__registers_per_thread"\n"","",""\n"0","k","nan"\n"1","k","inf"\n'
    assert [one.registers for one in from_csv(text, "rope_prof")] == [None, None]


def test_neither_module_nor_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ncu, "report_module", lambda _: None)
    with pytest.raises(UnavailableError, match="neither the module ncu_report nor ncu is here; pip install ncu-report"):
        read_ncu(tmp_path / "x.ncu-rep", None, domain="rope_prof")


def test_the_tool_itself_where_the_module_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ncu, "report_module", lambda _: None)
    (tmp_path / "table.csv").write_text(TABLE)
    program = tmp_path / "ncu"
    program.write_text(f'#!/bin/sh\n[ "$2" = bad ] && echo "it is broken" && exit 3\ncat {tmp_path}/table.csv\n')
    program.chmod(0o755)
    assert len(read_ncu(Path("x.ncu-rep"), program, domain="rope_prof")) == 2
    with pytest.raises(TraceError, match="'ncu --import' of 'bad' failed with exit code 3: it is broken"):
        read_ncu(Path("bad"), program, domain="rope_prof")


def action(values: dict[str, float], ranges: tuple[str, ...]) -> SimpleNamespace:
    """An action of `ncu_report` as far as it is used."""
    domain = SimpleNamespace(name=lambda: "rope_prof", push_pop_ranges=lambda: ranges)
    state = SimpleNamespace(domains=lambda: (0,), domain_by_id=lambda _: domain)
    return SimpleNamespace(
        name=lambda: "_mrope_kernel",
        metric_names=lambda: tuple(values),
        metric_by_name=lambda name: SimpleNamespace(as_double=lambda: values[name]),
        nvtx_state=lambda: state,
    )


def test_by_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {METRICS["l2_bytes"]: 7.0, METRICS["registers"]: 64.0, STALL: 8.86}
    values |= {f"launch__grid_dim_{axis}": size for axis, size in zip("xyz", (5.0, 1.0, 1.0), strict=True)}
    inner = SimpleNamespace(num_actions=lambda: 1, action_by_idx=lambda _: action(values, ("outer", f"{KEY}#3")))
    report = SimpleNamespace(num_ranges=lambda: 1, range_by_idx=lambda _: inner)
    monkeypatch.setitem(sys.modules, "ncu_report", SimpleNamespace(load_report=lambda _: report))
    (found,) = read_ncu(Path("x.ncu-rep"), None, domain="rope_prof")
    assert (found.key, found.grid, found.l2_bytes, found.registers) == (KEY, "5x1x1", 7.0, 64)
    assert found.stalls == {"long_scoreboard": 8.86} and found.dram_read_bytes is None and found.block is None


def test_a_report_that_the_module_cannot_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise RuntimeError("newer version")

    monkeypatch.setitem(sys.modules, "ncu_report", SimpleNamespace(load_report=fail))
    with pytest.raises(TraceError, match=r"cannot read 'x.ncu-rep': newer version; record it again"):
        read_ncu(Path("x.ncu-rep"), None, domain="rope_prof")
