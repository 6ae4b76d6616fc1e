"""A run folder is what was written, reads after a kill at any moment, and is one clear error where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rope_prof.cli import main
from rope_prof.errors import RunError
from rope_prof.io.atomic import write_atomic
from rope_prof.io.run import folder as run_folder
from rope_prof.io.run.folder import append_samples, find_runs, is_run, read_run, write_run
from rope_prof.model.run import MODES, SCHEMA_VERSION, WHYS, Accuracy, Key, KeyFacts, Stopped
from rope_prof.model.samples import conditions_schema, samples_schema
from tests.runs import CASE, RIGHT, facts, key, run, samples

_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
_FLOATS = st.floats(allow_nan=False, allow_infinity=False, min_value=0)
_CASES = st.builds(
    CASE.but, model=_NAMES, tp=st.integers(1, 8), tokens=st.integers(1, 2**40), dtype=_NAMES, prompt=_NAMES
)
_FACTS = st.builds(
    KeyFacts,
    key=st.builds(Key, case=_CASES, path=_NAMES, mode=st.sampled_from(MODES), l2=st.sampled_from(["cold", "hot"])),
    status=st.sampled_from(["pending", "checked", "wrong", "unavailable", "failed"]),
    reason=st.none() | _NAMES,
    accuracy=st.none()
    | st.builds(
        Accuracy, max_error=_FLOATS, limit=_FLOATS, rounded_share=_FLOATS, nans=st.integers(0, 9), dtype=_NAMES
    ),
    first_call_ns=st.none() | st.integers(0, 2**60),
    trace=st.none(),
    stopped=st.none()
    | st.builds(Stopped, why=st.sampled_from(WHYS), rounds=st.integers(0, 2**31), width=st.none() | _FLOATS),
)


@given(
    st.lists(_FACTS, max_size=4, unique_by=lambda facts: facts.key.name), _NAMES, st.integers(0, 2**31), st.booleans()
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[KeyFacts],
    name: str,
    seed: int,
    complete: bool,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    written = run(*keys, name=name, seed=seed, complete=complete)
    write_run(folder, written)
    assert read_run(folder).run == written


def test_samples_append(tmp_path: Path) -> None:
    write_run(tmp_path, run(facts()))
    first, second = samples(unfused_eager=[300.0]), samples(fused_eager=[20.0, 21.0])
    append_samples(tmp_path, first)
    append_samples(tmp_path, second)
    read = read_run(tmp_path).samples
    assert_frame_equal(read.select(first.columns), pl.concat([first, second]))
    assert all(read[name].is_null().all() for name in conditions_schema())


def test_samples_of_before_throttled_read_and_go_on(tmp_path: Path) -> None:
    write_run(tmp_path, run(facts()))
    old = samples(unfused_eager=[300.0]).drop("throttled")
    old.write_parquet(tmp_path / "samples.parquet")
    new = samples(fused_eager=[20.0]).with_columns(throttled=pl.lit(True))
    append_samples(tmp_path, new)
    assert read_run(tmp_path).samples["throttled"].to_list() == [None, True]
    assert_frame_equal(read_run(tmp_path).samples.select(old.columns)[:1], old)


def test_every_shipped_run_reads() -> None:
    folders = find_runs([run_folder.shipped_runs()])
    assert folders
    for folder in folders:
        assert dict(read_run(folder).samples.schema) == samples_schema() | conditions_schema()


def test_a_kill_while_writing_leaves_the_run_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run(facts(status="pending"))
    write_run(tmp_path, before)

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    for step in ("write_bytes", "replace", "chmod"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, step, die)
            with pytest.raises(Killed):
                write_run(tmp_path, run(facts(status="failed")))
        assert read_run(tmp_path).run == before
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_every_prefix_of_a_recording_reads(tmp_path: Path) -> None:
    """The order in which a recording writes: plan, samples, trace, status."""
    name = key().name + ".trace.json.gz"
    steps = [
        lambda: write_run(tmp_path, run(facts(status="pending"))),
        lambda: append_samples(tmp_path, samples(unfused_eager=[1.0])),
        lambda: write_atomic(tmp_path / name, lambda part: part.write_bytes(b"x")),
        lambda: write_run(tmp_path, run(facts(trace=name, accuracy=RIGHT))),
    ]
    for step in steps:
        step()
        read_run(tmp_path)
    assert read_run(tmp_path).trace_path(key().name) == tmp_path / name


def _damaged(folder: Path, how: str) -> None:
    text = (folder / "run.json").read_text()
    document = json.loads(text)
    if how == "no folder":
        (folder / "run.json").unlink()
        (folder / "samples.parquet").unlink()
        folder.rmdir()
    elif how == "no run.json":
        (folder / "run.json").unlink()
    elif how == "no samples":
        (folder / "samples.parquet").unlink()
    elif how == "cut run.json":
        (folder / "run.json").write_text(text[: len(text) // 2])
    elif how == "not utf-8":
        (folder / "run.json").write_bytes(b"\xff\xfe" + text.encode())
    elif how == "a list":
        (folder / "run.json").write_text("[]")
    elif how == "newer":
        (folder / "run.json").write_text(json.dumps(document | {"schema_version": SCHEMA_VERSION + 1, "keys": 3}))
    elif how == "unknown status":
        document["keys"][0]["status"] = "excellent"
        (folder / "run.json").write_text(json.dumps(document))
    elif how == "trace elsewhere":
        document["keys"][0]["trace"] = "../../secret"
        (folder / "run.json").write_text(json.dumps(document))
    elif how == "cut samples":
        data = (folder / "samples.parquet").read_bytes()
        (folder / "samples.parquet").write_bytes(data[: len(data) // 2])
    elif how == "other columns":
        pl.DataFrame({"a": [1]}).write_parquet(folder / "samples.parquet")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no folder", "no such folder"),
        ("no run.json", "no run.json"),
        ("no samples", "has lost its samples.parquet (1 measured keys)"),
        ("cut run.json", "damaged"),
        ("not utf-8", "damaged"),
        ("a list", "damaged"),
        ("newer", f"schema version {SCHEMA_VERSION + 1}; this rope_prof reads up to {SCHEMA_VERSION}"),
        ("unknown status", "excellent"),
        ("trace elsewhere", "../../secret"),
        ("cut samples", "damaged"),
        ("other columns", "expected"),
    ],
)
def test_damage_is_one_clear_error(tmp_path: Path, how: str, says: str) -> None:
    folder = tmp_path / "run"
    write_run(folder, run(facts()))
    append_samples(folder, samples(unfused_eager=[1.0]))
    _damaged(folder, how)
    with pytest.raises(RunError) as caught:
        read_run(folder)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": -1}, "it has the seed -1, expected a whole number from 0"),
        ({"machine": {"l2_bytes": -5}}, "its machine has l2_bytes -5, expected a number from 0"),
        ({"machine": {"cpu_cores": -1}}, "its machine has cpu_cores -1"),
        ({"keys": "twice"}, f"it has the key {key().name!r} 2 times, expected each key once"),
        ({"case": {"tokens": 0}}, "has tokens 0, expected at least 1"),
    ],
)
def test_facts_that_no_recording_writes_are_one_error(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    write_run(tmp_path, run(facts(status="pending")))
    path = tmp_path / "run.json"
    document = json.loads(path.read_text())
    if "seed" in change:
        document |= change
    document["machine"] |= change.get("machine", {})
    document["keys"][0]["key"]["case"] |= change.get("case", {})
    document["keys"] *= 2 if "keys" in change else 1
    path.write_text(json.dumps(document))
    with pytest.raises(RunError) as caught:
        read_run(tmp_path)
    assert str(caught.value).startswith(f"{str(path)!r} is damaged: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"calls": 0}, "calls 0, ns 3000; expected calls and ns of at least 1"),
        ({"calls": None}, "calls None, ns 3000; expected calls and ns of at least 1"),
        ({"ns": None}, "calls 10, ns None; expected calls and ns of at least 1"),
        ({"ns": 0}, "ns 0; expected calls and ns of at least 1"),
        ({"ns": -4}, "ns -4; expected calls and ns of at least 1"),
        ({"round": None}, "round None, clock 'wall', calls 10, ns 3000; expected a key, a round and a clock"),
    ],
)
def test_samples_that_nothing_can_be_computed_of_are_one_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], says: str
) -> None:
    folder = tmp_path / "run"
    write_run(folder, run(facts(accuracy=RIGHT), complete=True))
    frame = samples(unfused_eager=[300.0] * 7)
    rows = [row | (change if row["round"] == 3 else {}) for row in frame.iter_rows(named=True)]
    pl.DataFrame(rows, schema=frame.schema).write_parquet(folder / "samples.parquet")
    for command, code in ((["show", str(folder)], 1), (["compare", str(folder), str(folder)], 3)):
        assert main(command) == code
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert says in said
        assert f"'{folder / 'samples.parquet'}' is damaged: row {0 if change == {'round': 0} else 3} has key '" in said


def test_a_lost_trace_is_known_and_the_rest_reads(tmp_path: Path) -> None:
    write_run(tmp_path, run(facts(trace="gone.trace.json.gz")))
    append_samples(tmp_path, samples(unfused_eager=[1.0]))
    folder = read_run(tmp_path)
    assert folder.trace_path(key().name) is None
    assert folder.missing_traces() == ("gone.trace.json.gz",)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write .*-o"):
        write_run(tmp_path / "file" / "run", run())


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, run(facts(status="pending")))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunError, match="No space left on device"):
        write_run(tmp_path, run())
    monkeypatch.undo()
    assert len(read_run(tmp_path).run.keys) == 1
    assert not list(tmp_path.glob("*.part"))


def test_find_runs_newest_first(tmp_path: Path) -> None:
    import os

    for age, name in enumerate(("new", "old")):
        write_run(tmp_path / name, run())
        os.utime(tmp_path / name / "run.json", (1000 - age, 1000 - age))
    (tmp_path / "other").mkdir()
    assert find_runs([tmp_path, tmp_path / "nowhere"]) == [tmp_path / "new", tmp_path / "old"]
    assert find_runs([tmp_path / "new"]) == [tmp_path / "new"]
    assert not is_run(tmp_path / "other")


def test_shipped_runs_is_the_repositorys_traces() -> None:
    assert run_folder.shipped_runs().name == "traces"


def test_the_samples_have_the_schema() -> None:
    assert dict(samples(unfused_eager=[1.0]).schema) == samples_schema()
    assert key(case=CASE).name in samples(unfused_eager=[1.0])["key"].to_list()


def test_samples_over_which_polars_panics_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, run(facts()))
    append_samples(tmp_path, samples(unfused_eager=[300.0] * 6))

    def panics(*_: object, **__: object) -> None:
        raise pl.exceptions.PanicException("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr(pl.LazyFrame, "collect_schema", panics)
    with pytest.raises(RunError, match=r"is damaged \(it cannot be decoded: called"):
        read_run(tmp_path)
