"""The examples as a reader runs them: the script, and the notebook, executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_the_notebook_shows_a_table_a_picture_and_a_sentence_where_a_gpu_is_missing(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(repository), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("IPYTHONDIR", str(Path(os.environ.get("TMPDIR", "/tmp")) / "rope_prof-ipython"))
    folder = repository / "examples"
    notebook = nbformat.read(folder / "any_fusion.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type in {"error"}]
    (shown,) = [output.data["text/html"] for output in outputs if output.output_type == "execute_result"]
    assert "<table>" in shown
    assert "<svg" in shown
    assert "path &#x27;triton&#x27; needs an NVIDIA GPU" in shown
    said = "".join(output.text for output in outputs if output.get("name") == "stdout")
    assert "UNKNOWN triton was not held against chain" in said


def test_the_script_comes_to_a_verdict_and_saves_its_run(repository: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": "", "CXX": "none"}
    command = [sys.executable, str(repository / "examples/rmsnorm_quant.py"), "--save", str(tmp_path / "run")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "fewer operators (eager) is" in done.stdout
    assert (tmp_path / "run/run.json").is_file()
