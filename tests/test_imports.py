"""Who may import what, where the import linter does not look: at start-up, in kernels/ and in dashboard/."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from rope_prof import __version__
from rope_prof.cli import COMMANDS, command

HEAVY = ("torch", "triton", "polars", "streamlit", "plotly", "pandas", "numpy", "nvtx", "viztracer")

#: The only files that know Triton.
TRITON_FILES = {
    "kernels/ceilings.py",
    "kernels/examples/column_amax.py",
    "kernels/examples/rmsnorm_quant.py",
    "kernels/examples/silu_mul.py",
    "kernels/mrope/fused.py",
    "kernels/mrope/per_token.py",
    "kernels/mrope/turning.py",
    "kernels/mrope_kv/cut.py",
    "kernels/mrope_kv/kernel.py",
    "kernels/mrope_kv/write.py",
}


def python(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def loaded_by(code: str, cwd: Path) -> set[str]:
    """The heavy packages that are loaded once `code` has run in a fresh interpreter."""
    report = f"import json, sys; print('\\n' + json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    done = python("-c", f"{textwrap.dedent(code)}\n{report}", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def imported(source: str) -> Iterator[str]:
    """Every module that `source` imports, wherever in the file; not those for the type checker alone."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            skipped.update(inner for statement in node.body for inner in ast.walk(statement))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def sources(*folders: Path) -> list[Path]:
    files = [file for folder in folders for file in sorted(folder.rglob("*.py"))]
    assert files, folders
    return files


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def test_the_reader_of_imports_sees_them_all() -> None:
    source = """
    import a.b
    from typing import TYPE_CHECKING
    if TYPE_CHECKING:
        import hidden
    def f():
        from c import d
    """
    found = set(imported(textwrap.dedent(source)))
    assert {"a.b", "c", "c.d"} <= found
    assert "hidden" not in found


def test_the_package_is_light(repository: Path) -> None:
    assert loaded_by("import rope_prof", repository) == set()


def test_the_check_of_loaded_packages_sees_numpy(repository: Path) -> None:
    assert "numpy" in loaded_by("import numpy", repository)


def test_help_is_light(repository: Path) -> None:
    """Neither a library that measures nor, in modules, half as much again as the libraries that print it."""
    code = """
    import runpy
    import sys
    import rich, typer
    bare = len(sys.modules)
    sys.argv = ["rope_prof", "--help"]
    try:
        runpy.run_module("rope_prof", run_name="__main__")
    except SystemExit as done:
        assert not done.code, done.code
    assert bare <= len(sys.modules) <= 1.5 * bare, (len(sys.modules), bare)
    """
    assert loaded_by(code, repository) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_imports_itself_alone_and_no_library_that_measures_or_draws(repository: Path, name: str) -> None:
    code = f"""
    import sys
    from rope_prof.cli import COMMANDS, main
    assert main([{name!r}, "--help"]) == 0
    modules = {{f"rope_prof.commands.{{name}}" for name in COMMANDS}}
    assert modules & set(sys.modules) == {{"rope_prof.commands.{name}"}}
    """
    bare = {"show", "compare", "export", "record"}
    assert loaded_by(code, repository) <= (set() if name in bare else {"polars", "numpy"})


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_the_command_says(name: str) -> None:
    assert (command(name).help or "").startswith(COMMANDS[name])


def test_the_version_is_printed(repository: Path) -> None:
    done = python("-m", "rope_prof", "--version", cwd=repository)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"rope_prof {__version__}\n"


def test_only_files_of_kernels_import_triton(repository: Path) -> None:
    folders = (repository / "rope_prof", repository / "kernels", repository / "dashboard")
    found = {
        file.relative_to(repository).as_posix()
        for file in sources(*folders)
        if any(within(module, "triton") for module in imported(file.read_text()))
    }
    assert found == TRITON_FILES


def test_kernels_import_nothing_of_ours_but_each_other_and_errors(repository: Path) -> None:
    for file in sources(repository / "kernels"):
        for module in imported(file.read_text()):
            ours = within(module, "rope_prof", "dashboard", "kernels")
            assert not ours or within(module, "rope_prof.kernels", "rope_prof.errors"), (file.name, module)


def test_the_dashboard_measures_nothing(repository: Path) -> None:
    for file in sources(repository / "dashboard"):
        for module in imported(file.read_text()):
            forbidden = ("rope_prof.record", "rope_prof.kernels", "torch", "triton", "kernels")
            assert not within(module, *forbidden), (file.name, module)


def test_the_top_level_folders_are_no_packages(repository: Path) -> None:
    """A regular package here would shadow an installed one of that name for every program started here."""
    for name in ("kernels", "dashboard"):
        assert not (repository / name / "__init__.py").exists()


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder as of site-packages, with a distribution named `kernels` as Hugging Face publishes one."""
    package = tmp_path / "site/kernels"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("__version__ = '99.0'\n")
    metadata = tmp_path / "site/kernels-99.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kernels\nVersion: 99.0\n")
    return tmp_path / "site"


def test_an_installed_kernels_distribution_and_ours_live_together(repository: Path, stand_in: Path) -> None:
    """From the repository's root, as `python -m rope_prof` runs: the current folder comes first on the path."""
    code = f"""
    import site, sys
    site.addsitedir({str(stand_in)!r})
    assert sys.path[0] == ""
    import importlib.metadata
    import kernels
    import rope_prof.kernels.mrope.shape as shape
    print(kernels.__version__, importlib.metadata.version("kernels"), shape.__file__)
    """
    done = python("-c", textwrap.dedent(code), cwd=repository)
    assert done.returncode == 0, done.stderr
    version, installed, ours = done.stdout.split()
    assert (version, installed) == ("99.0", "99.0")
    assert Path(ours).is_relative_to(repository)


def test_a_package_in_place_of_our_folder_would_shadow_it(stand_in: Path, tmp_path: Path) -> None:
    """The law behind the missing `__init__.py`: with one, the stand-in is lost."""
    root = tmp_path / "root"
    (root / "kernels").mkdir(parents=True)
    code = (
        f"import site; site.addsitedir({str(stand_in)!r}); import kernels; print(getattr(kernels, '__version__', None))"
    )
    assert python("-c", code, cwd=root).stdout.strip() == "99.0"
    (root / "kernels/__init__.py").touch()
    assert python("-c", code, cwd=root).stdout.strip() == "None"


def test_nobody_imports_a_private_name_of_another_file(repository: Path) -> None:
    """Nor does a test replace one; what stands in another's way is public there."""
    folders = ("rope_prof", "kernels", "dashboard", "tests", "benchmarks")
    replaced = re.compile(r"""setattr\(\s*[\w.]+,\s*["']_[a-z]|setattr\(\s*["'](?:rope_prof|tests)\.[\w.]*\._""")
    for file in sources(*(repository / folder for folder in folders)):
        source = file.read_text(encoding="utf-8")
        for module in imported(source):
            parts = module.split(".")
            private = [part for part in parts if part.startswith("_") and not part.startswith("__")]
            assert parts[0] not in folders or not private, (file.name, module)
        assert not replaced.search(source), (file.name, replaced.search(source))


def test_helpers_of_the_tests_are_imported_one_way(repository: Path) -> None:
    """By their whole name: a module of two names is two modules, whose records are never equal."""
    folder = repository / "tests"
    helpers = {file.stem for file in folder.rglob("*.py") if not file.stem.startswith("test_")} - {"conftest"}
    for file in sources(folder):
        for module in imported(file.read_text(encoding="utf-8")):
            assert module.partition(".")[0] not in helpers, (file.name, module)
