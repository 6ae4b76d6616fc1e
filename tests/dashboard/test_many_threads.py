"""What many viewers' threads and the one that reads ahead do at once, each step of it brought about by hand."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from rope_prof.dashboard import FOLDER
from tests.dashboard.drawn_run import write_gpu_run
from tests.dashboard.test_dashboard_pages import app

#: While one thread learns what a record is made of, a second one decodes to it; in a process, which may crash.
AT_ONCE = """
import msgspec
from threading import Thread
from rope_prof.model.frozen import Frozen, decodable

def kind():
    other.start()
    other.join(0.2)  # done by then only where it does not wait
    return int

class Place(Frozen):
    at: "kind()"

class Held(Frozen):
    places: tuple[Place, ...]
    name: str

found = []

def decode():
    found.append(msgspec.json.decode(b'{"places": [{"at": 7}], "name": "q"}', type=decodable(Held)))

other = Thread(target=decode)
decode()
other.join()
print(*found, sep="\\n")
"""


def test_two_threads_decode_to_one_record() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["Held(places=(Place(at=7),), name='q')"] * 2, (done.returncode, done.stderr)


def test_a_pass_of_a_page_hides_no_module_from_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit has the pages' folder first on the path; a page is drawn while a module is looked for along it."""
    run, behind = write_gpu_run(tmp_path / "run"), tmp_path / "behind"
    app(monkeypatch, run)  # so that the pass below imports nothing: two threads do not look for modules at once
    behind.mkdir()
    (behind / "sought_along_the_path.py").write_text("", encoding="utf-8")
    asked: list[str] = []

    class Entry:
        @staticmethod
        def find_spec(name: str, target: object = None) -> ModuleSpec | None:  # noqa: ARG004
            if name.startswith("sought"):
                asked.append(name)
                assert not app(monkeypatch, run).exception
            return None

    pages = str(FOLDER / "pages")
    monkeypatch.setattr(sys, "path", [pages, str(tmp_path / "entry"), str(behind), *sys.path])
    monkeypatch.setitem(sys.path_importer_cache, str(tmp_path / "entry"), Entry)  # type: ignore[arg-type]
    import_module("sought_along_the_path")
    assert asked == ["sought_along_the_path"]
    assert sys.path[-1] == pages
    assert sys.path.count(pages) == 1
