"""The wheel, built and installed elsewhere, is the whole tool; and so is an editable install."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.slow

#: What a checkout holds beside the project.
_LEFT_OUT = shutil.ignore_patterns(
    ".*_cache", ".git", ".venv", ".ci-venv", ".bench-peers", ".scratch", "__pycache__", "build", "dist", "screenshots"
)


def run(
    words: Sequence[object], cwd: Path, timeout: float = 120, expected: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a program without what the test's own environment knows of the repository."""
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=clean(),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == expected, done.stdout + done.stderr
    return done


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}


def environment(folder: Path) -> Path:
    """The Python of a virtual environment that sees the packages of this one, but no editable install, so not ours."""
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    site = folder / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    # A folder on the path, not a site folder: its own .pth files, editable installs for one, stay unread.
    (site / "outer.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return python


def install(python: Path, *what: object, cwd: Path) -> None:
    run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", *what],
        cwd=cwd,
        timeout=300,
    )


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A copy of the checkout, with a recording of a user's own that git ignores."""
    folder = tmp_path_factory.mktemp("source") / "project"
    shutil.copytree(repository, folder, ignore=_LEFT_OUT)
    private = folder / "traces/2026-01-01-private"
    private.mkdir(parents=True)
    (private / "run.json").write_text("{}")
    return folder


@pytest.fixture(scope="session")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, source], cwd=folder, timeout=300)
    (found,) = folder.glob("rope_prof-*.whl")
    return found


@pytest.fixture(scope="session")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel installed, beside a distribution named `kernels` as Hugging Face has one: Python, working folder."""
    root = tmp_path_factory.mktemp("elsewhere")
    python = environment(root / "env")
    stand_in = root / "kernels-99.0-py3-none-any.whl"
    with zipfile.ZipFile(stand_in, "w") as archive:
        archive.writestr("kernels/__init__.py", "__version__ = '99.0'\n")
        archive.writestr("kernels-99.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: kernels\nVersion: 99.0\n")
        archive.writestr(
            "kernels-99.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("kernels-99.0.dist-info/RECORD", "")
    work = root / "work"
    work.mkdir()
    install(python, wheel, stand_in, cwd=work)
    return python, work


def test_wheel_and_sdist_pass_twine(wheel: Path, source: Path, tmp_path: Path) -> None:
    builder = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
    name = run([sys.executable, "-c", builder, tmp_path], cwd=source).stdout.split()[-1]
    said = run([sys.executable, "-m", "twine", "check", "--strict", wheel, tmp_path / name], cwd=tmp_path).stdout
    assert said.count("PASSED") == 2


def test_the_wheel_holds_the_tool_and_nothing_private(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for needed in (
        "rope_prof/kernels/mrope/fused.py",
        "rope_prof/dashboard/pages/app.py",
        "rope_prof/traces/README.md",
    ):
        assert needed in names
    assert len(names) == len(set(names))
    tops = {name.split("/")[0] for name in names}
    assert all(top == "rope_prof" or top.endswith(".dist-info") for top in tops), tops
    assert not [name for name in names if "private" in name or "__pycache__" in name or name.endswith(".part")]


def test_the_shipped_runs_are_whole_in_the_wheel(wheel: Path, source: Path) -> None:
    """Every file of every run that git keeps, byte for byte."""
    shipped = source / "traces/h100-ernie28b"
    if not shipped.is_dir():
        pytest.skip(f"no run in '{shipped}'")
    with zipfile.ZipFile(wheel) as archive:
        for file in shipped.iterdir():
            assert archive.read(f"rope_prof/traces/h100-ernie28b/{file.name}") == file.read_bytes()


def test_installed_it_imports_from_the_wheel_alone(elsewhere: tuple[Path, Path]) -> None:
    python, work = elsewhere
    code = """
import json, kernels, rope_prof, rope_prof.kernels.mrope.paths as paths
print(json.dumps([kernels.__version__, rope_prof.__file__, paths.__file__, list(paths.NAMES)]))
"""
    version, package, module, names = json.loads(run([python, "-c", code], cwd=work).stdout)
    assert version == "99.0", "an installed package named kernels stays what it is"
    assert Path(package).is_relative_to(work.parent)
    assert Path(module).is_relative_to(work.parent)
    assert names == ["unfused", "per-token", "fused"]


def test_from_the_repository_an_installed_kernels_package_is_found(
    elsewhere: tuple[Path, Path], repository: Path
) -> None:
    python, _ = elsewhere
    code = "import kernels, rope_prof.kernels.mrope.shape as s; print(kernels.__version__, s.__file__)"
    version, module = run([python, "-c", code], cwd=repository).stdout.split()
    assert version == "99.0"
    assert Path(module).is_relative_to(repository), "the working folder comes first"


def test_installed_it_records_and_shows(elsewhere: tuple[Path, Path]) -> None:
    python, work = elsewhere
    small = ["--tokens", "16", "--path", "unfused", "--mode", "eager", "--calls", "3", "--rounds", "2"]
    run([python, "-m", "rope_prof", "record", *small, "--device", "cpu", "-o", "run"], cwd=work)
    shown = json.loads(run([python, "-m", "rope_prof", "show", "run", "--json"], cwd=work).stdout)
    assert shown["schema_version"] == 1
    (key,) = shown["keys"]
    assert (key["path"], key["mode"], key["status"]) == ("unfused", "eager", "measured")
    assert key["kernels_per_call"] > 1


def test_installed_it_finds_the_shipped_run(elsewhere: tuple[Path, Path]) -> None:
    python, work = elsewhere
    code = """
from rope_prof.io.run.folder import find_runs, read_run, shipped_runs
print(shipped_runs())
print([read_run(run).path.name for run in find_runs([shipped_runs()])])
"""
    folder, runs = run([python, "-c", code], cwd=work).stdout.splitlines()
    assert Path(folder).is_relative_to(work.parent)
    if (Path(folder) / "h100-ernie28b").is_dir():
        assert "h100-ernie28b" in runs


def test_installed_the_dashboard_starts(elsewhere: tuple[Path, Path]) -> None:
    python, work = elsewhere
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [python, "-m", "rope_prof", "dashboard", "--port", port, "--no-browser"]
    with subprocess.Popen(
        [str(word) for word in words],
        cwd=work,
        env=clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        up = answers(process, f"http://127.0.0.1:{port}/_stcore/health")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
    assert up, said
    assert "Traceback" not in said, said


def answers(process: subprocess.Popen[str], address: str, patience_s: float = 30) -> bool:
    """Whether `address` answers before `process` ends or patience does."""
    deadline = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.1)
    return False


def test_an_editable_install_runs_from_the_checkout(source: Path, tmp_path: Path) -> None:
    python = environment(tmp_path / "env")
    install(python, "-e", source, cwd=tmp_path)
    code = "import rope_prof.kernels.mrope.shape as s, rope_prof.cli as c; print(s.__file__); print(c.__file__)"
    for file in run([python, "-c", code], cwd=tmp_path).stdout.splitlines():
        assert Path(file).is_relative_to(source)
    assert "record" in run([tmp_path / "env/bin/rope-prof", "--help"], cwd=tmp_path).stdout
