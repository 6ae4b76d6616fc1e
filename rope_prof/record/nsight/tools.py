"""`nsys` and `ncu`: finding them, running the workload under them, and what each of their failures means.

The tool and the workload get an allow-list of environment variables, a neutral working directory and, where possible,
a neutral host name: what they never see cannot be in a report, which cannot be edited.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from rope_prof.errors import RopeProfError, UnavailableError, UsageError
from rope_prof.record.device.machine import find_tool, parsed

Which = Literal["systems", "compute"]
PROGRAM: dict[Which, str] = {"systems": "nsys", "compute": "ncu"}
PRODUCT: dict[Which, str] = {"systems": "Nsight Systems", "compute": "Nsight Compute"}
#: Versions that this program was tried with: from, to.
TRIED: dict[Which, tuple[str, str]] = {"systems": ("2025.3", "2025.3"), "compute": ("2025.3", "2025.3")}
#: What the workload may see of the environment; folders of a user's own among them go by a neutral name.
ALLOWED = (
    *("CC", "CUDA_DEVICE_ORDER", "CUDA_HOME", "CUDA_PATH", "CUDA_VISIBLE_DEVICES", "CXX", "LD_LIBRARY_PATH"),
    *("NVIDIA_DRIVER_CAPABILITIES", "NVIDIA_VISIBLE_DEVICES", "PATH", "TRITON_PTXAS_PATH"),
)
LIMIT_S = 900
_PACKAGES = {
    "libdw.so.1": "libdw1",
    "libelf.so.1": "libelf1",
    "liblzma.so.5": "liblzma5",
    "libbz2.so.1.0": "libbz2-1.0",
}


class NsightError(UnavailableError):
    """A tool of NVIDIA's is missing, may not do what it should, or left nothing that can be used."""

    code = "nsight"


@dataclass(frozen=True, slots=True)
class Tool:
    """One of the two programs. `note`: what a reader should know of its version."""

    which: Which
    path: Path
    version: str
    note: str | None = None


def find(which: Which, asked: Path | None = None) -> Tool:
    """`nsys` or `ncu`: as asked for, on PATH, or in the folders of CUDA, Nsight Systems and Nsight Compute.

    Errors: UsageError where what was asked for is no program; NsightError where none is found or its version cannot be
    told.
    """
    name = PROGRAM[which]
    if asked is not None and not (asked.is_file() and os.access(asked, os.X_OK)):
        raise UsageError(f"--{name} {str(asked)!r} is no program that can be run; expected the path of {name}")
    path = asked or find_tool(name)
    if path is None:
        also = ", or Nsight Compute, which carries an nsys" if which == "systems" else ""
        raise NsightError(
            f"--nsight {which} needs {name}, which is neither on PATH nor in the folders of CUDA and Nsight; install "
            f"{PRODUCT[which]}{also}, or name the program by --{name}"
        )
    text = _version_text(path)
    found = re.search(r"\b(20\d\d\.\d+(?:\.\d+)*)", text)
    if found is None:
        said = " ".join(text.split())[:120]
        raise NsightError(
            f"{str(path)!r} --version says {said!r}; expected a version such as {TRIED[which][1]}: name another "
            f"{name} by --{name}"
        )
    return Tool(which, path.absolute(), found.group(1), _version_note(which, found.group(1)))


def _version_text(path: Path) -> str:
    try:
        done = subprocess.run([str(path), "--version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nothing ({error})"
    return done.stdout + done.stderr


def _version_note(which: Which, version: str) -> str | None:
    least, most = TRIED[which]
    if parsed(least) <= parsed(version) <= parsed(most):
        return None
    tried = least if least == most else f"{least} to {most}"
    return f"{PROGRAM[which]} {version} was never tried with this program ({tried} was)"


def environment(scratch: Path, source: Mapping[str, str]) -> dict[str, str]:
    """What the tool and the workload see: the allowed names of `source`, and caches and a home inside `scratch`."""
    home = Path.home()
    own = {
        "HOME": str(scratch),
        "LANG": "C.UTF-8",
        "TMPDIR": str(scratch),
        "TORCHINDUCTOR_CACHE_DIR": str(scratch / "inductor"),
        "TRITON_CACHE_DIR": str(scratch / "triton"),
    }
    allowed = {name: source[name] for name in ALLOWED if source.get(name)}
    for name, value in allowed.items():
        parts = [_neutral(part, home, scratch) for part in value.split(os.pathsep)]
        allowed[name] = os.pathsep.join(parts)
    return allowed | own


def _neutral(part: str, home: Path, scratch: Path) -> str:
    """A path under the user's home by a link in `scratch`; any other word as it is."""
    if not part.startswith("/") or not Path(part).is_relative_to(home) or home == Path("/"):
        return part
    return _link(part, scratch)


def _link(part: str, scratch: Path) -> str:
    """A link to `part` in `scratch`, one for each."""
    links = scratch / "links"
    links.mkdir(exist_ok=True)
    for known in links.iterdir():
        if str(known.readlink()) == part:
            return str(known)
    link = links / str(len(list(links.iterdir())))
    link.symlink_to(part)
    return str(link)


def write_workload(scratch: Path) -> Path:
    """The file that the tool runs: it finds this program where the parent did, and no command line holds a path.

    Folders outside the interpreter's own go by a link: the compiler writes a source's path into the kernel, and a
    report keeps it.
    """
    file = scratch / "workload.py"
    file.write_text(
        "import json, sys\n"
        "from pathlib import Path\n"
        "here = Path(__file__).parent\n"
        "sys.path[:] = json.loads((here / 'path.json').read_text())\n"
        "from rope_prof.record.nsight.workload import main\n"
        "main(here)\n"
    )
    own = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    folders = [
        str(part) if any(part.resolve().is_relative_to(prefix) for prefix in own) else _link(str(part), scratch)
        for part in (Path(word).absolute() for word in sys.path)
    ]
    (scratch / "path.json").write_bytes(msgspec.json.encode(folders))
    return file


def run(tool: Tool, options: Sequence[str], scratch: Path) -> str:
    """Run the workload in `scratch` under the tool; all that both printed.

    Errors: NsightError in one sentence, for an exit code other than 0 and for messages that mean failure.
    """
    launcher = shutil.copyfile(Path(__file__).with_name("launch.py"), scratch / "launch.py")
    workload = (sys.executable, str(write_workload(scratch)))
    command = [sys.executable, "-I", str(launcher), str(tool.path), *options, *workload]
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=environment(scratch, os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NsightError(
            f"{PROGRAM[tool.which]} {tool.version} did not end within {LIMIT_S} s; record less (--tokens, --path)"
        ) from error
    text = done.stdout + done.stderr
    known = failure(tool, text)
    if known is not None:
        raise NsightError(known)
    if done.returncode:
        raise NsightError(_ended(tool, done.returncode, text))
    return text


def failure(tool: Tool, text: str) -> str | None:
    """The sentence for what the tool printed; None where it reports no failure that is known."""
    name = PROGRAM[tool.which]
    if "ERR_NVGPUCTRPERM" in text:
        return (
            f"{name} may not read the GPU's counters (ERR_NVGPUCTRPERM): run as root, start the container with "
            "--cap-add SYS_ADMIN, or set the driver option NVreg_RestrictProfilingToAdminUsers=0"
        )
    unready = re.search(r"Failed to initialize the profiler: (\w+)", text)
    if unready:
        return (
            f"{name} cannot reach the GPU's counters ({unready.group(1)}): a sandbox such as gVisor does not pass them "
            "through, and another profiler may hold them (dcgmi profile --pause); record on the machine itself"
        )
    if "No kernels were profiled" in text:
        return f"{name} saw no kernel: the workload failed before its first call ({last_line(text)})"
    return None


def _ended(tool: Tool, code: int, text: str) -> str:
    note = f"; {tool.note}" if tool.note else ""
    return f"{PROGRAM[tool.which]} {tool.version} ended with exit code {code}: {last_line(text)}{note}"


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" =\t")]
    return lines[-1][:300] if lines else "it printed nothing"


def no_report(tool: Tool, scratch: Path, text: str) -> RopeProfError:
    """Why there is no report where the tool ended well: an importer that cannot start leaves a `.qdstrm`."""
    if not list(scratch.glob("*.qdstrm")):
        return NsightError(f"{PROGRAM[tool.which]} {tool.version} left no report: {last_line(text)}")
    missing = missing_libraries(tool, text)
    packages = " ".join(sorted({_PACKAGES.get(name, name) for name in missing}))
    if missing:
        lacks = f"it lacks {', '.join(missing)}: install it (Debian and Ubuntu: apt-get install {packages})"
    else:
        lacks = "it most often lacks libdw.so.1 or libelf.so.1: install them (Debian and Ubuntu: libdw1 libelf1)"
    return NsightError(f"nsys {tool.version} left a .qdstrm and no report, since its importer could not run; {lacks}")


def missing_libraries(tool: Tool, text: str) -> list[str]:
    """Libraries that the importer lacks: by its own message, else by what the loader says of it."""
    said = re.findall(r"(lib[\w.+-]+\.so[.\d]*): cannot open shared object", text)
    root = tool.path.resolve().parent.parent
    importers = [path for path in root.glob("*/QdstrmImporter") if path.is_file()]
    for importer in importers if not said else ():
        try:
            done = subprocess.run(["ldd", str(importer)], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        said += re.findall(r"(\S+\.so[.\d]*) => not found", done.stdout)
    return sorted(set(said))
