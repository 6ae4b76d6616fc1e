"""Baselines in an object store: a server on this machine that speaks S3, by the words that a user types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rope_prof.cli import main
from tests.opened.test_baselines import recorded

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """The address of a store in a new bucket."""
    s3fs = pytest.importorskip("s3fs", reason="the extra 'fleet' (fsspec, s3fs) is not installed")
    server = pytest.importorskip("moto.server", reason="moto[server], which tests object stores, is not installed")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{running.get_host_and_port()[1]}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("team")
    yield "s3://team/baselines"
    running.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_run_is_kept_compared_with_and_forgotten(
    bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, slow = recorded(tmp_path / "base"), recorded(tmp_path / "slow", 2, slower=3.0, commit="fffffff")
    store = ("--store", bucket)
    assert main(["baseline", "set", "main", str(base), *store]) == 0
    assert f"kept as recorded in {bucket}" in capsys.readouterr().out
    sides = ("baseline:main:fused/eager", f"{slow}:fused/eager")
    assert main(["compare", *sides, "--fail-on", "wall>3%", *store]) == 1
    assert "SLOWER" in capsys.readouterr().out
    assert main(["baseline", "set", "main", str(slow), *store]) == 0
    capsys.readouterr()
    assert main(["baseline", "show", "main", "--json", *store]) == 0
    found = json.loads(capsys.readouterr().out)["baselines"]
    assert [(one["commit"], one["run"]) for one in found] == [("abcdef0123", False), ("fffffff", True)]
    assert main(["baseline", "rm", "main", *store]) == 0
    assert main(["baseline", "show", "main", *store]) == 2
