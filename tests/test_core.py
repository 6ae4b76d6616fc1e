"""What reads runs and traces works without torch and Streamlit, in a small environment, and says the same."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import StdioServerParameters, stdio_client
from mcp.client.client import Client

from rope_prof.cli import main
from tests.engines.standin import StandIn, serving
from tests.own_thread import in_own_thread

ROOT = Path(__file__).parents[1]
RUN = ROOT / "traces" / "h200-silu-mul"
TRACE = next(RUN.glob("unfused.eager*.trace.json.gz"))
LARGEST = 300_000_000


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment of `constraints-core.txt`; its Python."""
    folder = tmp_path_factory.mktemp("core")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-compile"]
    done = subprocess.run([*pip, "-r", str(ROOT / "constraints-core.txt")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


def ask(python: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        [str(python), "-B", "-m", "rope_prof", *map(str, words)],
        env=environment | {"PYTHONPATH": str(ROOT)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_small_and_holds_neither_torch_nor_streamlit(core: Path) -> None:
    packages = core.parents[1] / "lib"
    sizes = [path.stat().st_size for path in packages.rglob("*") if path.is_file()]
    ours = [
        path.stat().st_size
        for name in ("rope_prof", "kernels", "dashboard", "traces")
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sum(sizes) + sum(ours) < LARGEST
    assert not [name for name in ("torch", "triton", "streamlit", "plotly", "scipy") if list(packages.rglob(name))]


def test_its_versions_are_those_that_are_tested_or_the_oldest_promised() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(line.split("==") for line in (ROOT / name).read_text().split("\n") if "==" in line)

    tested, core = pins("constraints.txt"), pins("constraints-core.txt")
    oldest = re.search(r'"polars>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest is not None
    assert core.pop("polars").startswith(oldest[1])
    assert {name: tested.get(name) for name in core} == core


@pytest.mark.parametrize(
    "words",
    [
        ("show", RUN, "--json"),
        ("show", RUN),
        ("analyze", TRACE, "--json", "--chains"),
        ("compare", f"{RUN}:unfused", f"{RUN}:fused", "--json"),
        ("compare", TRACE, TRACE, "--json"),
    ],
    ids=["show --json", "show", "analyze", "compare", "compare traces"],
)
def test_it_says_the_same(
    core: Path,
    words: tuple[object, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    there = ask(core, *words, cwd=tmp_path)
    assert there.returncode == 0, there.stderr
    assert main([str(word) for word in words]) == 0
    assert there.stdout == capsys.readouterr().out


@pytest.mark.parametrize("to", ["html", "markdown", "perfetto", "archive", "nvbench", "openmetrics"])
def test_it_exports(core: Path, to: str, tmp_path: Path) -> None:
    done = ask(core, "export", RUN, "--to", to, "-o", tmp_path / "made", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made").exists()


def test_it_exports_a_part_of_a_trace(core: Path, tmp_path: Path) -> None:
    done = ask(
        core, "export", TRACE, "--to", "kineto", "--cut", "0ms:1ms", "-o", tmp_path / "part.json.gz", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "part.json.gz").exists()


def test_it_captures_a_server(core: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with serving(StandIn("vllm", folder=tmp_path / "p")) as url:
        words = ("capture", "--server", url, "--engine", "vllm", "--dir", tmp_path / "p", "--seconds", "0.1")
        done = ask(core, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "decode, 31" in done.stdout


def test_it_serves_agents(core: Path) -> None:
    start = StdioServerParameters(
        command=str(core),
        args=["-B", "-m", "rope_prof", "mcp", "--folder", str(ROOT / "traces")],
        env={"PYTHONPATH": str(ROOT)},
    )

    async def ask_it() -> Any:
        async with Client(stdio_client(start)) as client:
            return await client.call_tool("show", {"run": RUN.name})

    shown = in_own_thread(lambda: anyio.run(ask_it))
    assert not shown.is_error, shown.content
    assert shown.structured_content["keys"]


@pytest.mark.parametrize(("command", "missing"), [("record", "torch"), ("model", "torch"), ("dashboard", "streamlit")])
def test_what_needs_more_says_so_in_one_line(core: Path, command: str, missing: str, tmp_path: Path) -> None:
    done = ask(core, command, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"error: this command needs {missing}, which is not installed")
    assert not list(tmp_path.iterdir())
