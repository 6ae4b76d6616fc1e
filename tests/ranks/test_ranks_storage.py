from __future__ import annotations

from pathlib import Path

import pytest

from rope_prof.errors import TraceError, UnavailableError, UsageError
from rope_prof.io.trace import storage
from rope_prof.io.trace.storage import Source, StorageError, fetched, found, several


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a/rank0.json", "a/rank1.json.gz", "a/deep/r2.sqlite", "a/notes.txt", "a/.hidden.json", "b/x.hatchet"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def names(tree: Path, *places: str) -> list[str]:
    return [str(Path(source.address).relative_to(tree)) for source in found(places)]


def test_folders_are_searched_to_the_bottom_for_traces_alone(tree: Path) -> None:
    assert names(tree, str(tree)) == ["a/deep/r2.sqlite", "a/rank0.json", "a/rank1.json.gz", "b/x.hatchet"]


def test_globs_files_and_file_urls_name_each_trace_once(tree: Path) -> None:
    places = [str(tree / "a" / "rank*"), str(tree / "a" / "rank0.json"), f"file://{tree}/b"]
    assert names(tree, *places) == ["a/rank0.json", "a/rank1.json.gz", "b/x.hatchet"]
    assert names(tree, str(tree / "**" / "*.sqlite")) == ["a/deep/r2.sqlite"]


def test_a_run_of_ours_has_its_captures_and_a_dataset_has_no_trace(tree: Path) -> None:
    for name in ("run.json", "end_to_end.json", "fused.eager.r0.trace.json.gz"):
        (tree / "b" / name).write_text("{}")
    (tree / "a" / storage.DATASET_FILE).write_text("{}")
    assert names(tree, str(tree)) == ["b/fused.eager.r0.trace.json.gz"]


def test_captures_that_a_lost_rank_left_behind_count_once(tree: Path) -> None:
    name = "fused.eager.r0.trace.json.gz"
    for run in (tree / "run", tree / "run" / "ranks" / "r0"):
        run.mkdir(parents=True)
        (run / "run.json").write_text("{}")
        (run / name).write_text("{}")
    assert names(tree, str(tree / "run")) == [f"run/{name}"]
    (tree / "run" / "run.json").unlink()  # never put together: then the ranks' own are all there is
    (tree / "run" / name).unlink()
    assert names(tree, str(tree / "run")) == [f"run/ranks/r0/{name}"]


def test_a_place_without_a_trace_is_one_sentence(tree: Path) -> None:
    (tree / "empty").mkdir()
    for place in (str(tree / "none"), str(tree / "empty"), str(tree / "*.none")):
        with pytest.raises(TraceError, match=r"no (trace|file)"):
            found([place])


def test_several_means_more_than_one_file_here(tree: Path) -> None:
    file = str(tree / "a" / "rank0.json")
    assert not several([file])
    assert not several([str(tree / "gone.json")])
    for places in ([str(tree)], [file, file], [str(tree / "*.json")], ["s3://bucket/trace.json"]):
        assert several(places)


def test_a_changed_file_has_another_stamp(tree: Path) -> None:
    (before,) = found([str(tree / "b")])
    (tree / "b" / "x.hatchet").write_text("other and longer")
    (after,) = found([str(tree / "b")])
    assert before.stamp != after.stamp
    assert before.address == after.address


def test_nothing_secret_of_an_address_is_shown() -> None:
    source = Source(address="https://me:word@host/runs/rank1.json?X-Signature=secret", size=1, stamp="1")
    assert source.shown == "https://host/runs/rank1.json"
    assert (source.folder, source.name) == ("https://host/runs", "rank1.json")


def test_without_fsspec_a_url_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name=name)

    monkeypatch.setattr(storage, "import_module", missing)
    with pytest.raises(UnavailableError, match=r"fsspec.*pip install 'rope-prof\[fleet\]'"):
        found(["s3://bucket/runs"])


def test_a_file_that_went_is_no_fault_of_the_trace(tmp_path: Path) -> None:
    gone = Source(address=str(tmp_path / "gone.json"), size=1, stamp="1")
    with pytest.raises(StorageError, match="shared"), fetched(gone):
        pass


def test_the_time_limit_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(storage.VARIABLE, "2.5")
    assert storage.timeout_s() == 2.5
    for word in ("soon", "0", "-1", "nan"):
        monkeypatch.setenv(storage.VARIABLE, word)
        with pytest.raises(UsageError):
            storage.timeout_s()
