"""Baselines by name: kept in a folder or behind a URL, compared with by name, gated against, whole or not at all."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from rope_prof.cli import main
from rope_prof.errors import RunError, UnavailableError
from rope_prof.io.run import baselines
from rope_prof.io.run.baselines import Baselines, default_place
from rope_prof.io.run.folder import append_samples, write_run
from rope_prof.io.run.writer import LOCK_FILE
from rope_prof.io.trace import storage
from rope_prof.model.baseline import PREFIX
from rope_prof.opened.baselines import baseline, before, newest
from rope_prof.opened.run import open_run
from tests.built_runs import FUSED, UNFUSED, built
from tests.commands.test_schema import faults

FUSED_EAGER = "fused/eager"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No word of this machine's own store or history."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv(baselines.VARIABLE, raising=False)
    return tmp_path


def recorded(folder: Path, day: int = 1, slower: float = 1.0, commit: str = "abcdef0123", **machine: str) -> Path:
    """A run of that day whose fused path is `slower`."""
    made = built({"unfused": UNFUSED, "fused": replace(FUSED, host_ns=FUSED.host_ns * slower)}, rounds=12, noise=0.001)
    machine_ = replace(made.run.machine, commit=commit, dirty=False, **machine)  # type: ignore[arg-type]
    write_run(folder, replace(made.run, created=f"2026-01-{day:02}T00:00:00+00:00", machine=machine_))
    append_samples(folder, made.samples)
    return folder


def put(store: Baselines, run: Path, name: str = "main") -> None:
    opened = open_run(run)
    store.put(baseline(name, opened), opened.folder)


@pytest.mark.parametrize("place", ["{}/kept", "file://{}/kept", "memory://kept-{}"])
def test_a_store_keeps_the_newest_run_and_of_older_ones_the_figures(tmp_path: Path, place: str) -> None:
    store = Baselines(place.format(tmp_path.name if place.startswith("memory") else tmp_path))
    runs = [recorded(tmp_path / str(day), day) for day in (2, 1, 3)]
    for run in runs:
        put(store, run)
    found = store.all("main")
    assert [one.created[8:10] for one in found] == ["01", "02", "03"]
    assert [bool(one.files) for one in found] == [False, False, True]
    assert newest(store, "main") == found[-1]
    assert len(found[0].keys) == 4
    with store.opened(found[-1]) as folder:
        kept = open_run(folder)
        assert kept.run == open_run(runs[-1]).run
        assert kept.samples.equals(open_run(runs[-1]).samples)
    with (
        pytest.raises(RunError, match=r"run\.json of|lost its|no run|is not what was kept"),
        store.opened(replace(found[0], files=found[-1].files)),
    ):
        pass
    put(store, recorded(tmp_path / "other", 4, device_name="Other GPU"), "main")
    assert [bool(one.files) for one in store.all("main")] == [False, False, True, True], "a kind of machine for itself"
    assert newest(store, "main", open_run(runs[0]).run) == found[-1]
    assert store.names() == ("main",)
    assert store.remove("main") == 4
    assert store.names() == ()


def test_a_run_is_compared_with_a_name(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, slow = recorded(tmp_path / "base"), recorded(tmp_path / "slow", 2, slower=3.0, commit="fffffff")
    assert main(["baseline", "set", "main", str(base), "--note", "a new driver"]) == 0
    assert f"compare {PREFIX}main RUN" in capsys.readouterr().out
    assert main(["compare", "baseline:main", str(slow), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert main(["compare", str(base), str(slow), "--json"]) == 0
    assert said["verdicts"] == json.loads(capsys.readouterr().out)["verdicts"], "as by the run itself"
    assert main(["compare", f"baseline:main:{FUSED_EAGER}", f"{slow}:{FUSED_EAGER}", "--fail-on", "wall>3%"]) == 1
    assert "SLOWER" in capsys.readouterr().out
    words = [
        "baseline:main:fused/eager",
        f"{slow}:fused/eager",
        "--store",
        str(home / "XDG_DATA_HOME/rope_prof/baselines"),
    ]
    assert main(["compare", *words, "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "compare baseline:main:fused/eager" in out
    assert "--store" in out
    assert main(["baseline", "list"]) == 0
    assert "a new driver" in capsys.readouterr().out
    assert main(["baseline", "show", "main", "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)["baselines"]
    assert (one["commit"], one["run"], one["note"]) == ("abcdef0123", True, "a new driver")
    assert main(["baseline", "rm", "main"]) == 0
    assert main(["baseline", "rm", "main"]) == 2


@pytest.mark.parametrize(("slower", "code", "says"), [(1.0, 0, "✅"), (3.0, 1, "❌")])
def test_a_tree_is_gated_against_a_name(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    slower: float,
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rope_prof.toml").write_text('bounds = ["wall>20%"]\n[[operation]]\npaths = ["fused"]\n')
    for words in (["baseline:main"], ["--against", "baseline:main"], [], ["HEAD", "--against", "HEAD"]):
        assert main(["gate", *words, "-o", "none"]) == 2, "before anything is measured"
    assert not Path("none").exists()
    assert main(["baseline", "set", "main", str(recorded(tmp_path / "base"))]) == 0
    asked: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command[3:])
        if command[3] == "record":
            recorded(Path(command[command.index("-o") + 1]), 2, slower, commit="fffffff")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    capsys.readouterr()
    assert main(["gate", "--against", "baseline:main", "-o", "told", "--json"]) == code
    assert faults("gate", json.loads(capsys.readouterr().out)) == []
    assert main(["gate", "baseline:main", "-o", "out"]) == code
    out = capsys.readouterr().out
    assert says in out
    assert "--against" not in asked[0]
    assert "baseline:main" in out


def test_what_is_known_of_one_code_travels_with_the_store(tmp_path: Path) -> None:
    """A fresh runner has no history of its own; recordings of one commit in the store are pairs of the same code."""
    store = Baselines(str(tmp_path / "kept"))
    for day, slower in enumerate((1.0, 1.5, 1.0, 1.5), start=1):
        put(store, recorded(tmp_path / str(day), day, slower))
    last = newest(store, "main")
    key = open_run(tmp_path / "4").run.facts(next(name for name in last.keys if name.startswith("fused.eager"))).key
    found = before(store, last)(key, "wall")
    assert found is not None
    assert found.factor > 1.05
    alone = replace(last, spread={"eager cold": {"wall": 1.25}}, kept=None)
    Baselines(str(tmp_path / "other")).put(alone, open_run(tmp_path / "4").folder)
    told = before(Baselines(str(tmp_path / "other")), alone)(key, "wall")
    assert told is not None
    assert (told.factor, told.how) == (1.25, "what runs of the same code stayed within where the baseline was kept")


@pytest.mark.parametrize("name", ["", "../main", "a/b", ".hidden", "x" * 65, "main\n"])
def test_a_bad_name_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    run = recorded(tmp_path / "run")
    assert main(["baseline", "set", name, str(run)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["compare", f"baseline:{name}", str(run)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is damaged"),
        ('{"version": 9}', "install a newer rope_prof"),
        ('{"version": 1, "name": 3}', "is damaged"),
        ("elsewhere", "says that it is other/"),
        ("escape", "with the file '../run.json'"),
    ],
)
def test_a_damaged_store_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    store = Baselines(str(tmp_path / "kept"))
    put(store, recorded(tmp_path / "run"))
    (file,) = (tmp_path / "kept" / "main").glob("*.json")
    changes = {
        "elsewhere": file.read_text().replace('"name":"main"', '"name":"other"'),
        "escape": file.read_text().replace('"run.json"', '"../run.json"'),
    }
    file.write_text(changes.get(text, text))
    assert main(["baseline", "show", "main", "--store", str(tmp_path / "kept")]) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def test_lost_and_changed_files_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path / "run")
    store = Baselines(str(tmp_path / "kept"))
    put(store, run)
    (samples,) = (tmp_path / "kept").rglob("samples.parquet")
    frame = pl.read_parquet(samples)
    frame.with_columns(pl.col("ns") * 2).write_parquet(samples)
    words = ["compare", "baseline:main", str(run), "--store", store.address]
    assert main(words) == 3
    assert "is not what was kept" in capsys.readouterr().err
    samples.unlink()
    assert main(words) == 3
    assert "(nothing; expected" in capsys.readouterr().err
    put(store, run)
    assert main(words) == 0, "keeping it anew mends it"


def test_one_process_writes_and_a_torn_write_is_no_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, run = Baselines(str(tmp_path / "kept")), recorded(tmp_path / "run")
    put(store, run)
    with FileLock(tmp_path / "kept" / LOCK_FILE), pytest.raises(RunError, match=r"being written by .* --store"):
        put(store, run, "other")
    again = recorded(tmp_path / "again", 2)
    real = Path.replace

    def full(path: Path, target: Path) -> Path:
        if "main" in str(target) and str(target).endswith("samples.parquet"):
            raise OSError(28, "No space left on device")
        return real(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RunError, match="No space left"):
        put(store, again)
    monkeypatch.setattr(Path, "replace", real)
    assert [one.created[8:10] for one in store.all("main")] == ["01"]
    put(store, again)
    assert [one.created[8:10] for one in store.all("main")] == ["01", "02"]


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_place() == str(tmp_path / "XDG_DATA_HOME" / "rope_prof" / "baselines")
    monkeypatch.setenv(baselines.VARIABLE, "s3://bucket/kept")
    assert default_place() == "s3://bucket/kept"

    def missing(name: str) -> None:
        raise ImportError(name=name)

    monkeypatch.setattr(storage, "import_module", missing)
    with pytest.raises(UnavailableError, match=r"rope-prof\[fleet\]"):
        Baselines().names()


def test_another_machine_or_operation_is_not_comparable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded(tmp_path / "run")
    assert main(["baseline", "set", "main", str(run)]) == 0
    other = recorded(tmp_path / "other", device_name="Other GPU")
    assert main(["compare", "baseline:main", str(other)]) == 3
    assert "has no mrope on Other GPU; it has mrope on Test GPU" in capsys.readouterr().err
    newer = recorded(tmp_path / "newer", 2, torch="3.0")
    assert main(["compare", "baseline:main", str(newer)]) == 0, "other versions are compared, and told"
    assert "3.0" in capsys.readouterr().out


def test_a_run_folder_of_that_name_keeps_its_meaning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path / "baseline")
    assert main(["compare", "baseline:unfused", "baseline:fused"]) == 0
    assert "FASTER" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "baseline")
    assert main(["compare", "baseline:unfused", "baseline:fused"]) == 2


def test_record_says_where_a_baseline_is_held_against(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["record", "--device", "cpu", "--against", "baseline:main", "-o", "none"]) == 2
    assert "`gate baseline:main`, or `compare baseline:main RUN`" in capsys.readouterr().err
