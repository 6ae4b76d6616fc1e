"""Facts of this machine, and what it can do: the checks of `doctor`, each with what to do about it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch._C._autograd import DeviceType

from rope_prof.model.run import Machine
from rope_prof.record.device.compiler import compiler
from rope_prof.record.device.devices import AnyDevice
from rope_prof.record.device.provenance import commit_of, host_id, host_load, measured_code
from rope_prof.record.device.quiet import quiet_profiler

State = Literal["ok", "warn", "missing"]
Bounds = tuple[tuple[int, int], tuple[int, int]]
#: Versions that this program was tried with: at least, and below.
TORCH_RANGE = ((2, 9), (2, 16))
TRITON_RANGE = ((3, 5), (3, 10))


@dataclass(frozen=True, slots=True)
class Check:
    """One line of doctor: `ok`, `warn` (works with a limit) or `missing`; `advice` says what to do about it."""

    name: str
    state: State
    seen: str
    advice: str = ""


def version_of(package: str) -> str | None:
    """The installed version of `package`; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def triton_version() -> str | None:
    """The version of the installed package `triton`, whatever its distribution is called; None without one."""
    if find_spec("triton") is None:
        return None
    return version("triton") or version(packages_distributions()["triton"][0])  # the second reads every file's name


def cpu_name() -> str:
    """The CPU's model name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE)
        if found:
            return found.group(1).strip()
    return platform.processor() or platform.machine()


def driver_version() -> str | None:
    """The NVIDIA driver's version; None without a driver."""
    path = Path("/proc/driver/nvidia/version")
    if path.is_file():
        found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", path.read_text())
        if found:
            return found.group(1)
    return _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])


def machine(device: AnyDevice) -> Machine:
    """Facts of this machine as `device` sees it; nothing that names its owner."""
    gpu = torch.cuda.get_device_properties(device.torch_device) if device.kind == "cuda" else None
    code = commit_of(measured_code())
    return Machine(
        device=device.kind,
        device_name=gpu.name if gpu else cpu_name(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        cpu_name=cpu_name(),
        cpu_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        torch=str(torch.__version__),
        triton=triton_version(),
        cuda=torch.version.cuda,
        driver=driver_version() if gpu else None,
        capability=f"{gpu.major}.{gpu.minor}" if gpu else None,
        multiprocessors=gpu.multi_processor_count if gpu else None,
        l2_bytes=gpu.L2_cache_size if gpu else None,
        memory_bytes=gpu.total_memory if gpu else None,
        commit=code.name if code else None,
        dirty=code.dirty if code else None,
        load=host_load(),
        host=host_id(),
        untested=tuple(_untested()),
    )


def _untested() -> Iterator[str]:
    """Versions here that this program was not tried with, in words."""
    here = (("torch", str(torch.__version__), TORCH_RANGE), ("Triton", triton_version(), TRITON_RANGE))
    for name, found, bounds in here:
        if found is not None and not bounds[0] <= parsed(found) < bounds[1]:
            yield f"{name} {found}, tried with {_span(bounds)}"


def _span(bounds: Bounds) -> str:
    least, below = bounds
    return f"{least[0]}.{least[1]} to {below[0]}.{below[1] - 1}"


def checks() -> tuple[Check, ...]:
    """What this machine can do, most important first."""
    return (
        _python(),
        versioned("torch", str(torch.__version__), TORCH_RANGE, "pip install -c constraints.txt torch"),
        _gpu(),
        _triton(),
        _profiler(),
        _counters(),
        _compiler(),
        _nvtx(),
        _tool("nsys", "Nsight Systems", "record --nsight systems"),
        _tool("ncu", "Nsight Compute", "record --nsight compute"),
    )


def parsed(version: str) -> tuple[int, int]:
    """(major, minor) of a version string."""
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _python() -> Check:
    seen = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036
        return Check("Python", "warn", seen, "use Python 3.11 to 3.13")
    return Check("Python", "ok", seen)


def versioned(name: str, version: str, bounds: Bounds, cure: str) -> Check:
    (least, below), words = bounds, _span(bounds)
    if parsed(version) < least:
        return Check(name, "warn", version, f"tried with {words} only; {cure}")
    if parsed(version) >= below:
        return Check(name, "warn", version, f"tried with {words}; a newer one may work")
    return Check(name, "ok", version)


def _gpu() -> Check:
    if torch.cuda.is_available() and torch.version.hip is None:
        gpu = torch.cuda.get_device_properties(0)
        count = torch.cuda.device_count()
        seen = f"{count} x {gpu.name}, driver {driver_version() or 'unknown'}, CUDA {torch.version.cuda}"
        if (gpu.major, gpu.minor) < (8, 0):
            return Check("NVIDIA GPU", "warn", seen, "below sm_80 there is no bf16 in hardware: --dtype fp16")
        return Check("NVIDIA GPU", "ok", seen)
    if torch.version.cuda is None:
        cure = "this torch is built without CUDA; with a GPU install torch from the CUDA index"
    elif driver_version() is None:
        cure = "no NVIDIA driver answers; install it, or start the container with --gpus all"
    else:
        cure = f"driver {driver_version()} is there but torch (CUDA {torch.version.cuda}) sees no GPU; update it"
    return Check("NVIDIA GPU", "missing", "none: record runs on the CPU", cure)


def _triton() -> Check:
    version = triton_version()
    if version is None:
        cure = "pip install triton (Linux only); without it the Triton paths are unavailable"
        return Check("Triton", "missing", "cannot be imported", cure)
    return versioned("Triton", version, TRITON_RANGE, "pip install -c constraints.txt triton")


def _profiler() -> Check:
    """Whether the profiler sees what runs: a kernel on a GPU, an operator on a CPU. Starts it, so it comes last.

    It is the one inside `torch.profiler.profile`, which loads the compiler: half of `doctor`.
    """
    cuda = torch.cuda.is_available()
    kineto = torch.autograd.profiler.profile(use_kineto=True, use_device="cuda" if cuda else None)
    with quiet_profiler(), kineto as profiler:
        torch.ones(8, device="cuda" if cuda else "cpu").mul_(2)
        if cuda:
            torch.cuda.synchronize()
    events = profiler.function_events or []
    wanted = DeviceType.CUDA if cuda else DeviceType.CPU
    seen = sum(event.device_type == wanted for event in events)
    if seen:
        return Check("torch.profiler", "ok", "sees kernels (CUPTI)" if cuda else "sees operators")
    cure = "another profiler may hold CUPTI (nsys, ncu, DCGM: dcgmi profile --pause); stop it"
    return Check("torch.profiler", "missing", "records nothing", cure)


def _counters() -> Check:
    """Whether this user may read GPU counters: root, or the driver's restriction lifted."""
    path = Path("/proc/driver/nvidia/params")
    if not path.is_file():
        return Check("GPU counters", "missing", "no NVIDIA driver", "counters (ncu) need an NVIDIA GPU")
    if "RmProfilingAdminOnly: 0" in path.read_text():
        return Check("GPU counters", "ok", "open to all users")
    capable = _admin()
    if capable:
        return Check("GPU counters", "ok", "open to this user (CAP_SYS_ADMIN)")
    cure = (
        "run as root, start the container with --cap-add SYS_ADMIN, or set the driver option "
        "NVreg_RestrictProfilingToAdminUsers=0"
    )
    return Check("GPU counters", "warn", "for administrators only", cure)


def _admin() -> bool:
    """Whether this process has CAP_SYS_ADMIN (bit 21 of its effective capabilities)."""
    path = Path("/proc/self/status")
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", path.read_text(), re.MULTILINE) if path.is_file() else None
    return bool(found and int(found.group(1), 16) >> 21 & 1)


def _compiler() -> Check:
    found = compiler()
    if found:
        return Check("C++ compiler", "ok", Path(found).name)
    return Check("C++ compiler", "missing", "none found", "mode compile on a CPU needs one: install g++ or set CXX")


def _nvtx() -> Check:
    version = version_of("nvtx")
    if version is None:
        return Check("nvtx", "missing", "not installed", "pip install nvtx")
    return Check("nvtx", "ok", version)


def tool_folders() -> Iterable[Path]:
    """Where Nsight's programs lie when they are not on PATH, newest first."""
    roots = [Path("/usr/local/cuda/bin"), Path("/usr/local/bin")]
    patterns = (
        "/usr/local/cuda*/bin",
        "/opt/nvidia/nsight-systems/*/bin",
        "/opt/nvidia/nsight-systems/*/target-linux-x64",
        "/opt/nvidia/nsight-compute/*",
        "/opt/nvidia/nsight-compute/*/host/target-linux-x64",
    )
    for pattern in patterns:
        roots += sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    return roots


def find_tool(name: str) -> Path | None:
    """`nsys` or `ncu`: on PATH, else in the toolkit's and Nsight's own folders; None where there is none."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    for folder in tool_folders():
        if (folder / name).is_file() and os.access(folder / name, os.X_OK):
            return folder / name
    return None


def _tool(name: str, product: str, use: str) -> Check:
    found = find_tool(name)
    if found is None:
        return Check(name, "missing", "not found", f"install {product} and put {name} on PATH; needed for {use}")
    version = re.search(r"\d{4}\.\d+(?:\.\d+)*", _output([str(found), "--version"]) or "")
    return Check(name, "ok", version.group(0) if version else "version unknown")


def _first_line(command: list[str]) -> str | None:
    text = _output(command)
    return text.splitlines()[0].strip() if text and text.strip() else None


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
