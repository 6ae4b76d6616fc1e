"""Recording under stand-ins of nsys and ncu: command lines, environment, agreement, every failure sentence."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rope_prof.errors import UsageError
from rope_prof.io.run.folder import read_run
from rope_prof.io.run.nsight import read_nsight
from rope_prof.io.trace.read import read_trace
from rope_prof.record.nsight import nsight
from rope_prof.record.nsight import tools as nsight_tools
from rope_prof.record.nsight.tools import NsightError, Tool, environment, find
from tests.record.nsight_fakes import called, fake, write_captured, write_export

NCU_VERSION = "NVIDIA (R) Nsight Compute Command Line Profiler\nVersion 2025.3.1.0 (build 36398880) (public-release)"


@dataclass
class Bench:
    """A captured run, a stand-in tool, and the folder in which the tool notes its calls."""

    run: Path
    tools: Path
    names: list[str]

    def tool(self, which: str = "systems", **behaviour: object) -> Tool:
        name = nsight_tools.PROGRAM[which]  # type: ignore[index]
        version = {} if which == "systems" else {"version": NCU_VERSION}
        path = fake(self.tools, name, names=self.names, **(version | behaviour))
        return find(which, path)  # type: ignore[arg-type]

    def record(self, which: str = "systems", **behaviour: object) -> object:
        return nsight.record_nsight(self.run, self.tool(which, **behaviour), "cuda:0")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    names = write_captured(tmp_path / "run", "unfused", "fused")
    found = Bench(tmp_path / "run", tmp_path / "tools", names)
    found.tools.mkdir()
    write_export(found.tools / "export.sqlite", *names)
    yield found


def test_two_tools_that_agree(bench: Bench) -> None:
    bench.record()
    found = read_run(bench.run).nsight
    assert found is not None and found.systems is not None and found.compute is None
    assert [(one.key, one.agrees, one.difference) for one in found.systems.keys] == [
        (n, True, 0.0) for n in bench.names
    ]
    assert {(one.kernels_per_call, one.kineto_kernels_per_call) for one in found.systems.keys} == {(2.0, 2.0)}
    assert found.systems.recording.reports == ("systems.nsys-rep",)
    assert (bench.run / "systems.nsys-rep").read_bytes() == b"REPORT"


@pytest.mark.parametrize(("kernel_ns", "agrees"), [(1029, True), (1031, False), (971, True), (969, False)])
def test_kernel_time_agrees_within_three_percent(bench: Bench, kernel_ns: int, agrees: bool) -> None:
    (bench.tools / "export.sqlite").unlink()
    write_export(bench.tools / "export.sqlite", *bench.names, kernel_ns=kernel_ns)
    bench.record()
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    for one in found.systems.keys:
        assert one.agrees is agrees
        assert one.difference == pytest.approx(kernel_ns / 1000 - 1)
        assert (one.kernel_ns, one.kineto_kernel_ns) == (2 * kernel_ns, 2000)


def test_another_count_of_kernels_never_agrees(bench: Bench) -> None:
    (bench.tools / "export.sqlite").unlink()
    write_export(bench.tools / "export.sqlite", *bench.names, kernels=1, kernel_ns=2000)
    bench.record()
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    assert [(one.difference, one.agrees) for one in found.systems.keys] == [(0.0, False)] * 2


def test_what_is_missing_is_no_agreement(bench: Bench) -> None:
    (bench.tools / "export.sqlite").unlink()
    write_export(bench.tools / "export.sqlite", bench.names[0], calls=1)
    bench.record()
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    first, second = found.systems.keys
    assert (first.agrees, first.reason) == (None, "nsys holds 1 of 2 calls")
    assert (second.agrees, second.reason) == (None, "nsys saw no kernel in its 2 ranges")


def test_the_command_line_and_what_it_can_see(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hush-hush-hush")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere/lib")
    bench.record()
    seen = called(bench.tools)
    assert seen["argv"][:8] == list(nsight.SYSTEMS_OPTIONS)
    assert "--sample=none" in seen["argv"] and "--cuda-graph-trace=node" in seen["argv"]
    assert not set(seen["environment"]) - {*nsight_tools.ALLOWED, *environment(bench.tools, {}), "LC_CTYPE"}
    assert seen["environment"]["LD_LIBRARY_PATH"] == "/somewhere/lib"
    assert "hush-hush-hush" not in str(seen)
    assert seen["environment"]["HOME"] == seen["cwd"] != str(Path.home())
    assert Path(seen["cwd"]).name.startswith("rope_prof-") and not Path(seen["cwd"]).exists()
    repository = str(Path(__file__).resolve().parents[2])
    words = [word for word in seen["argv"] if word != sys.executable]  # the environment may lie in the repository
    assert repository not in " ".join(words) and repository not in seen["workload"]


def test_the_tool_sees_neither_the_host_nor_other_processes(bench: Bench) -> None:
    bench.record()
    seen = called(bench.tools)
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    if "processes" in found.systems.recording.private:
        assert len(seen["processes"]) > 3
        pytest.skip("this user may not enter namespaces of its own (CAP_SYS_ADMIN)")
    assert seen["host"] == "localhost" != socket.gethostname()
    assert set(seen["processes"]) <= {"1", "2", "3"}


def test_a_tool_that_sees_all_processes_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsight, "HIDDEN_FILE", "never there")
    bench.record()
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    assert found.systems.recording.private == ("processes",)


def test_sources_go_by_a_link(bench: Bench) -> None:
    bench.record()
    path = called(bench.tools)["path"]
    repository = str(Path(__file__).resolve().parents[2])
    assert repository not in path
    assert all(part.startswith((*{sys.prefix, sys.base_prefix}, called(bench.tools)["cwd"])) for part in path)


def test_folders_of_the_user_go_by_a_neutral_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home/alice"
    (home / "bin").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    seen = environment(scratch, {"PATH": f"{home}/bin:/usr/bin:{home}/bin", "SECRET": "x"})
    first, second, third = seen["PATH"].split(os.pathsep)
    assert (second, first) == ("/usr/bin", third)
    assert "alice" not in str(seen) and Path(first).resolve() == home / "bin"


def test_the_export_is_kept_without_the_machine(bench: Bench) -> None:
    bench.record()
    data = (bench.run / "systems.sqlite").read_bytes()
    assert b"cudaLaunchKernel" in data and bench.names[0].encode() in data
    for word in (b"alice", b"hush"):
        assert word not in data


def test_private_words_in_a_report_are_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_TOKEN", "hush-hush-hush")
    bench.record(content="x hush-hush-hush y")
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    assert "environment" in found.systems.recording.private


def test_no_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nsight_tools, "find_tool", lambda _: None)
    with pytest.raises(
        NsightError, match=r"needs nsys, which is neither on PATH nor .* install Nsight Systems.*--nsys"
    ):
        find("systems")
    with pytest.raises(NsightError, match=r"needs ncu.* install Nsight Compute, or name the program by --ncu"):
        find("compute")


def test_a_tool_that_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "nsys").write_text("no program")
    with pytest.raises(UsageError, match=r"--nsys '.*nsys' is no program that can be run"):
        find("systems", tmp_path / "nsys")


def test_versions(tmp_path: Path) -> None:
    assert find("systems", fake(tmp_path, "nsys")).version == "2025.3.1.90"
    assert find("systems", fake(tmp_path, "nsys")).note is None
    newer = find("systems", fake(tmp_path, "nsys", version="NVIDIA Nsight Systems version 2031.1.1"))
    assert newer.note == "nsys 2031.1.1 was never tried with this program (2025.3 was)"
    with pytest.raises(NsightError, match=r"--version says 'a toaster'; expected a version such as 2025.3"):
        find("systems", fake(tmp_path, "nsys", version="a toaster"))


FAILURES = [
    ("compute", {"says": "==ERROR== ERR_NVGPUCTRPERM - no"}, r"ERR_NVGPUCTRPERM.*--cap-add SYS_ADMIN.*NVreg_"),
    (
        "compute",
        {"says": "==ERROR== Failed to initialize the profiler: LibraryNotLoaded", "code": 1},
        r"cannot reach the GPU's counters \(LibraryNotLoaded\)",
    ),
    ("compute", {"says": "==WARNING== No kernels were profiled.", "leaves": []}, r"saw no kernel: the workload failed"),
    ("compute", {"says": "bad flag --nvtx", "code": 9}, r"ncu 2025.3.1.0 ended with exit code 9: bad flag --nvtx"),
    ("systems", {"leaves": []}, r"nsys 2025.3.1.90 left no report: Generated"),
    (
        "systems",
        {"leaves": [".qdstrm"], "says": "QdstrmImporter: libdw.so.1: cannot open shared object file"},
        r"left a \.qdstrm and no report.*it lacks libdw\.so\.1: install it \(.*apt-get install libdw1\)",
    ),
    ("systems", {"leaves": [".qdstrm"]}, r"most often lacks libdw\.so\.1 or libelf\.so\.1"),
    ("systems", {"done": False, "says": "ImportError: no torch"}, r"workload failed under the tool: ImportError"),
    ("systems", {"ranged": {"reason": "RuntimeError: boom"}}, r"workload failed under the tool: RuntimeError: boom"),
    ("systems", {"export": False}, r"could not export its own report to SQLite \(exit code 1\): Exporting"),
]


@pytest.mark.parametrize(("which", "behaviour", "sentence"), FAILURES)
def test_failures_are_one_sentence_and_stay_in_the_run(
    bench: Bench, which: str, behaviour: dict[str, object], sentence: str
) -> None:
    with pytest.raises(NsightError, match=sentence) as raised:
        bench.record(which, **behaviour)
    assert "\n" not in str(raised.value)
    found = read_nsight(bench.run)
    assert found is not None
    part = found.systems if which == "systems" else found.compute
    assert part is not None and part.recording.reason == str(raised.value)
    assert re.search(sentence, part.recording.reason)


def test_a_failure_leaves_an_earlier_recording(bench: Bench) -> None:
    bench.record()
    with pytest.raises(NsightError):
        bench.record(leaves=[])
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    assert found.systems.recording.reason is None and len(found.systems.keys) == 2


def test_what_the_tool_may_see_is_not_private(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_DRIVER_CAPABILITIES", "compute,graphics,utility")
    bench.record(content="compute,graphics,utility")
    found = read_nsight(bench.run)
    assert found is not None and found.systems is not None
    assert "environment" not in found.systems.recording.private


def test_the_importers_own_libraries_are_looked_at(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    importer = bench.tools.parent / "host-linux-x64/QdstrmImporter"
    importer.parent.mkdir()
    importer.write_text("")
    ldd = bench.tools / "ldd"
    ldd.write_text("#!/bin/sh\necho '\tlibelf.so.1 => not found'\necho '\tlibc.so.6 => /lib/libc.so.6 (0x0)'\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bench.tools}:{os.environ['PATH']}")
    with pytest.raises(NsightError, match=r"it lacks libelf\.so\.1: install it .*apt-get install libelf1"):
        bench.record(leaves=[".qdstrm"])


def test_a_range_of_many_calls_is_cut_by_the_order_of_its_kernels(tmp_path: Path) -> None:
    trace = read_trace(write_export(tmp_path / "t.sqlite", "graph", kernels=4, calls=3))
    assert nsight.seen_calls(trace, "graph", "nvtx", 2) == nsight.Calls(calls=6, kernels=2.0, kernel_ns=2000)
    uneven = nsight.seen_calls(trace, "graph", "nvtx", 3)
    assert (uneven.calls, uneven.kernels, uneven.kernel_ns) == (9, pytest.approx(4 / 3), None)
    assert nsight.seen_calls(trace, "absent", "nvtx", 1) == nsight.Calls(calls=0, kernels=None, kernel_ns=None)
